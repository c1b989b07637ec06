"""The private names of Ray that the driver uses; no other file of the driver uses any.

Ray may change them in any release. Therefore its version is pinned, and when the pin moves
tests/search/cluster/test_ray_names.py says what has changed. Each entry below says which names it
takes, and why no public name does the same.

Two files that run elsewhere use such names themselves:

- `search/cluster/launch/spot_first.py` (ray 2.60.0: `ray.autoscaler._private`, of which it takes
  `AWSNodeProvider` and its method `_create_node`) runs in Ray's autoscaler on the head node, which
  has no use for Tune and torch; and AWSNodeProvider imports boto3, which only clusters on AWS have.
  Ray has no public class to derive from.
- `trainable/worker/tune_storage.py` (ray 2.60.0: `_TrainingResult`, `Trainable._storage` and
  `Trainable._last_result`, `StorageContext._check_validation_file` and `_update_checkpoint_index`)
  runs in the workers of trials, and `trainable` imports nothing of `search`. Ray has no public way
  to save a checkpoint where it stays.
"""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import ray
from ray._private import ray_constants, services
from ray._private.authentication import authentication_token_setup as tokens
from ray._raylet import GcsClient  # type: ignore[attr-defined]
from ray.core.generated.autoscaler_pb2 import DrainNodeReason  # type: ignore[attr-defined]
from ray.tune import Trainable, registry
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback

from trainable.errors import is_full_disk

READ_IN = "2.60.0"  # the version of Ray whose source all of this relies on
ANSWERS_ANYONE = "/ray.rpc.NodeInfoGcsService/GetClusterId"
PREEMPTION = "DRAIN_NODE_REASON_PREEMPTION"  # the only reason that a busy node accepts
KEPT_BY_TUNE = ("_trials_to_cache", "_stopped_trials", "_failed_trials")
TUNE_LOGGERS = ("ray.tune.execution.tune_controller", "ray.tune.tune")
INCOMPLETE = "Trials did not complete"
_MOST_ENDED = 200  # trials that Tune may list though they have ended


def resolve_address(address: str) -> str | None:
    """Return HOST:PORT of the cluster that `ray.init` would connect to; None if it finds none.

    Takes `ray._private.services.canonicalize_bootstrap_address` (ray 2.60.0). No public name: only
    `ray.init` resolves `auto`, and it connects at once.

    Args:
        address: `auto`, or HOST:PORT.

    Raises:
        ValueError: It is neither.
    """
    found: str | None = services.canonicalize_bootstrap_address(address)
    return found


def answers_anyone(address: str, seconds: float) -> bool:
    """Return whether a cluster answers a call that shows no token.

    Takes the call `GetClusterId` of Ray's control service (ray 2.60.0). No public name: every
    client of Ray's shows the token that it has.

    Args:
        address: HOST:PORT.
        seconds: To wait for the answer.
    """
    with grpc.insecure_channel(address) as channel:
        try:
            channel.unary_unary(ANSWERS_ANYONE)(b"", timeout=seconds)
        except grpc.RpcError:
            return False
    return True


def check_token(address: str, *, is_auto: bool) -> None:
    """Call the control service of a cluster with the token that `ray.init` would show.

    Takes `maybe_enable_token_auth_if_token_available` and `ensure_token_if_auth_enabled` of
    `ray._private.authentication.authentication_token_setup`, and `ray._raylet.GcsClient` (ray
    2.60.0). No public name: `ray.init` repeats a call that is refused for a minute, and does not
    say that it was the token.

    Args:
        address: HOST:PORT.
        is_auto: Whether it stands for `auto`: then Ray shows a token wherever there is one.

    Raises:
        AuthenticationError: The token is missing, or the cluster does not take it.
        RpcError: No cluster answers.
    """
    if is_auto:
        tokens.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    # GcsClient would abort the process where a token is asked for and there is none.
    tokens.ensure_token_if_auth_enabled(create_token_if_missing=False)
    GcsClient(address=address)


def make_token() -> None:
    """Make the token that `ray.init` would make for a local Ray, unless there is one.

    Takes `enable_token_auth_by_default` and `ensure_token_if_auth_enabled` of
    `ray._private.authentication.authentication_token_setup` (ray 2.60.0). No public name:
    `ray.init` makes the file at a moment when we cannot say who may read it. Where RAY_AUTH_MODE
    is set, Ray does what that says instead.
    """
    tokens.enable_token_auth_by_default()
    tokens.ensure_token_if_auth_enabled(create_token_if_missing=True)


