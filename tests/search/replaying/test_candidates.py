from __future__ import annotations

from typing import Any

import pytest

from search.replaying.candidates import Candidate, candidates, replay

OWN = Candidate("promotion-asha", 3, 9)


def test_the_candidates_begin_with_the_searchs_own_and_end_with_none() -> None:
    found = candidates(OWN)
    assert found[0] == OWN
    assert found[-1] == Candidate("none", 3, 9)
    assert len(found) == len(set(found)) == 13
    assert {own.units for own in found} == {9, 3}
    assert {own.units for own in candidates(Candidate("asha", 2, 7))} == {7}
    assert candidates(Candidate("none", 3, 1)) == [Candidate("none", 3, 1)]


def test_a_replay_in_the_recorded_order_is_the_search(record: Any) -> None:
    """The scheduler is the same one, so that it spends as much and finds the same."""
    recording, own, curves = record(16, 2)
    outcome = replay(own, recording, recording.trials, curves, 0)
    best = max((t for t in recording.trials if t.status == "done"), key=lambda t: t.score)
    assert outcome.spent == recording.spent
    assert (outcome.whole.number, outcome.whole.score) == (best.number, best.score)


def test_without_rungs_the_best_of_what_the_budget_pays_for_is_found(record: Any) -> None:
    recording, _, curves = record(12, 3)
    outcome = replay(Candidate("none", 3, 9), recording, recording.trials, curves, 0)
    n_begun = -(-recording.spent // 9)
    known = {n: curves[n][-1] for n in range(n_begun)}
    assert outcome.whole.number == max(range(recording.spent // 9), key=lambda n: known[n])
    assert outcome.spent == recording.spent


def test_fewer_units_of_a_run_are_longer_ones(record: Any) -> None:
    recording, _, curves = record(12, 4)
    outcome = replay(Candidate("asha", 3, 3), recording, recording.trials, curves, 0)
    assert outcome.spent % 3 == 0
    assert 0 < outcome.spent < recording.spent + 3


@pytest.mark.parametrize("scheduler", ["promotion-asha", "asha", "none"])
def test_a_trial_whose_curve_ends_fails_there_and_does_not_lead(
    record: Any, scheduler: Any
) -> None:
    recording, _, curves = record(8, 5)
    best = max(curves, key=lambda n: curves[n][-1])
    cut = {n: (own[:1] if n == best else own) for n, own in curves.items()}
    outcome = replay(Candidate(scheduler, 3, 9), recording, recording.trials, cut, 0)
    assert outcome.whole.number != best
