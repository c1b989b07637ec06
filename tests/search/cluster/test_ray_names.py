"""Names that Ray keeps to itself, and that the project uses, are there and are what they were.

The names are looked up one by one, so that a new Ray fails with the name that has changed, and not
where search/cluster/ray_internals.py is imported.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import pkgutil
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

INSTALLED = importlib.metadata.version("ray")
ENTRIES = "search/cluster/ray_internals.py"
TOKENS = "ray._private.authentication.authentication_token_setup"
CONTROLLER = "ray.tune.execution.tune_controller"
CATEGORY: dict[str, Any] = {"self": None, "category": "", "key": ""}

# Name of Ray -> arguments that it is given.
CALLED: dict[str, dict[str, Any]] = {
    f"{TOKENS}:maybe_enable_token_auth_if_token_available": {"warn_if_disabled": False},
    f"{TOKENS}:ensure_token_if_auth_enabled": {"create_token_if_missing": True},
    f"{TOKENS}:enable_token_auth_by_default": {},
    "ray._private.services:canonicalize_bootstrap_address": {"addr": "auto"},
    "ray.tune.registry:register_trainable": {"name": "Mine", "trainable": None},
    "ray.tune.registry:_Registry.contains": CATEGORY,
    "ray.tune.registry:_Registry.get": CATEGORY,
    "ray.tune.progress_reporter:TrialProgressCallback": {},
    f"{CONTROLLER}:TuneController.get_trials": {"self": None},
    f"{CONTROLLER}:TuneController.get_live_trials": {"self": None},
    # Of files that run elsewhere: spot_first and tune_storage.
    "ray.autoscaler._private.aws.node_provider:AWSNodeProvider._create_node": {
        "self": None,
        "node_config": {},
        "tags": {},
        "count": 1,
    },
    "ray.train._internal.storage:StorageContext._check_validation_file": {"self": None},
    "ray.train._internal.storage:StorageContext._update_checkpoint_index": {
        "self": None,
        "metrics": {},
    },
    "ray.train._internal.session:_TrainingResult": {"checkpoint": None, "metrics": {}},
}
# Name of Ray -> its type.
HELD: dict[str, type] = {
    f"{TOKENS}:AUTH_MODE_ENV_VAR": str,
    "ray._private.ray_constants:ENABLE_RAY_CLUSTER": bool,
    "ray._private.services:ConsolePopen": type,
    "ray._raylet:GcsClient": type,
    "ray.tune.execution.class_cache:ENV_VARS_TO_PROPAGATE": set,
    "ray.tune.registry:TRAINABLE_CLASS": str,
    "ray.train._internal.storage:StorageContext.checkpoint_fs_path": property,
}
# Name of Ray -> what its source says.
WRITTEN = {
    f"{CONTROLLER}:TuneController.__init__": [
        "self._trials_to_cache: Set[Trial] = set()",
        "self._stopped_trials: Set[Trial] = set()",
        "self._failed_trials: Set[Trial] = set()",
    ],
    f"{CONTROLLER}:TuneController.get_trials": ["return self._trials\n"],  # not a copy
    f"{CONTROLLER}:TrialRunnerWrapper.__init__": ["self._tune_controller = tune_controller"],
    CONTROLLER: ["logger = logging.getLogger(__name__)"],
    "ray.tune.tune": [
        "logger = logging.getLogger(__name__)",
        'logger.error("Trials did not complete',
    ],
    "ray.tune.registry": ["_global_registry = _Registry()"],
    "ray.tune.registry:register_trainable": ["_global_registry.register(TRAINABLE_CLASS, name,"],
    "ray.tune.execution.class_cache": ["in ENV_VARS_TO_PROPAGATE:"],
    "ray._private.services:start_ray_process": ["process = ConsolePopen(\n"],
    "ray._private.services:get_node_ip_address": ["if not ray_constants.ENABLE_RAY_CLUSTER:"],
    "ray.air.integrations.mlflow:MLflowLoggerCallback.log_trial_start": [
        "if trial not in self._trial_runs:",
        "self._trial_runs[trial] = run.info.run_id",
    ],
    "ray.air.integrations.wandb:WandbLoggerCallback._start_logging_actor": [
        "self._trial_logging_futures[trial] = logging_future",
    ],
    "ray.tune.trainable:Trainable.__init__": ["self._storage = ", "self._last_result = "],
}


def changed(what: str) -> str:
    """Say that Ray is not what it was."""
    return (
        f"ray {INSTALLED} has changed {what}: read its source again, and bring the entry in "
        f"{ENTRIES}, or in the file that this one names, up to date"
    )


def taken(name: str) -> Any:
    """Return what Ray has under a name."""
    try:
        return pkgutil.resolve_name(name)
    except (ImportError, AttributeError) as error:
        pytest.fail(f"{changed(name)} ({error})", pytrace=False)


@pytest.mark.parametrize("name", CALLED)
def test_it_is_there_and_takes_the_arguments(name: str) -> None:
    signature = inspect.signature(taken(name))
    try:
        signature.bind(**CALLED[name])
    except TypeError as error:
        pytest.fail(f"{changed(name)} ({error}: {signature})", pytrace=False)


@pytest.mark.parametrize("name", HELD)
def test_it_is_there_and_of_the_type(name: str) -> None:
    assert isinstance(taken(name), HELD[name]), changed(name)


@pytest.mark.parametrize("name", WRITTEN)
def test_its_source_says_what_is_relied_on(name: str) -> None:
    source = inspect.getsource(taken(name))
    for line in WRITTEN[name]:
        assert line in source, changed(f"{name}: {line!r}")


def test_the_control_service_has_the_calls() -> None:
    inner = taken("ray._raylet:InnerGcsClient.drain_node")  # GcsClient passes on to it
    given = list(inspect.signature(inner).parameters)[1:5]
    wanted = ["node_id", "reason", "reason_message", "deadline_timestamp_ms"]
    assert given == wanted, changed("GcsClient.drain_node")
    reasons = taken("ray.core.generated.autoscaler_pb2:DrainNodeReason")
    assert "DRAIN_NODE_REASON_PREEMPTION" in reasons.keys(), changed("DrainNodeReason")  # noqa: SIM118
    file = taken("ray.core.generated.gcs_service_pb2:DESCRIPTOR")
    service = file.services_by_name.get("NodeInfoGcsService")
    assert service is not None, changed("NodeInfoGcsService")
    assert service.full_name == "ray.rpc.NodeInfoGcsService", changed("NodeInfoGcsService")
    assert "GetClusterId" in service.methods_by_name, changed("GetClusterId")


def test_the_version_that_was_read_is_the_one_that_is_pinned(repository: Path) -> None:
    entries = (repository / ENTRIES).read_text(encoding="utf-8")
    (read_in,) = re.findall(r'^READ_IN = "(.+?)"', entries, re.MULTILINE)
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = [line for line in project["dependencies"] if line.startswith("ray")]
    assert pins == [f"ray[tune]=={read_in}"], (
        f"pyproject.toml pins {pins}, and {ENTRIES} was read against ray {read_in}: compare each "
        f"of its entries with the new source, then change READ_IN and the entries"
    )
    assert read_in == INSTALLED, f"ray {INSTALLED} is installed; install the one that is pinned"


def test_every_entry_says_what_it_takes_in_which_version_and_why() -> None:
    internals = pkgutil.resolve_name("search.cluster.ray_internals")
    entries = [
        entry
        for name, entry in vars(internals).items()
        if getattr(entry, "__module__", "") == internals.__name__ and not name.startswith("_")
    ]
    assert len(entries) > 8
    for entry in entries:
        text = " ".join(inspect.getdoc(entry).split())
        assert "Takes " in text, entry
        assert f"(ray {internals.READ_IN})" in text, entry
        assert "No public name: " in text, entry
