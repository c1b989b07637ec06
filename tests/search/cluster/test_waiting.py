from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
import yaml
from ray.autoscaler._private.util import prepare_config

from search.cluster import nodes as waiting
from search.cluster.local_ray import PRIVATE
from search.cluster.nodes import wait_for_nodes
from search.cluster.slots import HEAD, Resources, resources
from search.planning.options import SearchOptions

Node = dict[str, float]
NO_CPU: Node = {HEAD: 1.0}
PLAIN: Node = {HEAD: 1.0, "CPU": 8.0}
GPU: Node = {"CPU": 8.0, "GPU": 1.0}


class Waited:
    """A cluster to which nodes come while somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        self.now, self.said, self.home = 0.0, list[str](), home
        self.nodes: list[tuple[float, Node]] = []
        clock = SimpleNamespace(monotonic=lambda: self.now, sleep=self._sleep)
        monkeypatch.setattr(waiting, "time", clock)
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
        return resources(SearchOptions(), n_trials=1000)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Waited:
    return Waited(monkeypatch, tmp_path)


@pytest.fixture
def lab(repository: Path) -> dict[str, Any]:
    path = repository / "search" / "clusters" / "local.yaml"
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def test_a_lab_is_waited_for_before_the_share_is_read(cluster: Waited, lab: dict[str, Any]) -> None:
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
