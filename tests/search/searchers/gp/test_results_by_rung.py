from __future__ import annotations

import math
import random
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from search.log.history import History, Journal
from search.log.trial import TrialRecord
from search.searchers.gp.results_by_rung import RungResults
from spaces.params import Param
from trainable.component import FloatRange

RUNGS = (1, 3, 9)
PARAMS = [Param("lr", FloatRange(0.0, 1000.0), ())]


def suggest(journal: Journal) -> None:
    number = len(journal.history.trials)
    params = {"lr": float(number)}
    journal.write(
        "suggested", trial=number, params=params, run_config={}, bracket=0, origin="random"
    )


def report(journal: Journal, trial: TrialRecord, score: float | None) -> None:
    unit = trial.units + 1
    journal.write("reported", trial=trial.number, unit=unit, metrics={"score": score}, failure="")
    if unit == 9 or score is None:
        end(journal, trial, "done" if unit == 9 else "stopped")


def end(journal: Journal, trial: TrialRecord, status: str) -> None:
    journal.write("ended", trial=trial.number, status=status, error=None)


def step(journal: Journal, draw: random.Random) -> None:
    """Write something that may happen next."""
    trials = journal.history.trials.values()
    running = [trial for trial in trials if trial.status == "running"]
    paused = [trial for trial in trials if trial.status == "paused"]
    choices: list[tuple[int, Callable[[], object]]] = [(2, lambda: suggest(journal))]
    if running:
        trial = draw.choice(running)
        score = None if draw.random() < 0.05 else float(draw.randrange(4))
        choices.append((8, lambda: report(journal, trial, score)))
        choices.append((1, lambda: end(journal, trial, draw.choice(["failed", "interrupted"]))))
        if trial.units in RUNGS:
            at = {"trial": trial.number, "unit": trial.units}
            choices.append((4, lambda: journal.write("paused", **at)))
    if paused:
        other = draw.choice(paused)
        at = {"trial": other.number, "unit": other.units}
        choices.append((2, lambda: journal.write("promoted", **at, rank=1, among=3)))
        choices.append((1, lambda: end(journal, other, "stopped")))
    weights, actions = zip(*choices, strict=True)
    draw.choices(actions, weights)[0]()


Found = tuple[dict[int, list[int]], list[int], list[int]]


def found_at(results: RungResults, history: History, seed: int) -> Found:
    """Return what each rung has, who failed and who is under way."""
    results.read(history)
    at = {unit: results.at(unit, 9, 5, random.Random(seed)) for unit in RUNGS}
    return at, list(results.failed), list(results.pending)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**31 - 1))
def test_read_step_by_step_or_at_once_is_the_same(seed: int) -> None:
    draw, journal = random.Random(seed), Journal(History())
    ever, seldom = (RungResults(RUNGS, PARAMS) for _ in range(2))
    for number in range(100):
        step(journal, draw)
        found = found_at(ever, journal.history, number)
        if number % 50 == 49:
            anew = found_at(RungResults(RUNGS, PARAMS), journal.history, number)
            assert found == anew == found_at(seldom, journal.history, number)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31 - 1))
def test_each_trial_is_what_its_state_says(seed: int) -> None:
    draw, journal = random.Random(seed), Journal(History())
    results = RungResults(RUNGS, PARAMS)
    for _ in range(60):
        step(journal, draw)
        results.read(journal.history)
    trials = journal.history.trials.values()
    lost = [
        t for t in trials if t.status in ("done", "stopped") and t.units and t.score == -math.inf
    ]
    failed = [*lost, *(t for t in trials if t.status == "failed")]
    assert [results.trials[index] for index in results.failed] == sorted(
        failed, key=lambda trial: trial.number
    )
    assert [results.trials[index] for index in results.pending] == [
        t for t in trials if t.status in ("running", "interrupted") and t not in failed
    ]
    for unit in RUNGS:
        able = [t for t in trials if t not in failed and t.score_at(unit) > -math.inf]
        found = [results.trials[index] for index in results.at(unit, 100, 0, random.Random(0))]
        assert found == sorted(able, key=lambda t: (-t.score_at(unit), t.number))


@given(
    scores=st.lists(st.sampled_from([0.0, 0.5, 1.0]), max_size=30),
    n_best=st.integers(0, 5),
    n_others=st.integers(0, 5),
)
def test_at_a_rung_are_the_best_and_some_others(
    scores: list[float], n_best: int, n_others: int
) -> None:
    journal = Journal(History())
    for score in scores:
        suggest(journal)
        report(journal, journal.history.trials[len(journal.history.trials) - 1], score)
    results = RungResults(RUNGS, PARAMS)
    results.read(journal.history)
    indices = results.at(1, n_best, n_others, random.Random(0))
    ranked = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
    assert indices[:n_best] == ranked[:n_best]
    assert len(set(indices)) == len(indices) == min(len(scores), n_best + n_others)


def test_imported_trials_come_first_and_those_outside_the_space_are_left_out() -> None:
    journal = Journal(History())
    for value in (1.0, "linear", 2.0):
        reports = {1: {"score": 0.5}}
        journal.write(
            "imported", params={"lr": value}, run_config={}, reports=reports, search="other"
        )
    for _ in range(2):
        suggest(journal)
        report(journal, journal.history.trials[len(journal.history.trials) - 1], 0.5)
    results = RungResults(RUNGS, PARAMS)
    results.read(journal.history)
    assert results.imported == [0, 1]
    assert results.index_of == {0: 2, 1: 3}
    assert [trial.params["lr"] for trial in results.trials] == [1.0, 2.0, 0.0, 1.0]
    assert results.at(1, 9, 0, random.Random(0)) == [0, 1, 2, 3]  # equal scores: the earlier first


@given(
    furthest=st.lists(st.sampled_from([0, 1, 3, 9]), max_size=24),
    n_best=st.integers(1, 9),
)
def test_the_best_third_of_each_rung_is_there_once_the_highest_rung_first(
    furthest: list[int], n_best: int
) -> None:
    """Scores do not depend on units; the later of two trials is better."""
    journal = Journal(History())
    for number, units in enumerate(furthest):
        suggest(journal)
        for _ in range(units):
            report(journal, journal.history.trials[number], float(number))
    results = RungResults(RUNGS, PARAMS)
    results.read(journal.history)
    expected: list[int] = []
    for unit in reversed(RUNGS):
        there = [number for number in range(len(furthest)) if furthest[number] >= unit][::-1]
        best = there[: min(n_best, -(-len(there) // 3))]
        expected += [number for number in best if number not in expected]
    assert results.best_third(n_best) == expected
