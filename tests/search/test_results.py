from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.events import Event
from search.results import Status, TrialRecord, actor_seconds, best, leaderboard, records
from trainable.errors import InputError
from trainable.run_config import RunConfig

CONFIG = RunConfig(seed=3)


def event(kind: str, time: float, **fields: Any) -> Event:
    return {"event": kind, "time": time, **fields}


def suggested(number: int, time: float) -> Event:
    config = {"params": {"lr": 0.1}, "run_config": CONFIG.to_dict()}
    return event("suggested", time, trial=number, id=f"id{number}", **config)


def reported(number: int, time: float, unit: int, score: float | None) -> Event:
    return event("reported", time, trial=number, unit=unit, metrics={"score": score})


def ended(number: int, time: float, status: Status, error: str | None = None) -> Event:
    return event("ended", time, trial=number, status=status, error=error)


LOG = [
    event("search", 100.0, slots=2),
    suggested(0, 110.0),
    suggested(1, 111.0),
    reported(0, 120.0, 1, 0.5),
    reported(1, 121.0, 1, 0.4),
    event("decided", 121.5, trial=1, unit=1, decision="stop"),
    ended(1, 122.0, "stopped"),
    suggested(2, 123.0),
    reported(0, 130.0, 2, 0.6),
    ended(0, 131.0, "done"),
    event("failed", 132.0, trial=2, error="lost its worker"),
    reported(2, 133.0, 1, -1 / 3),
    ended(2, 134.0, "failed", "RunFailed: the loss is nan"),
    suggested(3, 135.0),
    event("closed", 140.0),
]


def test_trials_are_read_in_the_order_of_suggestion() -> None:
    trials = records(LOG)
    assert [(t.number, t.id, t.status) for t in trials] == [
        (0, "id0", "done"),
        (1, "id1", "stopped"),
        (2, "id2", "failed"),
        (3, "id3", "running"),
    ]
    assert trials[0].params == {"lr": 0.1}
    assert trials[0].config == CONFIG
    assert trials[0].reports == {1: {"score": 0.5}, 2: {"score": 0.6}}
    assert (trials[0].started, trials[0].ended) == (110.0, 131.0)
    assert (trials[0].units, trials[0].score) == (2, 0.6)
    assert trials[2].error == "RunFailed: the loss is nan"


def test_a_trial_without_a_report_has_no_score() -> None:
    trial = records(LOG)[3]
    assert (trial.units, trial.last, trial.score) == (0, {}, float("-inf"))
    assert trial.ended == trial.started


def test_a_score_that_is_not_known_ranks_last() -> None:
    trials = records([suggested(0, 1.0), reported(0, 2.0, 1, None)])
    assert trials[0].score == float("-inf")


def test_a_unit_that_was_repeated_counts_once() -> None:
    events = [suggested(0, 1.0), reported(0, 2.0, 1, 0.5), reported(0, 3.0, 1, 0.5)]
    assert list(records(events)[0].reports) == [1]


def test_a_log_with_a_config_of_another_program_is_refused() -> None:
    line = suggested(7, 1.0)
    line["run_config"] = {**line["run_config"], "unheard_of": 1}
    with pytest.raises(InputError, match=r"trial 7.*unheard_of"):
        records([line])


def test_a_log_without_trials_has_none() -> None:
    assert records([event("search", 1.0, slots=1), event("closed", 2.0)]) == []
    assert best([]) is None


def test_a_trial_further_up_the_rungs_ranks_higher() -> None:
    events = [suggested(n, 1.0) for n in range(4)]
    events += [reported(0, 2.0, 1, 0.9), reported(1, 2.0, 3, 0.2), reported(2, 2.0, 3, 0.3)]
    assert [trial.number for trial in leaderboard(records(events))] == [2, 1, 0, 3]


def test_a_failed_trial_is_never_best_however_far_it_came() -> None:
    events = [suggested(0, 1.0), reported(0, 2.0, 9, 0.9), ended(0, 3.0, "failed", "nan")]
    assert best(records(events)) is None
    events += [suggested(1, 4.0), reported(1, 5.0, 1, 0.1)]
    winner = best(records(events))
    assert winner is not None
    assert winner.number == 1
    assert [trial.number for trial in leaderboard(records(events))] == [1, 0]


def test_a_trial_that_was_interrupted_may_be_best() -> None:
    events = [suggested(0, 1.0), reported(0, 2.0, 1, 0.9), ended(0, 3.0, "interrupted")]
    winner = best(records(events))
    assert winner is not None
    assert winner.status == "interrupted"


@given(
    st.lists(
        st.tuples(
            st.integers(0, 4),
            st.floats(-1 / 3, 1),
            st.sampled_from(["done", "stopped", "failed", "interrupted", "running"]),
        ),
        max_size=8,
    )
)
def test_the_best_is_the_highest_score_among_those_that_came_furthest(
    drawn: list[tuple[int, float, Status]],
) -> None:
    trials = []
    for number, (units, score, status) in enumerate(drawn):
        trial = TrialRecord(number, str(number), {}, CONFIG, 0.0, 0.0, status=status)
        trial.reports = {unit: {"score": score} for unit in range(1, units + 1)}
        trials.append(trial)
    board = leaderboard(trials)
    assert {trial.number for trial in board} == set(range(len(drawn)))
    able = [t for t in trials if t.status != "failed" and t.units]
    winner = best(trials)
    if not able:
        assert winner is None
        return
    assert winner is board[0]
    furthest = max(t.units for t in able)
    assert winner.units == furthest
    assert winner.score == max(t.score for t in able if t.units == furthest)


def test_seconds_of_actors_are_slots_times_the_life_of_each_driver() -> None:
    assert actor_seconds(LOG) == 2 * 40
    again = [event("resumed", 1000.0, slots=3), reported(3, 1005.0, 1, 0.5)]
    assert actor_seconds([*LOG, *again]) == 2 * 40 + 3 * 5
    # A driver that was killed leaves no last line.
    assert actor_seconds([*LOG[:-1], *again]) == 2 * 35 + 3 * 5


def test_seconds_of_actors_of_an_empty_log_are_none() -> None:
    assert actor_seconds([]) == 0