@contextmanager
def on_loopback() -> Iterator[None]:
    """Let Ray take 127.0.0.1 for this machine's address, as it does on systems without clusters.

    Takes `ray._private.ray_constants.ENABLE_RAY_CLUSTER` (ray 2.60.0). No public name:
    `_node_ip_address="127.0.0.1"` becomes the machine's own address again, and the environment
    variable behind the constant is read when Ray is imported.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def in_own_sessions() -> Iterator[list[int]]:
    """Let Ray start each of its daemons in a session of its own; gives the ids of the sessions.

    A signal to the driver's process group, as `timeout` sends it, then reaches the driver only,
    which needs Ray to end in order.

    Takes `ray._private.services.ConsolePopen` (ray 2.60.0), with which Ray starts its daemons. No
    public name: `ray.init` has no option for it.
    """
    popen, sessions = services.ConsolePopen, list[int]()

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        process = popen(*arguments, start_new_session=True, **options)
        sessions.append(process.pid)
        return process

    services.ConsolePopen = start  # type: ignore[misc, assignment]
    try:
        yield sessions
    finally:
        services.ConsolePopen = popen  # type: ignore[misc]


def drain_node(node: str, reason: str, deadline: float) -> str:
    """Let Ray start nothing more on a node that is about to be taken away.

    Actors that are there go on, nothing is placed beside them, and with the last of them the node
    ends.

    Takes `ray._raylet.GcsClient.drain_node` and `DrainNodeReason` of `ray.core.generated` (ray
    2.60.0). No public name: the command `ray drain-node`, which is hidden, does the same.

    Args:
        node: Ray's id of it, in hex.
        reason: For people.
        deadline: When it is taken away, in seconds since 1970.

    Returns:
        Why Ray did not do it; empty if it did.
    """
    try:
        gcs = GcsClient(address=ray.get_runtime_context().gcs_address)
        accepted, problem = gcs.drain_node(
            node, DrainNodeReason.Value(PREEMPTION), reason, int(1000 * deadline)
        )
    except ray.exceptions.RayError as error:
        return str(error)
    return "" if accepted else problem or "Ray refused"


@contextmanager
def registered(trainable: type[Trainable]) -> Iterator[str]:
    """Give the name under which Tune finds a trainable; while it lasts, in this process.

    Takes `ray.tune.registry._global_registry` and replaces its `contains` and `get` (ray 2.60.0).
    No public name: Tune asks the cluster for it three times for each trial, and the driver waited
    2 ms a trial for the answers.
    """
    name = trainable.__name__
    registry.register_trainable(name, trainable)
    known: Any = registry._global_registry
    contains, get = known.contains, known.get
    here = registry.TRAINABLE_CLASS, name
    known.contains = lambda *asked: asked == here or contains(*asked)
    known.get = lambda *asked: trainable if asked == here else get(*asked)
    try:
        yield name
    finally:
        del known.contains, known.get


def forget_ended(tune_controller: Any) -> None:
    """Take trials that have ended from Tune's list, which it goes through where none is live.

    Takes the list that `TuneController.get_trials` returns, and the sets of KEPT_BY_TUNE (ray
    2.60.0). No public name: Tune forgets no trial. The sets keep each of them in memory, for the
    states that a trial ends in and for the snapshot that Tune writes at the end whatever its period
    is, and that nobody reads; it took 6 ms for each trial of the search.

    Args:
        tune_controller: As Tune hands it to a scheduler.
    """
    listed = tune_controller.get_trials()  # the list itself
    if len(listed) > 2 * len(tune_controller.get_live_trials()) + _MOST_ENDED:
        listed[:] = [trial for trial in listed if not trial.is_finished()]
        for name in KEPT_BY_TUNE:
            getattr(tune_controller._tune_controller, name).clear()


def withhold_credentials() -> None:
    """Let Tune send no credentials of AWS to trials: nodes have their own, or a role.

    Takes `ray.tune.execution.class_cache.ENV_VARS_TO_PROPAGATE` (ray 2.60.0). No public name: Tune
    always sends them, in a way that Ray logs.
    """
    keys = {name for name in class_cache.ENV_VARS_TO_PROPAGATE if name.startswith("AWS_")}
    class_cache.ENV_VARS_TO_PROPAGATE -= keys


class NoTuneProgress(TrialProgressCallback):
    """Replaces Tune's own, which at `verbose=0` prints nothing and keeps every trial in memory.

    Takes `ray.tune.progress_reporter.TrialProgressCallback` (ray 2.60.0). No public name: Tune adds
    it unless there is one of its class.
    """

    def log_result(self, trial: Trial, result: dict[str, Any], error: bool = False) -> None:
        """Print nothing: `search.loop.progress` does."""

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Print nothing."""


def quieten_tune() -> None:
    """Let Tune's log pass only what is worth saying.

    Takes the names TUNE_LOGGERS and the message INCOMPLETE (ray 2.60.0). No public name: a level of
    the log would also keep back what is an error to us.
    """
    for name in TUNE_LOGGERS:
        logging.getLogger(name).addFilter(_is_worth_saying)  # the same twice is one


def _is_worth_saying(record: logging.LogRecord) -> bool:
    """Return False for what is no error to us, or what the search says itself without a traceback.

    A trial that leaves its machine in time ends a job with an error that the search expects. At the
    end Tune names such jobs as incomplete, whatever became of their trials. A full disk ends the
    search with one line.
    """
    # It needs torch, which takes seconds to import, and looking for a cluster does not.
    from trainable.worker.ray_trainable import NodeLeaving

    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, NodeLeaving) or is_full_disk(error):
        return False
    return not str(record.msg).startswith(INCOMPLETE)


def mlflow_run_ids(callback: Any) -> dict[Any, str]:
    """Return trial -> MLflow's id of its run, as Ray's callback keeps it; it may be written to.

    Takes `MLflowLoggerCallback._trial_runs` (ray 2.60.0). No public name: the callback always
    begins a new run for a trial that it has not seen, also where an earlier driver began one.

    Args:
        callback: After its `setup`.
    """
    ids: dict[Any, str] = callback._trial_runs
    return ids


def wandb_future(callback: Any, trial: Any) -> Any:
    """Return what ends, or fails, together with the process that writes a run of W&B.

    Takes `WandbLoggerCallback._trial_logging_futures` (ray 2.60.0). No public name: the callback
    does not say that its process has failed.

    Args:
        callback: After its `log_trial_start`.
        trial: That was started.
    """
    return callback._trial_logging_futures[trial]
