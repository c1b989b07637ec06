from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from hypothesis import given
from hypothesis import strategies as st

from search.cluster import slots as module
from search.cluster.slots import Resources, n_concurrent, n_slots, resolve_resources
from search.planning.options import SearchOptions
from trainable.errors import InputError

N_GPUS = st.integers(1, 8)
PARTS = st.integers(1, 8)
CPUS = st.integers(1, 96)


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
    return resolve_resources(SearchOptions(**options), n_trials=1000)


@given(CPUS, N_GPUS, PARTS)
def test_all_slots_of_a_node_are_used_and_none_twice(cpus: int, gpus: int, part: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_nodes", lambda: [{"CPU": cpus, "GPU": gpus}])
        resources = asked(gpus_per_trial=1 / part)
    assert resources.max_concurrent == gpus * part
    # Ray counts in ten-thousandths.
    assert resources.max_concurrent * round(resources.cpus * 10_000) <= cpus * 10_000
    assert resources.cpus >= 1 or resources.cpus == round(resources.cpus, 4)
    if cpus >= gpus * part:
        assert resources.cpus == cpus // (gpus * part)


@given(st.floats(0.05, 1.0), N_GPUS)
def test_a_trial_lies_on_one_gpu(part: float, gpus: int) -> None:
    found = n_slots({"CPU": 1000.0, "GPU": gpus}, Resources(1.0, part, 1))
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
def test_resources_on_usual_machines(
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


def test_n_concurrent_follows_the_nodes_unless_it_is_given(nodes: Callable[..., None]) -> None:
    nodes((8, 2))
    resources = asked(gpus_per_trial=0.5)
    given = SearchOptions(max_concurrent=6)
    found = []
    for there in ([(8, 2)], [(8, 2), (8, 2)], [(8, 2), (4, 0)], []):
        nodes(*there)
        of = (SearchOptions(), given)
        found.append(tuple(n_concurrent(options, resources, 7) for options in of))
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
