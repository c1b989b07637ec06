"""What the driver does with private names of Ray; test_ray_names.py checks that they exist."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray._private import ray_constants, services, worker
from ray.core.generated.autoscaler_pb2 import DrainNodeReason
from ray.exceptions import RayTaskError
from ray.tune import Trainable, registry
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial
from ray.tune.utils.callback import _create_default_callbacks

from search.cluster import ray_internals
from search.cluster.ray_internals import (
    KEPT_BY_TUNE,
    PREEMPTION,
    NoTuneProgress,
    drain_node,
    forget_ended,
    in_own_sessions,
    on_loopback,
    quieten_tune,
    registered,
    withhold_credentials,
)
from trainable.worker.ray_trainable import NodeLeaving


def test_ray_takes_the_loopback_only_where_it_is_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_global_node", None)  # as before `ray.init`
    monkeypatch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", True)  # as on Linux
    with on_loopback():
        assert services.get_node_ip_address() == "127.0.0.1"
    assert ray_constants.ENABLE_RAY_CLUSTER is True


def test_rays_daemons_have_sessions_of_their_own_where_it_is_asked_to() -> None:
    popen = services.ConsolePopen
    with in_own_sessions() as sessions:
        process = services.start_ray_process(["sleep", "60"], "raylet", fate_share=True).process
    try:
        assert sessions == [process.pid]
        assert os.getsid(process.pid) == process.pid
    finally:
        process.kill()
        process.wait()
    assert services.ConsolePopen is popen


def test_a_node_is_drained_for_preemption_at_a_time_in_milliseconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[Any, ...]] = []
    answers = [(True, ""), (False, "it is busy"), (False, "")]

    def drain(*given: Any) -> tuple[bool, str]:
        asked.append(given)
        return answers[len(asked) - 1]

    there = SimpleNamespace(gcs_address="10.0.0.1:6379")
    monkeypatch.setattr(ray, "get_runtime_context", lambda: there)
    client = SimpleNamespace(drain_node=drain)
    monkeypatch.setattr(ray_internals, "GcsClient", lambda address: client)
    said = [drain_node("ab", "spot notice", 7.25) for _ in answers]
    assert said == ["", "it is busy", "Ray refused"]
    assert asked == [("ab", DrainNodeReason.Value(PREEMPTION), "spot notice", 7250)] * 3


def test_tune_forgets_what_ended_long_ago_and_keeps_what_is_live() -> None:
    listed = [listed_trial(number % 100 == 0) for number in range(1000)]
    live = [trial for trial in listed if not trial.is_finished()]
    few, many = listed[:220], list(listed)
    for trials in (few, many):
        sets = {name: {id(trial) for trial in trials} for name in KEPT_BY_TUNE}
        controller = SimpleNamespace(
            get_live_trials=lambda: live,
            get_trials=lambda t=trials: t,
            _tune_controller=SimpleNamespace(**sets),
        )
        forget_ended(controller)
        assert all(bool(kept) == (trials is few) for kept in sets.values())
    assert few == listed[:220]  # not worth going through it
    assert many == live


def listed_trial(is_live: bool) -> Any:
    return SimpleNamespace(is_finished=lambda: not is_live)


def test_tune_sends_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(class_cache.ENV_VARS_TO_PROPAGATE)
    monkeypatch.setattr(class_cache, "ENV_VARS_TO_PROPAGATE", before | {"AWS_SECRET_ACCESS_KEY"})
    withhold_credentials()
    kept = {name for name in before if not name.startswith("AWS_")}
    assert before >= class_cache.ENV_VARS_TO_PROPAGATE == kept != set()


class Asked(Exception):
    """The cluster was asked for a trainable."""


class Mine(Trainable):
    """A trainable."""


class Other(Trainable):
    """Another one."""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Stands for a cluster that Ray is connected to; gives the keys that it was handed."""
    handed: list[bytes] = []

    def ask(key: bytes) -> bytes:
        raise Asked(key)

    monkeypatch.setattr(registry, "_internal_kv_initialized", lambda: True)
    monkeypatch.setattr(registry, "_internal_kv_put", lambda key, *_, **__: handed.append(key))
    monkeypatch.setattr(registry, "_internal_kv_get", ask)
    monkeypatch.setattr(registry, "_global_registry", registry._Registry(prefix="a job"))
    return handed


def test_the_cluster_is_handed_a_trainable_and_not_asked_for_it(cluster: list[bytes]) -> None:
    with registered(Mine) as name:
        assert registry.get_trainable_cls(name) is Mine
        registry.validate_trainable(name)
    assert len(cluster) == 1
    assert b"Mine" in cluster[0]


def test_it_is_asked_for_all_others_and_afterwards(cluster: list[bytes]) -> None:
    with registered(Mine) as name:
        registry.register_trainable("Other", Other)
        with pytest.raises(Asked):
            registry.get_trainable_cls("Other")
    with pytest.raises(Asked):
        registry.get_trainable_cls(name)


def test_an_error_leaves_nothing_behind(cluster: list[bytes]) -> None:
    with pytest.raises(KeyboardInterrupt), registered(Mine):
        raise KeyboardInterrupt
    with pytest.raises(Asked):
        registry.validate_trainable("Mine")


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    logger = logging.getLogger("ray.tune")
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.WARNING, logger="ray.tune")  # whatever another test set
    quieten_tune()
    yield caplog
    logger.removeHandler(caplog.handler)


def test_a_trial_that_leaves_a_full_disk_and_unfinished_jobs_are_not_spoken_of(
    log: pytest.LogCaptureFixture,
) -> None:
    controller = logging.getLogger("ray.tune.execution.tune_controller")
    # As Ray hands it over: an error of both classes.
    left = RayTaskError("step", "", NodeLeaving("it left")).as_instanceof_cause()
    controller.error("Trial task failed for trial a", exc_info=left)
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    controller.error("b", exc_info=RayTaskError("save", str(full), full).as_instanceof_cause())
    logging.getLogger("ray.tune.tune").error("Trials did not complete: %s", ["a"])
    assert not log.records


def test_other_errors_are(log: pytest.LogCaptureFixture) -> None:
    controller = logging.getLogger("ray.tune.execution.tune_controller")
    controller.error("Trial task failed for trial a", exc_info=ValueError("no such head"))
    controller.warning("Trial controller checkpointing failed")
    assert {record.levelname for record in log.records} == {"ERROR", "WARNING"}


def test_tunes_own_progress_prints_nothing_and_keeps_no_trial(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    given = NoTuneProgress()
    assert _create_default_callbacks([given]) == [given]  # Tune adds none of its own
    trial, before = Trial("trainable", stub=True), repr(vars(given))
    trial.run_metadata.last_result = {"score": 0.5, "done": True, "training_iteration": 1}
    given.on_trial_result(0, [trial], trial, trial.last_result)
    given.on_trial_complete(0, [trial], trial)
    given.on_trial_error(0, [trial], trial)
    assert repr(vars(given)) == before
    assert capsys.readouterr().out == ""
