from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config

from search.cluster import nodes as module
from search.cluster.local_ray import PRIVATE
from search.cluster.nodes import Nodes, wait_for_nodes
from search.cluster.preflight import checks as preflight
from search.cluster.preflight.checks import Preflight
from search.cluster.preflight.node_report import make_report
from search.cluster.slots import HEAD, Resources, resolve_resources
from search.loop.limits import Limits
from search.planning.options import SearchOptions
from search.planning.plan import Plan

MakePlan = Callable[..., Plan]
Node = dict[str, float]
NO_CPU: Node = {HEAD: 1.0}
PLAIN: Node = {HEAD: 1.0, "CPU": 8.0}
GPU: Node = {"CPU": 8.0, "GPU": 1.0}


class Joined:
    """A cluster whose nodes come when the test says so, and answer as the test says.

    Attributes:
        there: Ids of nodes.
        answer: What nodes say that differs from the driver.
        silent: Whether they do not answer yet.
    """

    def __init__(self, plan: Plan, search: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.there, self.said = 0.0, ["a" * 40], list[str]()
        self.answer, self.silent, self.asked = dict[str, Any](), False, list[list[str]]()
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(preflight, "time", clock)
        monkeypatch.setattr(preflight, "ask_nodes", self._questions)
        monkeypatch.setattr(preflight, "collect_reports", self._answers)
        monkeypatch.setattr(preflight, "ray", SimpleNamespace(wait=self._wait))
        monkeypatch.setattr(ray, "nodes", self._nodes)
        monkeypatch.setattr(ray, "cluster_resources", dict)
        monkeypatch.setenv("HOME", str(plan.folder.local))  # no `ray up` was here
        self.plan, self.log = plan, search.log
        resources = Resources(1.0, 1.0, 2)
        self.preflight = Preflight(plan.folder, plan.options, resources, plan.checkpoint_bytes)
        self.first = self.preflight.check(self.said.append)
        self.limits = Limits(search.dispatcher, plan.options, 1.0, self.said.append, 0.0)
        say = self.said.append
        self.nodes = Nodes(
            search.journal, plan.options, resources, self.preflight, self.limits, say
        )

    def _nodes(self) -> list[dict[str, Any]]:
        has = {"Resources": {"CPU": 2.0, "GPU": 2.0}, "NodeManagerAddress": "10.0.0.7"}
        return [{"Alive": True, "NodeID": id, **has} for id in self.there]

    def _questions(self, ids: list[str], about: tuple[Any, ...]) -> dict[str, str]:
        self.asked.append(ids)
        self._about = about
        return {id: id for id in ids}

    def _wait(self, asked: list[str], **_: Any) -> tuple[list[str], list[str]]:
        return ([], asked) if self.silent else (asked, [])

    def _answers(self, asked: dict[str, str], *_: float) -> tuple[dict[str, Any], dict[str, str]]:
        if self.silent:
            return {}, dict.fromkeys(asked, "no answer in 180 s")
        return {id: {**make_report(id, *self._about), **self.answer} for id in asked}, {}

    def look(self, seconds: float = 5.0) -> None:
        self.now += seconds
        self.nodes.look()

    @property
    def left(self) -> list[Path]:
        return list(self.plan.folder.local.glob(".preflight-*"))


@pytest.fixture
def joined(plan_of: MakePlan, played: Any, monkeypatch: pytest.MonkeyPatch) -> Joined:
    return Joined(plan_of(space="smoke"), played(lambda n, u: 0.0), monkeypatch)


def test_a_node_that_joins_is_looked_at_once_and_used(joined: Joined) -> None:
    joined.there.append("b" * 40)
    for _ in range(4):
        joined.look()
    assert joined.asked == [["a" * 40], ["b" * 40]]
    assert (joined.nodes.n_concurrent, joined.limits.reached, joined.said, joined.left) == (
        4,
        None,
        [],
        [],
    )
    assert [e["slots"] for e in joined.log.events if e["event"] == "places"] == [4]


def test_a_node_with_another_project_ends_the_search_and_is_named(joined: Joined) -> None:
    joined.there.append("b" * 40)
    joined.answer = {"home": "/old", "sources": {}}
    joined.look()
    joined.look()
    assert joined.limits.is_failure
    reason = str(joined.limits.reached)
    assert "10.0.0.7" in reason
    assert "bbbbbbbb" in reason
    assert "the project in /old is not the driver's" in reason
    assert joined.left == []


def test_a_node_that_does_not_answer_is_told_of_and_ends_nothing(joined: Joined) -> None:
    joined.there.append("b" * 40)
    joined.silent = True
    joined.look()
    joined.look()
    assert joined.said == []
    joined.look(180.0)
    assert "bbbbbbbb): no answer in 180 s" in joined.said[0]
    assert (joined.limits.reached, joined.left) == (None, [])


def test_nothing_is_left_where_a_search_ends_meanwhile(joined: Joined) -> None:
    joined.there.append("b" * 40)
    joined.silent = True
    joined.look()
    assert len(joined.left) == 1
    joined.preflight.close()
    assert joined.left == []


class Waited:
    """A cluster to which nodes come while somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        self.now, self.said, self.home = 0.0, list[str](), home
        self.nodes: list[tuple[float, Node]] = []
        clock = SimpleNamespace(monotonic=lambda: self.now, sleep=self._sleep)
        monkeypatch.setattr(module, "time", clock)
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setattr(ray, "nodes", self._there)
        monkeypatch.setattr(ray, "cluster_resources", dict)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    def _there(self) -> list[dict[str, Any]]:
        return [{"Alive": True, "Resources": node} for when, node in self.nodes if self.now >= when]

    def launched(self, cluster: dict[str, Any]) -> None:
        """Leave on the head what `ray up` leaves there."""
        text = yaml.safe_dump(prepare_config(copy.deepcopy(cluster)))
        (self.home / "ray_bootstrap_config.yaml").write_text(text)

    def wait(self) -> Resources:
        wait_for_nodes(self.said.append)
        return resolve_resources(SearchOptions(), n_trials=1000)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Waited:
    return Waited(monkeypatch, tmp_path)


@pytest.fixture
def lab(repository: Path) -> dict[str, Any]:
    path = repository / "search" / "cluster" / "launch" / "local.yaml"
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def test_a_lab_is_waited_for_before_resources_are_resolved(
    cluster: Waited, lab: dict[str, Any]
) -> None:
    cluster.launched(lab)
    cluster.nodes = [(0.0, PLAIN), (100.0, GPU), (400.0, GPU)]
    assert cluster.wait() == Resources(8.0, 1.0, 2)
    assert 400 <= cluster.now < 410
    (said,) = cluster.said
    assert "waiting for 2 workers, of which 0 are there" in said
    assert "at most 15 minutes" in said


def test_a_machine_that_is_off_is_not_waited_for_without_end(
    cluster: Waited, lab: dict[str, Any]
) -> None:
    cluster.launched(lab)
    cluster.nodes = [(0.0, PLAIN), (0.0, GPU)]
    assert cluster.wait() == Resources(8.0, 1.0, 1)
    assert 900 <= cluster.now < 910
    assert "waited in vain for 2 workers, of which 1 are there" in cluster.said[-1]


def test_a_head_without_cpus_waits_for_the_first_worker(cluster: Waited) -> None:
    cluster.nodes = [(0.0, NO_CPU), (60.0, GPU)]
    assert cluster.wait() == Resources(8.0, 1.0, 1)
    assert "a first node that takes trials" in cluster.said[0]


@pytest.mark.parametrize("nodes", [[PLAIN], [GPU, NO_CPU]])
def test_where_nothing_is_expected_nothing_is_waited_for(cluster: Waited, nodes: Any) -> None:
    cluster.nodes = [(0.0, node) for node in nodes]
    cluster.wait()
    assert (cluster.now, cluster.said) == (0.0, [])


def test_workers_that_are_launched_for_trials_are_not_waited_for(
    cluster: Waited, repository: Path
) -> None:
    aws = yaml.safe_load((repository / "cluster.yaml").read_text(encoding="utf-8"))
    aws["available_node_types"]["a10g_4"]["min_workers"] = 1
    cluster.launched(aws)
    cluster.nodes = [(0.0, NO_CPU)]
    assert cluster.wait() == Resources(12.0, 1.0, 16)
    assert (cluster.now, cluster.said) == (0.0, [])


def test_a_local_ray_waits_for_nobody(
    cluster: Waited, lab: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.launched(lab)
    cluster.nodes = [(0.0, PLAIN)]
    monkeypatch.setattr(ray, "cluster_resources", lambda: {PRIVATE: 1.0})
    wait_for_nodes(cluster.said.append)
    assert (cluster.now, cluster.said) == (0.0, [])
