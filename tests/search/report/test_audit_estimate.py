from __future__ import annotations

import random

import pytest
from scipy.stats import binomtest, hypergeom

from search.log.trial import TrialRecord
from search.report.audit_estimate import cut_winners, is_cut, other_rungs, sentence


def trial(number: int, scores: dict[int, float], status: str, audited_at: int = 0) -> TrialRecord:
    record = TrialRecord(number, {}, {}, 0.0, 0.0, origin="random", status=status)  # type: ignore[arg-type]
    record.reports = {unit: {"score": score} for unit, score in scores.items()}
    record.decided = {1: "stop" if audited_at or status == "stopped" else "continue"}
    record.audited_at = audited_at
    return record


def made_up(n: int, run_on: int, won: int) -> list[TrialRecord]:
    """Return a full run, and n stopped trials of which some ran on."""
    found = [trial(0, {1: 0.5, 9: 0.6}, "done")]
    for k in range(1, n + 1):
        if k <= run_on:
            found.append(trial(k, {1: 0.3, 9: 0.7 if k <= won else 0.5}, "done", 1))
        else:
            found.append(trial(k, {1: 0.3}, "stopped"))
    return found


@pytest.mark.parametrize(("n", "run_on"), [(12, 1), (20, 4), (40, 3), (9, 9)])
def test_the_interval_covers_whatever_the_truth_is(n: int, run_on: int) -> None:
    """Over all samples, each truth is in its interval with at least 90 %."""
    bounds = {}
    for won in range(run_on + 1):
        found = cut_winners(made_up(n, run_on, won))
        assert found is not None
        assert (found.stopped, found.run_on, found.won) == (n, run_on, won)
        bounds[won] = (found.low, found.high)
        of_share = binomtest(won, run_on).proportion_ci(0.9, "exact")
        # The stopped trials are few, so that the sample says more than one of many would.
        assert of_share.low * n - 1 <= found.low <= found.high <= of_share.high * n + 1
    for truth in range(n + 1):
        covered = sum(
            hypergeom.pmf(won, n, truth, run_on)
            for won, (low, high) in bounds.items()
            if low <= truth <= high
        )
        assert covered >= 0.9 - 1e-9


def test_only_the_trials_that_a_rung_stopped_count() -> None:
    trials = [
        *made_up(5, 2, 1),
        trial(6, {1: 0.2}, "failed"),
        trial(7, {1: 0.2}, "interrupted"),
        trial(8, {1: 0.2, 2: 0.9}, "interrupted", 1),  # its audit is not over
        trial(9, {1: 0.2, 2: 0.2}, "failed", 1),
    ]
    assert [own.number for own in trials if is_cut(own)] == [1, 2, 3, 4, 5, 8, 9]
    found = cut_winners(trials)
    assert found is not None
    assert (found.stopped, found.run_on, found.won) == (7, 3, 1)
    assert (found.under_way, found) == (1, cut_winners(trials, unit=1))
    assert cut_winners(trials[1:]) is None  # no full run that no rung stopped


def test_the_sentence_is_plain() -> None:
    found = [cut_winners(made_up(*sizes)) for sizes in ((0, 0, 0), (8, 0, 0), (30, 2, 0))]
    texts = [sentence(own, 0.05) for own in found if own]
    assert texts[0] == ""
    assert "none of the 8 trials that rungs stopped was drawn to run on (5% are)" in texts[1]
    begun = cut_winners([trial(0, {9: 0.5}, "done"), trial(1, {1: 0.3}, "interrupted", 1)])
    assert begun is not None
    assert "1 of 1 trial that a rung stopped was drawn to run on" in sentence(begun, 1)
    assert texts[2] == (
        "audit: 2 of the 30 trials that rungs stopped ran on to their end, and none of these would "
        "have won; so 0 to 22 of the 30 would have (90 % interval), which is too few to say more"
    )


def test_rungs_that_were_used_keep_the_winner_and_stricter_ones_may_cut_it() -> None:
    scores = [0.9, 0.5, 0.6, 0.3, 0.2, 0.1]
    trials = [trial(n, {1: s, 3: s, 9: s}, "done") for n, s in enumerate(scores[:3])]
    trials[2].reports[9] = {"score": 0.95}  # second at the first rung
    trials += [trial(n + 3, {1: s}, "stopped") for n, s in enumerate(scores[3:])]
    by_eta = {eta: other_rungs(trials, trials[2], (1, 9), eta, 0.05) for eta in (2, 3, 6)}
    assert [own.cut_at for own in by_eta.values()] == [None, None, 1]
    assert by_eta[6].best is trials[0]


def test_audited_trials_stand_for_those_that_did_not_run_on() -> None:
    """With all curves known the rung after unit 3 keeps the same, on average over draws."""
    draw = random.Random(0)
    whole = [
        trial(n, {1: draw.random(), 3: draw.random(), 9: draw.random()}, "done") for n in range(60)
    ]
    whole[0].reports |= {1: {"score": 0.8}, 9: {"score": 2.0}}
    for rank, kept in ((0.9, True), (0.2, False)):  # far from the border of one in three
        whole[0].reports[3] = {"score": rank}
        n_cut = 0
        for seed in range(30):
            drawn = random.Random(seed)
            seen = [whole[0]]
            for own in whole[1:]:
                is_stopped = own.score_at(1) < 0.6
                scores = {u: own.score_at(u) for u in (1, 3, 9)}
                if not is_stopped:
                    seen.append(own)
                elif drawn.random() < 0.3:
                    seen.append(trial(own.number, scores, "done", 1))
                else:
                    seen.append(trial(own.number, {1: scores[1]}, "stopped"))
            n_cut += other_rungs(seen, whole[0], (3, 9), 3, 0.3).cut_at == 3
        assert n_cut == (0 if kept else 30)
