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
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ray.cluster_utils import Cluster
from ray.tune.execution.placement_groups import resource_dict_to_pg_factory
from ray.util.placement_group import placement_group_table

from search.cluster import connect as our_cluster
from search.cluster.preflight import checks as preflight
from search.cluster.preflight.checks import Preflight
from search.cluster.preflight.node_report import Answer, look
from search.cluster.preflight.problems import compare, text
from search.cluster.slots import Resources, places, resources
from search.planning.options import SearchOptions
from search.planning.plan import Plan
from tests.chaos.counting import wait_until
from trainable.errors import InputError

MakePlan = Callable[..., Plan]
N_GPUS = st.integers(1, 8)
PARTS = st.integers(1, 8)
CPUS = st.integers(1, 96)

# Each kind of node has other resources, so that a test chooses by what a trial needs.
GOOD, OLD, BARE = Resources(1.0, 0.5, 1), Resources(3.0, 0.0, 1), Resources(7.0, 0.0, 1)

# All nodes share this Python, which finds an editable installation from everywhere.
UNINSTALL = """
import sys
sys.meta_path = [f for f in sys.meta_path if "__editable__" not in getattr(f, "__module__", "")]
"""


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Let Ray have these nodes, each with so many (CPUs, GPUs)."""
    monkeypatch.setenv("HOME", str(tmp_path))

    def set_nodes(*given: tuple[float, float], head: bool = False) -> None:
        alive: list[dict[str, Any]] = [
            {"Alive": True, "Resources": {"CPU": float(cpus), "GPU": float(gpus)}}
            for cpus, gpus in given
        ]
        if head:
            alive[0]["Resources"]["node:__internal_head__"] = 1.0
        monkeypatch.setattr(ray, "nodes", lambda: alive)
        monkeypatch.setattr(ray, "cluster_resources", dict)

    return set_nodes


def asked(**options: Any) -> Resources:
    return resources(SearchOptions(**options), n_trials=1000)


@given(CPUS, N_GPUS, PARTS)
def test_all_places_of_a_node_are_used_and_none_twice(cpus: int, gpus: int, part: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(our_cluster, "_nodes", lambda: [{"CPU": cpus, "GPU": gpus}])
        share = asked(gpus_per_trial=1 / part)
    assert share.max_concurrent == gpus * part
    # Ray counts in ten-thousandths.
    assert share.max_concurrent * round(share.cpus * 10_000) <= cpus * 10_000
    assert share.cpus >= 1 or share.cpus == round(share.cpus, 4)
    if cpus >= gpus * part:
        assert share.cpus == cpus // (gpus * part)


@given(st.floats(0.05, 1.0), N_GPUS)
def test_a_trial_lies_on_one_gpu(part: float, gpus: int) -> None:
    found = places({"CPU": 1000.0, "GPU": gpus}, Resources(1.0, part, 1))
    assert found % gpus == 0
    on_one = found // gpus
    assert on_one * part <= 1.0 + 1e-6 < (on_one + 1) * part + 1e-6


@pytest.mark.parametrize(
    ("given_nodes", "options", "expected"),
    [
        ([(48, 4)], {"gpus_per_trial": 0.25}, Resources(3.0, 0.25, 16)),
        ([(48, 4)], {"gpus_per_trial": 0.4}, Resources(6.0, 0.4, 8)),
        ([(8, 1), (48, 4)], {}, Resources(8.0, 1.0, 5)),
        ([(4, 1)], {"gpus_per_trial": 0.125}, Resources(0.5, 0.125, 8)),
        ([(48, 4)], {"gpus_per_trial": 0.25, "cpus_per_trial": 6.0}, Resources(6.0, 0.25, 8)),
        ([(48, 4)], {"gpus_per_trial": 0.0}, Resources(1.0, 0.0, 48)),
        ([(16, 0)], {}, Resources(1.0, 0.0, 16)),
        ([(16, 0), (8, 2)], {"max_concurrent": 1}, Resources(4.0, 1.0, 1)),
    ],
)
def test_shares_of_usual_machines(
    nodes: Callable[..., None],
    given_nodes: list[tuple[float, float]],
    options: dict[str, Any],
    expected: Resources,
) -> None:
    nodes(*given_nodes)
    assert asked(**options) == expected


@pytest.mark.parametrize(
    ("options", "fragment"),
    [
        ({"gpus_per_trial": 1.0, "cpus_per_trial": 16.0}, "no node has both"),
        ({"cpus_per_trial": 65.0}, "--cpus-per-trial 65: no node has more than 64 CPUs"),
    ],
)
def test_what_no_single_node_has_is_refused(
    nodes: Callable[..., None], options: dict[str, Any], fragment: str
) -> None:
    nodes((64, 0), (8, 1))
    with pytest.raises(InputError, match=fragment) as caught:
        asked(**options)
    assert "`ray status`" in str(caught.value)


def test_room_follows_the_nodes_unless_it_is_given(nodes: Callable[..., None]) -> None:
    nodes((8, 2))
    share = asked(gpus_per_trial=0.5)
    given = SearchOptions(max_concurrent=6)
    found = []
    for there in ([(8, 2)], [(8, 2), (8, 2)], [(8, 2), (4, 0)], []):
        nodes(*there)
        of = (SearchOptions(), given)
        found.append(tuple(our_cluster.room(options, share, 7) for options in of))
    assert found == [(4, 6), (7, 6), (4, 6), (1, 6)]


def test_nodes_that_may_be_launched_count_once(nodes: Callable[..., None], tmp_path: Path) -> None:
    types = {
        "head": {"resources": {"CPU": 0, "GPU": 0}},
        "gpu": {"resources": {"CPU": 48, "GPU": 4}, "max_workers": 4},
        "cpu": {"resources": {"CPU": 96}, "max_workers": 4},
    }
    config = {"max_workers": 4, "head_node_type": "head", "available_node_types": types}
    (tmp_path / "ray_bootstrap_config.yaml").write_text(yaml.safe_dump(config))
    for n_launched in range(5):
        nodes((0, 0), *[(48, 4)] * n_launched, head=True)
        assert asked(gpus_per_trial=1.0) == Resources(12.0, 1.0, 16)
    nodes((0, 0), head=True)
    with pytest.raises(InputError, match="no node has more than 4 GPUs"):
        # A trial trains on one GPU: make_plan refuses this before.
        asked(gpus_per_trial=5.0)


def answer(tmp_path: Path, **changed: Any) -> Answer:
    (tmp_path / "tokens").mkdir(exist_ok=True)
    (tmp_path / "tokens" / "driver.token").write_bytes(b"token")
    found = look("node", str(tmp_path), str(tmp_path / "tokens"), ("ray", "torch"), ("/",))
    return {**found, **changed}  # type: ignore[typeddict-item]


def test_a_machine_has_nothing_to_say_against_itself(tmp_path: Path) -> None:
    here = answer(tmp_path)
    assert (tmp_path / "tokens" / "node").read_bytes() == b"token"
    assert set(here["versions"]) == {"python", "ray", "torch"}
    assert {"search/run.py", "spaces/space.py", "trainable/data/sentences.py"} <= set(
        here["sources"]
    )
    assert compare(here, here, "runs", 0) == []


@pytest.mark.parametrize(
    ("changed", "fragment"),
    [
        ({"versions": {"python": "3.9.1", "ray": "2.60.0"}}, "python is 3.9.1, the driver has 3."),
        ({"versions": {"python": "3.9.1", "torch": None}}, "torch is not installed"),
        ({"home": "", "sources": {}}, "the project cannot be imported"),
        ({"sources": {"search/run.py": "1"}}, ": search/__init__.py, "),
        ({"absent": ["/data"]}, "there is no /data"),
        ({"free": 10}, "0.0 GB left"),
        ({"storage": "OSError: denied"}, "--storage 'runs': OSError: denied"),
    ],
)
def test_what_differs_is_said_with_what_to_do(
    tmp_path: Path, changed: dict[str, Any], fragment: str
) -> None:
    here = answer(tmp_path)
    if "versions" in changed:
        changed = {"versions": here["versions"] | changed["versions"]}
    problems = compare(answer(tmp_path, **changed), here, "runs", 1000)
    assert any(fragment in problem for problem, _ in problems)
    message = text({problem: ["10.0.0.1"] for problem in problems})
    assert fragment in message
    assert problems[0][1] in message.splitlines()


def test_python_may_differ_in_the_last_place(tmp_path: Path) -> None:
    here = answer(tmp_path)
    newer = str(here["versions"]["python"]).rpartition(".")[0] + ".99"
    there = answer(tmp_path, versions=here["versions"] | {"python": newer})
    assert compare(there, here, "runs", 0) == []


@given(st.integers(1, 500))
def test_many_nodes_with_one_problem_are_one_line(n: int) -> None:
    message = text({("torch is old", "install it"): [f"10.0.0.{k}" for k in range(n)]})
    assert len(message.splitlines()) == 3
    assert len(message) < 200


def preflight_of(plan: Plan, share: Resources, **seconds: float) -> Preflight:
    return Preflight(plan.folder, plan.options, share, plan.checkpoint_bytes, **seconds)


@pytest.fixture(scope="module")
def raylets(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Cluster, dict[Resources, Any]]]:
    """A head without resources, two good nodes, one with an older checkout, one without any."""
    old, bare, elsewhere = (tmp_path_factory.mktemp(name) for name in ("old", "bare", "elsewhere"))
    (bare / "sitecustomize.py").write_text(UNINSTALL)
    for package in ("search", "spaces", "trainable"):
        shutil.copytree(repository / package, old / package)
    (old / "search" / "bridge.py").write_text("")
    (old / "torch-1.0.dist-info").mkdir()
    (old / "torch-1.0.dist-info" / "METADATA").write_text("Name: torch\nVersion: 1.0\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(elsewhere)  # Ray lets workers import from there, too
        small: Any = {"object_store_memory": 80_000_000}
        cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "num_gpus": 0, "include_dashboard": False, **small},
        )

        def add(path: Path, cpus: int, gpus: int) -> Any:
            patch.setenv("PYTHONPATH", str(path))
            return cluster.add_node(num_cpus=cpus, num_gpus=gpus, **small)

        add(repository, 2, 2)
        add(repository, 2, 2)
        by_share = {OLD: add(old, 3, 0), BARE: add(bare, 7, 0)}
        try:
            ray.init(address=cluster.address, log_to_driver=False)
            yield cluster, by_share
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
    script = (repository / "search" / "clusters" / "slurm.sh").read_text(encoding="utf-8")
    (program,) = re.findall(r"wait_for_nodes='(.*?)'", script, re.DOTALL)
    cluster, _ = raylets
    asked = [sys.executable, "-c", program, cluster.address, "5"]
    found = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == "5 of 5 nodes are there\n"


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
    _, by_share = raylets
    plan = plan_of()
    plan.folder.make()
    with pytest.raises(InputError) as caught:
        preflight_of(plan, OLD).check(print)
    message = str(caught.value)
    old, bare = (by_share[kind].node_id[:8] for kind in (OLD, BARE))
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
    cluster, by_share = raylets
    plan = plan_of(gpus_per_trial=0.0)
    plan.folder.make()
    put = preflight.put

    def lose_node(*arguments: Any) -> None:
        cluster.remove_node(by_share[BARE], allow_graceful=False)
        put(*arguments)

    monkeypatch.setattr(preflight, "put", lose_node)
    assert preflight_of(plan, BARE).check(print) == (
        "note: 1 of the nodes vanished while they were looked at",
    )
