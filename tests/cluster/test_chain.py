"""The whole chain: `ray up`, a search, a machine that is taken away, idle machines, `ray down`.

    pytest -m root tests/cluster/test_chain.py

Everything that cluster.yaml names is real: ssh, rsync, Ray's autoscaler, its provider, trials that
train and keep their checkpoints in a bucket. AWS is a stand-in whose instances are namespaces of
this machine, on a network from which no way leads out. What the test changes in cluster.yaml is in
`prepare` and `pretend`; what the image would have is in machine.sh.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from search.log.folder import EVENTS
from search.log.history import History
from tests.chaos.metadata import Metadata
from tests.chaos.verify import figures, orphans
from tests.cluster.chain import N_TRIALS, UNITS, Lived, User, answer, live, pretend
from tests.cluster.cloud import prepare, serve
from tests.cluster.machines import GATEWAY, METADATA, Machines, missing, own_network

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing()),
]
pytest.importorskip("moto.server", reason="moto is not installed")


@pytest.fixture(scope="module")
def lived(policies: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    folder = tmp_path_factory.mktemp("chain")
    shared, disks = folder / "shared", folder / "machines"
    shared.mkdir()
    disks.mkdir()
    with ExitStack() as stack:
        stack.enter_context(own_network())
        cloud = stack.enter_context(serve(GATEWAY))
        metadata = stack.enter_context(Metadata(METADATA, 80))
        machines = stack.enter_context(Machines(cloud, disks, shared))
        metadata.next = lambda asker: answer(shared, machines.id_at(asker))
        configuration = prepare(cloud, policies, folder)
        pretend(configuration)
        yield live(cloud, machines, User(cloud, folder, configuration), shared, folder)


def test_no_trial_is_lost_and_none_is_suggested_twice(lived: Lived) -> None:
    found = figures(lived.events, [])
    assert found.is_good, found
    assert found.trials == N_TRIALS
    trials = History(lived.events).trials.values()
    assert [trial.status for trial in trials] == ["done"] * N_TRIALS
    kinds = Counter(event["event"] for event in lived.events)
    assert (kinds["leaving"], kinds["failed"], kinds["lost"]) == (1, 0, 0)


def test_no_step_and_no_unit_is_made_twice(lived: Lived) -> None:
    units = Counter((e["trial"], e["unit"]) for e in lived.events if e["event"] == "reported")
    assert units == Counter((trial, unit) for trial in range(N_TRIALS) for unit in UNITS)
    made = Counter((step["trial"], step["step"]) for step in lived.steps)
    assert set(made.values()) == {1}
    for trial in History(lived.events).trials.values():
        own = sorted(step for number, step in made if number == trial.number)
        assert own == list(range(1, len(own) + 1))
        assert own[-1] == trial.last["steps"]


def test_the_machine_is_taken_away_in_mid_search_and_another_one_replaces_it(lived: Lived) -> None:
    assert "running" in lived.running
    assert "left its machine (spot notice: terminate at " in lived.printed
    (leaving,) = [event for event in lived.events if event["event"] == "leaving"]
    machines = [s["machine"] for s in lived.steps if s["trial"] == leaving["trial"]]
    assert machines[0] == lived.taken
    assert machines[-1] != lived.taken
    assert len({step["machine"] for step in lived.steps}) == 3


def test_workers_are_spot_machines_and_are_given_back(lived: Lived) -> None:
    assert len(lived.workers) == 3
    assert {worker["InstanceLifecycle"] for worker in lived.workers} == {"spot"}
    assert lived.head["InstanceType"] == "m6i.xlarge"


def test_all_results_are_in_the_bucket(lived: Lived) -> None:
    assert lived.events[-1]["event"] == "closed"
    names = {path.name for path in lived.folder.iterdir()}
    assert {EVENTS, "best.json", "trials.csv", "report.md"} <= names
    assert orphans(lived.events, lived.folder) == 0


def test_nothing_is_left_after_ray_down(lived: Lived) -> None:
    assert lived.left == []
    assert lived.left_running == set()
