from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.tune.execution.placement_groups import resource_dict_to_pg_factory
from ray.util.placement_group import placement_group_table

from search.cluster.preflight import checks as preflight
from search.cluster.preflight.checks import Preflight
from search.cluster.slots import Resources
from search.planning.plan import Plan
from tests.chaos.counting import wait_until
from trainable.errors import InputError

MakePlan = Callable[..., Plan]

# Each kind of node has other resources, so that a test chooses by what a trial needs.
GOOD, OLD, BARE = Resources(1.0, 0.5, 1), Resources(3.0, 0.0, 1), Resources(7.0, 0.0, 1)

# All nodes share this Python, which finds an editable installation from everywhere.
UNINSTALL = """
import sys
sys.meta_path = [f for f in sys.meta_path if "__editable__" not in getattr(f, "__module__", "")]
"""


def preflight_of(plan: Plan, resources: Resources, **seconds: float) -> Preflight:
    return Preflight(plan.folder, plan.options, resources, plan.checkpoint_bytes, **seconds)


@pytest.fixture(scope="module")
def raylets(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Cluster, dict[Resources, Any]]]:
    """Two good nodes, one with an older checkout, one without any; the first is the head."""
    old, bare, elsewhere = (tmp_path_factory.mktemp(name) for name in ("old", "bare", "elsewhere"))
    (bare / "sitecustomize.py").write_text(UNINSTALL)
    for package in ("search", "spaces", "trainable"):
        shutil.copytree(repository / package, old / package)
    (old / "search" / "cluster" / "tune.py").write_text("")
    (old / "torch-1.0.dist-info").mkdir()
    (old / "torch-1.0.dist-info" / "METADATA").write_text("Name: torch\nVersion: 1.0\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(elsewhere)  # Ray lets workers import from there, too
        small: Any = {"object_store_memory": 80_000_000}
        patch.setenv("PYTHONPATH", str(repository))
        # A node that is gone is noticed within a second, and one that is slow is given its time.
        health = {"health_check_period_ms": 200, "health_check_failure_threshold": 5}
        cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 2,
                "num_gpus": 2,
                "include_dashboard": False,
                "_system_config": health,
                **small,
            },
        )

        def add(path: Path, cpus: int, gpus: int) -> Any:
            patch.setenv("PYTHONPATH", str(path))
            return cluster.add_node(num_cpus=cpus, num_gpus=gpus, **small)

        add(repository, 2, 2)
        by_resources = {OLD: add(old, 3, 0), BARE: add(bare, 7, 0)}
        try:
            ray.init(address=cluster.address, log_to_driver=False)
            yield cluster, by_resources
        finally:
            ray.shutdown()
            cluster.shutdown()  # type: ignore[no-untyped-call]


@pytest.mark.slow
def test_good_nodes_are_good_and_nothing_is_left(raylets: Any, plan_of: MakePlan) -> None:
    plan = plan_of()
    plan.folder.make()
    assert preflight_of(plan, GOOD).check(print) == (
        "2 nodes looked at: storage, versions and code are as here",
    )
    assert list(plan.folder.local.iterdir()) == []


@pytest.mark.slow
def test_slurm_counts_the_nodes_that_are_there(raylets: Any, repository: Path) -> None:
    script = (repository / "search" / "cluster" / "launch" / "slurm.sh").read_text(encoding="utf-8")
    (program,) = re.findall(r"wait_for_nodes='(.*?)'", script, re.DOTALL)
    cluster, _ = raylets
    asked = [sys.executable, "-c", program, cluster.address, "4"]
    found = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == "4 of 4 nodes are there\n"


def are_free(gpus: float) -> bool:
    """Return whether this many GPUs of the cluster are known to be free."""
    return bool(ray.available_resources().get("GPU", 0.0) == gpus)


@pytest.mark.slow
def test_trials_of_a_search_spread_over_the_nodes(raylets: Any) -> None:
    """Tune asks for them in this way, and packs bundles of one trial only.

    Ray places by its last news of what is free, so each group waits until the ones before are in
    it; news that is late is Ray's to have and not what is tested.
    """
    factory = resource_dict_to_pg_factory({"cpu": 0.5, "gpu": 0.5})
    groups = []
    try:
        for taken in range(4):
            wait_until(partial(are_free, 4 - taken / 2), 30, "it is not known what is free")
            groups.append(factory.to_placement_group())
            ray.get(groups[-1].ready(), timeout=60)
        tables = [placement_group_table(group)["bundles_to_node_id"] for group in groups]
        where = [table[0] for table in tables]
        assert len(set(where[:2])) == 2
        assert sorted(where) == [min(where)] * 2 + [max(where)] * 2
    finally:
        for group in groups:
            ray.util.remove_placement_group(group)


@pytest.mark.slow
def test_another_checkout_and_version_are_refused_by_node(raylets: Any, plan_of: MakePlan) -> None:
    _, by_resources = raylets
    plan = plan_of()
    plan.folder.make()
    with pytest.raises(InputError) as caught:
        preflight_of(plan, OLD).check(print)
    message = str(caught.value)
    old, bare = (by_resources[kind].node_id[:8] for kind in (OLD, BARE))
    lines = {line.split(": ", 1)[1]: line for line in message.splitlines() if line[:2] == "  "}
    assert old in lines[f"torch is 1.0, the driver has {version('torch')}"]
    assert bare in lines["the project cannot be imported"]
    (differs,) = [line for line in lines.values() if "is not the driver's" in line]
    assert old in differs
    assert bare not in differs
    assert differs.endswith(": search/cluster/tune.py")
    assert "`ray up cluster.yaml` again" in message


@pytest.mark.slow
def test_a_folder_that_is_another_one_on_each_node_is_refused(
    raylets: Any, plan_of: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path below means to each process its own working folder, as /tmp does to a machine."""
    monkeypatch.chdir(tmp_path)
    plan = plan_of()
    folder = replace(plan.folder, storage="/proc/self/cwd", local=Path("/proc/self/cwd/search"))
    folder.make()
    with pytest.raises(InputError) as caught:
        preflight_of(replace(plan, folder=folder), GOOD).check(print)
    assert "--storage '/proc/self/cwd': it does not see there what the driver wrote" in str(
        caught.value
    )
    assert "NFS" in str(caught.value)
    assert list((tmp_path / "search").iterdir()) == []


@pytest.mark.slow
def test_a_node_that_does_not_answer_is_named(raylets: Any, plan_of: MakePlan) -> None:
    plan = plan_of()
    plan.folder.make()
    said: list[str] = []
    with pytest.raises(InputError, match="no answer in 0 s"):
        preflight_of(plan, GOOD, seconds=0.0).check(said.append)
    assert said == ["waiting for 2 of 2 nodes to answer, at most 0 minutes"]


@pytest.mark.slow
def test_a_node_that_vanishes_meanwhile_is_no_error(
    raylets: Any, plan_of: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last test here: the node is gone then."""
    cluster, by_resources = raylets
    plan = plan_of(gpus_per_trial=0.0)
    plan.folder.make()
    write_token = preflight.write_token

    def lose_node(*arguments: Any) -> None:
        cluster.remove_node(by_resources[BARE], allow_graceful=False)
        write_token(*arguments)

    monkeypatch.setattr(preflight, "write_token", lose_node)
    assert preflight_of(plan, BARE).check(print) == (
        "note: 1 of the nodes vanished while they were looked at",
    )
