"""Drivers are killed before every single event of a search, without Ray."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from search.log.events import Event
from search.log.history import History
from search.planning.audit_share import LEAST_TRIALS
from search.planning.make_plan import make_plan
from search.planning.options import SearchOptions
from search.planning.plan import Plan
from tests.chaos.simulation import simulate
from tests.chaos.stub import Faults
from tests.chaos.verify import differences, figures, replay

pytestmark = pytest.mark.slow

N_TRIALS = 18  # of which a model suggests some
FAULTS = Faults(folder="", failing=0.25, unknown=0.25)
KINDS = [
    ("rung-gp", "promotion-asha", 1),
    ("random", "promotion-asha", 2),
    ("random", "asha", 1),
    ("random", "none", 1),
    ("stepwise", "promotion-asha", 1),
]
# What is left has few enough extensions that stepwise selection comes to its second round.
FEW_CHOICES = ("*.pooling=mean", "sst.head=linear", "*.pair.*.head=linear", "*.side=none")


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: "-".join(map(str, kind)))
def plan(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    searcher, scheduler, brackets = request.param
    options = SearchOptions(
        space="heads" if searcher == "stepwise" else "smoke",
        fix=FEW_CHOICES if searcher == "stepwise" else (),
        budget="60000",
        units=4,
        eta=3 if scheduler == "none" else 2,  # without rungs any other than the default is refused
        trials=N_TRIALS,
        brackets=brackets,
        audit=None if scheduler == "none" else 0.3,
        searcher=searcher,
        scheduler=scheduler,
        storage=str(tmp_path_factory.mktemp("runs")),
        name="kills",
    )
    plans = (make_plan(replace(options, seed=seed)) for seed in range(20))
    return next(own for own in plans if has_everything(simulate(own, FAULTS), scheduler))


def has_everything(events: list[Event], scheduler: str) -> bool:
    """Whether trials end and fail, a score is not known, and one is audited if there are rungs."""
    return (
        (scheduler == "none" or any(e["event"] == "audited" for e in events))
        and {"done", "failed"} <= {trial.status for trial in History(events).trials.values()}
        and any(e["event"] == "reported" and e["metrics"]["score"] is None for e in events)
    )


def test_a_kill_before_any_event_changes_nothing(plan: Plan) -> None:
    whole = simulate(plan, FAULTS)
    for n_events in range(1, len(whole)):
        resumed = simulate(plan, FAULTS, earlier=whole[:n_events])
        assert differences(whole, resumed) == [], f"killed before {whole[n_events]}"


@pytest.mark.parametrize("seed", range(3))
def test_many_kills_of_a_search_with_many_slots_lose_nothing(plan: Plan, seed: int) -> None:
    draw = random.Random(seed)
    events: list[Event] = []
    while not finished(events):
        events = simulate(
            plan,
            FAULTS,
            n_slots=3,
            seed=draw.randrange(1000),
            earlier=events or None,
            room=draw.randint(1, 50),
        )
    found = figures(events, [])
    assert found.trials == N_TRIALS
    assert found.is_good, found
    assert replay(events, plan) == []


def finished(events: list[Event]) -> bool:
    """Whether a driver that goes on finds nothing to do."""
    trials = History(events).trials.values()
    return len(trials) == N_TRIALS and all(trial.is_over for trial in trials)


def test_the_replay_notices_a_decision_that_is_not_the_schedulers(plan: Plan) -> None:
    if plan.options.scheduler == "none":
        pytest.skip("nothing is decided")
    events = simulate(plan, FAULTS, n_slots=3)
    assert replay(events, plan) == []
    decided = next(k for k, event in enumerate(events) if event["event"] == "decided")
    events[decided] = events[decided] | {"rank": events[decided]["rank"] + 1}
    assert len(replay(events, plan)) == 1


def test_the_replay_notices_a_stop_that_is_missing_or_comes_too_early(plan: Plan) -> None:
    plan = make_plan(replace(plan.options, fix=()))
    plan = replace(plan, n_trials=4 * N_TRIALS)  # of few, most may still be promoted
    options = (replace(plan.options, seed=seed) for seed in range(20))
    plans = (replace(plan, options=own) for own in options)
    found = ((own, simulate(own, FAULTS, n_slots=3, seed=own.options.seed)) for own in plans)
    if plan.options.scheduler != "promotion-asha":
        assert not any(unpromotable(events) for _, events in found)
        return
    plan, events = next(own for own in found if missed(own[1]) and first_pauses(own[1]))
    stop = missed(events)[0]
    ends = [e for e in events if e["event"] == "ended"]
    (end,) = [e for e in ends if e["trial"] == stop["trial"]]
    without = [e for e in events if e is not stop and e is not end]
    assert any("should have been stopped" in line for line in replay(without, plan))
    paused = first_pauses(events)[0]
    early = {**stop, "trial": events[paused]["trial"], "unit": events[paused]["unit"]}
    assert any("stopped" in line for line in replay([*events[: paused + 1], early], plan))


def test_the_replay_knows_the_usual_audit_of_a_long_search(tmp_path: Path) -> None:
    options = SearchOptions(
        space="smoke",
        budget="60000",
        trials=LEAST_TRIALS,
        searcher="random",
        storage=str(tmp_path),
        name="long",
    )
    plan = make_plan(options)
    events = simulate(plan, FAULTS, n_slots=3)
    assert any(event["event"] == "audited" for event in events)
    assert replay(events, plan) == []


def first_pauses(events: list[Event]) -> list[int]:
    """Return the places of the pauses before any trial but the default is done."""
    default = next(e["trial"] for e in events if e.get("origin") == "default")
    ends = (k for k, e in enumerate(events) if e["event"] == "ended" and e["status"] == "done")
    first_end = next((k for k in ends if events[k]["trial"] != default), len(events))
    return [k for k, e in enumerate(events[:first_end]) if e["event"] == "paused"]


def unpromotable(events: list[Event]) -> list[Event]:
    """Return the stops of trials that could not be promoted any more."""
    return [e for e in events if e["event"] == "stopped" and e["reason"].startswith("cannot")]


def missed(events: list[Event]) -> list[Event]:
    """Return those of them without which something would begin too early."""
    last = max(k for k, e in enumerate(events) if e["event"] in ("suggested", "promoted"))
    return unpromotable(events[:last])
