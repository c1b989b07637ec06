from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from search.log.events import VERSION, Event
from search.log.history import History
from search.log.leaderboard import gained, lead, leaderboard
from search.log.trial import Gain, Status, TrialRecord

DRAWN = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.sampled_from([0.0, 0.5]) | st.floats(-1 / 3, 1),
        st.sampled_from(["done", "stopped", "failed", "interrupted", "running", "paused"]),
    ),
    max_size=8,
)


def event(kind: str, time: float, **fields: Any) -> Event:
    return {"event": kind, "time": time, **fields}


def suggested(number: int, time: float) -> Event:
    nothing: dict[str, Any] = {"params": {}, "run_config": {}, "bracket": 0, "origin": "random"}
    return event("suggested", time, trial=number, **nothing)


LOG = [
    event("search", 100.0, version=VERSION, n_trials=2, slots=2),
    suggested(1, 110.0),
    suggested(0, 111.0),
    event("closed", 140.0, reason=""),
]


def record(number: int, units: int, score: float, status: Status = "done") -> TrialRecord:
    trial = TrialRecord(number, {}, {}, 0.0, 0.0, status=status)
    trial.reports = {unit: {"score": score} for unit in range(1, units + 1)}
    return trial


def history_of(trials: list[TrialRecord]) -> History:
    history = History()
    history.trials = {trial.number: trial for trial in trials}
    return history


def test_trials_are_read_in_the_order_of_suggestion() -> None:
    assert list(History(LOG).trials) == [1, 0]


def test_a_log_without_trials_has_none() -> None:
    assert History([LOG[0], LOG[-1]]).trials == {}
    assert History().best is None


def test_a_trial_further_up_the_rungs_ranks_higher() -> None:
    trials = [record(0, 1, 0.9), record(1, 3, 0.2), record(2, 3, 0.3), record(3, 0, 0.0)]
    assert [trial.number for trial in leaderboard(trials)] == [2, 1, 0, 3]


def test_of_equal_trials_the_first_suggested_ranks_higher_however_they_are_given() -> None:
    trials = [record(n, 3, 0.5) for n in range(4)]
    for order in (trials, trials[::-1]):
        assert [trial.number for trial in leaderboard(order)] == [0, 1, 2, 3]
        assert history_of(order).best is trials[0]


def test_a_failed_trial_is_never_best_however_far_it_came() -> None:
    failed, poor = record(0, 9, 0.9, "failed"), record(1, 1, 0.1)
    assert history_of([failed]).best is None
    assert history_of([failed, poor]).best is poor
    assert leaderboard([failed, poor]) == [poor, failed]


def test_a_trial_that_was_interrupted_may_be_best() -> None:
    trial = record(0, 1, 0.9, "interrupted")
    assert history_of([trial]).best is trial


@given(DRAWN)
def test_the_best_is_the_highest_score_among_those_that_came_furthest(
    drawn: list[tuple[int, float, Status]],
) -> None:
    trials = [record(n, *own) for n, own in enumerate(drawn)]
    board = leaderboard(trials)
    assert {trial.number for trial in board} == set(range(len(drawn)))
    able = [t for t in trials if t.status != "failed" and t.units]
    winner = history_of(trials).best
    if not able:
        assert winner is None
        return
    assert winner is board[0]
    furthest = max(t.units for t in able)
    assert winner.units == furthest
    highest = max(t.score for t in able if t.units == furthest)
    equal = [t.number for t in able if (t.units, t.score) == (furthest, highest)]
    assert winner.number == min(equal)


def compared(gain: float, error: float, is_paired: bool = True) -> list[TrialRecord]:
    """Return a default, a worse trial, and a better one that was compared with the default."""
    default, worse, better = record(0, 9, 0.5), record(1, 9, 0.4), record(2, 9, 0.5 + gain)
    default.origin = "default"
    better.gain = Gain(0, gain, error, gain - 0.01, error, is_paired)
    return [default, worse, better]


def test_the_default_leads_within_the_error_and_the_reason_says_so() -> None:
    trials = compared(0.004, 0.006)
    found = lead(trials)
    assert found.winner is trials[0]
    assert found.reason == (
        "the default (trial 0) leads: trial 2 scored 0.0040 more, within the error of 0.0060"
    )
    assert [trial.number for trial in leaderboard(trials)] == [0, 2, 1]
    assert history_of(trials).best is trials[0]
    assert gained(trials) == "nothing was gained over the default"


def test_with_too_few_examples_for_an_error_the_default_leads() -> None:
    trials = compared(0.3, math.nan)
    found = lead(trials)
    assert found.winner is trials[0]
    assert found.reason.endswith("scored 0.3000 more, on too few examples to know the error")


def test_beyond_the_error_the_better_one_leads() -> None:
    trials = compared(0.028, 0.006)
    assert (lead(trials).winner, lead(trials).reason) == (trials[2], "")
    assert [trial.number for trial in leaderboard(trials)] == [2, 0, 1]
    assert gained(trials) == (
        "gained over the default on confirm: +0.018 ± 0.006 "
        "(one seed each; the error counts examples, not seeds)"
    )


def test_errors_without_predictions_are_named() -> None:
    reason = lead(compared(0.004, 0.006, is_paired=False)).reason
    assert "within the error of two scores without their predictions, of 0.0060" in reason
    assert gained(compared(0.1, 0.006, is_paired=False)).endswith("without their predictions)")


def test_without_a_finished_default_or_a_comparison_the_highest_score_leads() -> None:
    trials = compared(0.004, 0.006)
    trials[2].gain = None
    assert lead(trials).winner is trials[2]
    assert "does not compare trial 2" in lead(trials).reason
    trials = compared(0.004, 0.006)
    trials[0].status = "failed"
    assert lead(trials).winner is trials[2]
    assert "the default (trial 0, failed after unit 9) did not run" in lead(trials).reason
    assert gained(trials) == ""
    others = [record(0, 9, 0.5), record(1, 9, 0.6)]
    assert (lead(others).winner, lead(others).reason, gained(others)) == (others[1], "", "")
