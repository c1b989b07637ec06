"""The race of finalists in whole searches that are played, without Ray."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from search.log.history import History, Journal
from search.log.leaderboard import gained, lead
from search.log.trial import TrialRecord
from search.loop.finalists import Finalists
from search.schedulers.run_all import RunAll

# Runs of seeds are told by their numbers: with these options trials 0 to 3 come first.
OPTIONS: dict[str, Any] = {"n_trials": 4, "units": 2, "scheduler": lambda history: RunAll()}


def independent(runs: Sequence[TrialRecord], split: str) -> Any:
    return np.eye(len(runs)) * 1e-8


def race(
    played: Any,
    worth: dict[int, float],
    earlier: Sequence[Any] = (),
    *,
    most: int = 2,
    n_runs: int = 8,
    places: int = 1,
    order: int = 0,
    fails: Callable[[TrialRecord], bool] = lambda run: False,
    **options: Any,
) -> Any:
    """Play a search whose configurations are worth so much, with a little luck for each seed."""
    search: Any = None

    def outcome(number: int, unit: int) -> float | str:
        run = {r.number: r for r in search.history.runs}[number]
        if run.seed_of is not None and fails(run):
            return "RunFailed: the loss is nan"
        config = number if run.seed_of is None else run.seed_of
        return worth.get(config, 0.5) + random.Random(number).uniform(-0.002, 0.002)

    search = played(outcome, earlier, **{**OPTIONS, **options})
    reported = search.dispatcher.reported

    def with_confirm(id: str, unit: int, metrics: Any, failure: str = "") -> bool:
        known = metrics | {"confirm_score": metrics["score"] - 0.01}
        return bool(reported(id, unit, known, failure))

    search.dispatcher.reported = with_confirm
    search.said = []
    search.dispatcher.queue.finalists = Finalists(
        search.journal, most, n_runs, independent, search.said.append
    )
    return search.play(places, order)


def seeds_of(history: History) -> dict[int, int]:
    found: dict[int, int] = {}
    for run in history.seed_runs.values():
        assert run.seed_of is not None
        found[run.seed_of] = found.get(run.seed_of, 0) + 1
    return found


GAP = {0: 0.5, 1: 0.6, 2: 0.55, 3: 0.4}


def test_the_best_and_the_default_get_new_seeds_that_searcher_and_board_do_not_see(
    played: Any,
) -> None:
    history = race(played, GAP).history
    assert set(history.trials) == {0, 1, 2, 3}
    assert history.race.finalists == [1, 2, 0]
    assert min(history.seed_runs) == 4
    assert history.n_over == 4
    assert {number for number, _ in history.reports} == {0, 1, 2, 3}
    seeds = {run.config.seed for run in history.seed_runs.values() if run.seed_of == 1}
    assert seeds.isdisjoint({trial.config.seed for trial in history.trials.values()})
    assert seeds == {run.config.seed for run in history.seed_runs.values() if run.seed_of == 0}
    assert all(run.status == "done" for run in history.seed_runs.values())


def test_who_is_clearly_behind_gets_no_more_and_the_claim_is_made(played: Any) -> None:
    history = race(played, GAP).history
    assert seeds_of(history)[2] < seeds_of(history)[1]
    found = lead(list(history.trials.values()))
    assert found.winner is history.trials[1]
    verdict = history.trials[1].verdict
    assert verdict.is_better
    assert verdict.gain == pytest.approx(0.1, abs=0.004)
    assert "better than the default by 9.9 ± " in gained(list(history.trials.values()))


def test_equal_configurations_use_up_the_runs_and_no_difference_is_shown(played: Any) -> None:
    history = race(played, dict.fromkeys(range(4), 0.5), most=1, n_runs=6).history
    assert history.race.rounds[-1]["is_over"]
    assert len(history.seed_runs) <= 6
    assert "no difference was shown" in gained(list(history.trials.values()))


def test_more_finalists_than_the_runs_can_pay_are_not_begun(played: Any) -> None:
    assert race(played, GAP, most=3, n_runs=4).history.race.finalists == [1, 0]


@pytest.mark.parametrize("places", [1, 3])
def test_a_race_that_is_killed_anywhere_ends_as_one_that_was_not(played: Any, places: int) -> None:
    whole = race(played, GAP)
    events = whole.log.events
    begun = next(i for i, event in enumerate(events) if event["event"] == "finalists")
    for end in range(begun, len(events), places):
        again = race(played, GAP, events[:end], places=places, order=end)
        assert again.history.race.rounds[-1]["winner"] == 1
        assert seeds_of(again.history) == seeds_of(whole.history), f"cut after {events[end - 1]}"
        assert again.history.trials[1].verdict == whole.history.trials[1].verdict or places > 1
        kinds = [event["event"] for event in again.log.events]
        assert kinds.count("verdict") == kinds.count("finalists") == 1


def test_a_finalist_that_fails_with_another_seed_is_out(played: Any) -> None:
    history = race(played, GAP, fails=lambda run: run.seed_of == 1).history
    assert lead(list(history.trials.values())).winner is history.trials[2]
    line = next(own for own in history.race.rounds[-1]["standings"] if own["trial"] == 1)
    assert line["left"] == 1


def test_without_runs_of_the_default_the_race_ends_with_what_is_there(played: Any) -> None:
    history = race(played, GAP, fails=lambda run: run.seed_of == 0).history
    assert history.race.is_over
    assert history.race.rounds[-1]["reason"] == "the runs of the default failed"
    assert "no difference was shown" in gained(list(history.trials.values()))


def test_a_search_without_a_rival_has_no_finalists(played: Any) -> None:
    search = race(played, GAP, n_trials=1)
    assert search.history.race.is_over
    assert not search.history.seed_runs
    assert "no finalists" in search.said[0]


def test_a_search_that_is_extended_races_anew_with_the_runs_that_are_there(played: Any) -> None:
    first = race(played, GAP)
    again = race(played, {**GAP, first.history.next_number: 0.7}, first.log.events, n_trials=5)
    newest = max(again.history.trials)
    assert newest == first.history.next_number
    assert again.history.race.finalists[0] == newest
    assert lead(list(again.history.trials.values())).winner is again.history.trials[newest]
    assert again.history.trials[1].verdict is None
    kept = [run for run in again.history.seed_runs if run < newest]
    assert kept == list(first.history.seed_runs)


def test_a_search_that_is_extended_without_a_new_trial_keeps_its_verdict(played: Any) -> None:
    first = race(played, GAP)
    resumed = [{"event": "resumed", "time": 0.0, "n_trials": n, "options": {}} for n in (8, 4)]
    history = History([*first.log.events, *resumed])
    assert history.trials[1].verdict == first.history.trials[1].verdict is not None
    assert lead(list(history.trials.values())).winner is history.trials[1]
    again = race(played, GAP, [*first.log.events, *resumed])
    assert len(again.history.seed_runs) == len(first.history.seed_runs)
    assert again.history.trials[1].verdict is not None


def test_the_forecast_has_each_run_of_finalists_until_it_is_over(played: Any) -> None:
    events = race(played, GAP).log.events
    begun = [i for i, event in enumerate(events) if event.get("seed_of") is not None]
    for i, n_units in ((begun[0], []), (begun[0] + 1, [0]), (begun[1], [])):
        journal = Journal(History(events[:i]))
        left = Finalists(journal, 2, 8, independent, print).left()
        over = sum(run.is_over for run in journal.history.seed_runs.values())
        assert left == n_units + [0] * (8 - over - len(n_units))
    done = Finalists(Journal(History(events)), 2, 8, independent, print)
    assert (done.left(), done.at_a_time) == ([], len(done._history.race.live))


def test_finalists_can_be_added_to_a_search_that_is_over(played: Any) -> None:
    without = played(lambda number, unit: GAP.get(number, 0.5), **OPTIONS).play()
    assert without.history.race is None
    assert race(played, GAP, without.log.events).history.trials[1].verdict.is_better
