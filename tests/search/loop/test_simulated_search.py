from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.log.trial import TrialRecord
from search.loop.simulated_search import Beginning, Pace, play
from search.planning.options import SearchOptions

EVEN = Pace(10.0, 0.0, 0.0, 0.0, 0.0)  # every unit takes ten seconds
OPTIONS = SearchOptions()


def beginning(n: int, slots: int) -> Beginning:
    return Beginning(OPTIONS, (1, 3, 9), n, ("default",), slots)


@settings(max_examples=25)
@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 1000))
def test_every_trial_begins_and_one_runs_to_its_end(n: int, slots: int, seed: int) -> None:
    ending = play(beginning(n, slots), EVEN, random.Random(seed))
    assert max(9, n) <= ending.units <= 9 * n
    assert ending.slot_seconds == pytest.approx(10.0 * ending.units)
    assert ending.seconds >= ending.slot_seconds / slots - 1e-6
    assert 3 <= ending.checkpoints <= n + slots + 1


def test_one_trial_takes_its_units_its_start_and_its_last_evaluation() -> None:
    pace = Pace(10.0, 7.0, 3.0, 0.0, 0.0)
    seconds = play(beginning(1, 1), pace, random.Random(0)).seconds
    assert seconds in (100.0, 103.0, 106.0)  # it may keep its slot at the rungs 1 and 3


def test_equal_draws_give_equal_endings() -> None:
    first, again = (play(beginning(8, 2), EVEN, random.Random(3)) for _ in range(2))
    assert first == again


def test_a_scheduler_that_stops_nothing_trains_all_units() -> None:
    start = replace(beginning(5, 2), options=replace(OPTIONS, scheduler="none"), levels=(9,))
    assert play(start, EVEN, random.Random(0)).units == 45


def test_it_goes_on_from_where_a_search_stands() -> None:
    """Trials that are over train no more, and one that holds a slot has part of its unit behind."""
    done = TrialRecord(0, {}, {}, 0.0, 0.0, status="done")
    done.reports = {unit: {"score": 0.5} for unit in range(1, 10)}
    done.decided = {1: "continue", 3: "continue"}
    running = TrialRecord(1, {}, {}, 0.0, 0.0, status="running")
    start = replace(beginning(2, 1), trials=(done, running), spent=((1, 4.0),))
    ending = play(start, EVEN, random.Random(0))
    assert (ending.units, ending.seconds) == (1, 6.0)
    assert done.units == 9  # what it was given is left as it was
    assert running.units == 0
