from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.history import History
from search.proposals import Params, Proposal, Proposer, RandomProposer, draw_params, params_key
from search.rung_tpe import RungTpe
from search.trial_record import Status, TrialRecord
from spaces.catalogue import base_config, make_space
from tests.search.proposed import check
from trainable.component import FloatRange
from trainable.data.sources import SampleData
from trainable.encoder import EncoderConfig
from trainable.stages.multitask import Multitask

BASE = base_config(EncoderConfig(), SampleData(), 0, Multitask())
SPACES = {name: make_space(name, BASE) for name in ("smoke", "heads", "full")}
PARAMS = {name: space.params() for name, space in SPACES.items()}
SMOKE = SPACES["smoke"]
LR = "multitask.optimization.lr"
LR_ONLY = replace(SMOKE, vary=(LR,))
RUNGS = (1, 3, 9)
SEEDS = st.integers(0, 2**31 - 1)


def record(
    number: int, params: Params, scores: dict[int, float | None], status: Status = "done"
) -> TrialRecord:
    trial = TrialRecord(number, params, {}, 0.0, 0.0, status=status)
    trial.reports = {unit: {"score": score} for unit, score in scores.items()}
    return trial


def history_of(trials: Iterable[TrialRecord]) -> History:
    history = History()
    history.trials = {trial.number: trial for trial in trials}
    return history


def some_history(name: str, n: int, seed: int) -> History:
    """Return trials in every state."""
    draw = random.Random(seed)
    states: list[Status] = ["done", "paused", "running", "stopped", "failed", "interrupted"]
    trials = []
    for number in range(n):
        status = draw.choices(states, [4, 3, 1, 1, 1, 1])[0]
        units = 9 if status == "done" else draw.choice([0, 1, 2, 3])
        scores: dict[int, float | None] = {u: draw.random() for u in range(1, units + 1)}
        if status == "stopped" and scores:
            scores[units] = None
        trials.append(record(number, draw_params(PARAMS[name], draw), scores, status))
    return history_of(trials)


def propose(proposer: Proposer, history: History, number: int | None = None) -> Proposal:
    proposal = proposer.propose(len(history.trials) if number is None else number, history)
    assert isinstance(proposal, Proposal)
    return proposal


def lrs(history: History, n: int = 40, space_seed: int = 0) -> list[float]:
    """Return what a model would propose for the learning rate, for many numbers."""
    proposer = RungTpe(LR_ONLY, space_seed, RUNGS, random_share=0.0)
    found = [propose(proposer, history, 10_000 + k) for k in range(n)]
    assert all(own.origin.startswith("rung-tpe") for own in found)
    return [float(own.params[LR]) for own in found]


@pytest.mark.parametrize("name", SPACES)
@settings(max_examples=6)
@given(seed=SEEDS, n=st.integers(0, 60))
def test_proposals_are_inside_the_space_and_new(name: str, seed: int, n: int) -> None:
    space, history = SPACES[name], some_history(name, n, seed)
    proposal = propose(RungTpe(space, seed, RUNGS, min_results=1), history)
    check(proposal, space, history)


@settings(max_examples=3)
@given(seed=SEEDS, stop=st.integers(1, 6))
def test_a_restart_changes_nothing(seed: int, stop: int) -> None:
    whole, broken = (some_history("heads", 20, seed) for _ in range(2))
    proposer = again = RungTpe(SPACES["heads"], seed, RUNGS, min_results=3)
    for number in range(20, 28):
        if number % stop == 0:
            again = RungTpe(SPACES["heads"], seed, RUNGS, min_results=3)
        proposals = [propose(proposer, whole), propose(again, broken)]
        assert proposals[0] == proposals[1]
        for own, history in zip(proposals, (whole, broken), strict=True):
            history.trials[number] = record(number, own.params, {}, "running")


def test_equal_histories_in_other_objects_give_equal_proposals() -> None:
    proposer = RungTpe(SPACES["full"], 0, RUNGS, random_share=0.0)
    histories = [some_history("full", 40, seed) for seed in (0, 1, 0)]
    first, other, again = (propose(proposer, history) for history in histories)
    assert first == again
    assert first.params != other.params


def test_other_seeds_give_other_proposals() -> None:
    history = some_history("full", 40, 0)
    found = {params_key(propose(RungTpe(SPACES["full"], s, RUNGS), history).params) for s in (0, 1)}
    assert len(found) == 2


@given(n=st.integers(0, 14), min_results=st.integers(1, 12))
@settings(max_examples=10)
def test_proposals_are_random_until_a_rung_has_enough_results(n: int, min_results: int) -> None:
    history = some_history("smoke", 0, 0)
    for number in range(n):
        history.trials[number] = record(number, {LR: 1e-3 + 1e-5 * number}, {1: 0.5}, "paused")
    proposer = RungTpe(LR_ONLY, 0, RUNGS, min_results=min_results, random_share=0.0)
    expected = "rung-tpe at unit 1" if n >= min_results else "random"
    assert propose(proposer, history).origin == expected


def two_rungs(n_high: int) -> History:
    """Return 30 trials: after one unit low rates look good, after nine (if they ran) high ones."""
    draw = random.Random(0)
    trials = []
    for number in range(30):
        lr = math.exp(draw.uniform(math.log(1e-3), math.log(1e-2)))
        scores: dict[int, float | None] = {1: -lr}
        if number < n_high:
            scores |= {3: lr, 9: lr}
        trials.append(record(number, {LR: lr}, scores, "done" if number < n_high else "stopped"))
    return history_of(trials)


def test_it_learns_from_the_highest_rung_with_enough_results() -> None:
    proposer = RungTpe(LR_ONLY, 0, RUNGS, random_share=0.0)
    assert propose(proposer, two_rungs(9)).origin == "rung-tpe at unit 1"
    assert propose(proposer, two_rungs(10)).origin == "rung-tpe at unit 9"
    assert statistics.median(lrs(two_rungs(9))) < 2e-3
    assert statistics.median(lrs(two_rungs(20))) > 5e-3


def test_of_scores_at_other_units_their_order_matters_alone() -> None:
    history, changed = two_rungs(20), two_rungs(20)
    for trial in changed.trials.values():
        trial.reports[1] = {"score": 1000.0 + 100.0 * trial.score_at(1)}
        if 9 in trial.reports:
            trial.reports[3] = {"score": 1000.0}
    assert lrs(history) == lrs(changed)


def test_a_third_of_the_proposals_is_random() -> None:
    history = two_rungs(20)

    def share(random_share: float) -> float:
        proposer = RungTpe(LR_ONLY, 0, RUNGS, random_share=random_share)
        origins = [propose(proposer, history, 100 + k).origin for k in range(100)]
        return origins.count("random") / 100

    assert share(1.0) == 1.0
    assert 0.19 < share(1 / 3) < 0.48  # three standard deviations


def near(rates: list[float], rate: float) -> float:
    """Return the share of rates that are at most 15 % away."""
    return sum(abs(math.log(own / rate)) < math.log(1.15) for own in rates) / len(rates)


def peak(n: int, at: float = 3e-3) -> list[TrialRecord]:
    draw = random.Random(1)
    rates = [math.exp(draw.uniform(math.log(1e-3), math.log(1e-2))) for _ in range(n)]
    return [record(k, {LR: lr}, {9: -abs(math.log(lr / at))}) for k, lr in enumerate(rates)]


@pytest.mark.parametrize("status", ["running", "interrupted"])
def test_trials_without_a_score_there_keep_others_away(status: Status) -> None:
    trials = peak(30)
    alone = lrs(history_of(trials))
    spot = statistics.median(alone)
    busy = [record(30 + k, {LR: spot * 1.001**k}, {}, status) for k in range(8)]
    assert near(lrs(history_of([*trials, *busy])), spot) < 0.5 * near(alone, spot)


@pytest.mark.parametrize("status", ["paused", "stopped"])
@pytest.mark.parametrize("sign", [1, -1])
def test_trials_left_behind_keep_others_away_where_the_rungs_agree(
    sign: int, status: Status
) -> None:
    trials = peak(30)
    for trial in trials:
        trial.reports = {1: {"score": sign * trial.score_at(9)}, 9: trial.reports[9]}
    alone = lrs(history_of(trials))
    spot = statistics.median(alone)
    behind = [record(30 + k, {LR: spot * 1.001**k}, {1: 0.0}, status) for k in range(8)]
    found = lrs(history_of([*trials, *behind]))
    if sign > 0:
        assert near(found, spot) < 0.5 * near(alone, spot)
    else:
        assert found == alone


def test_a_trial_under_way_with_a_score_there_is_a_result() -> None:
    done = peak(30)
    running = [record(t.number, t.params, {9: t.score_at(9)}, "running") for t in done]
    assert lrs(history_of(done)) == lrs(history_of(running))


def flat(n: int, seed: int, others: Iterable[TrialRecord] = ()) -> History:
    """Return results that say nothing, and other trials."""
    draw = random.Random(seed)
    rates = [math.exp(draw.uniform(math.log(1e-3), math.log(1e-2))) for _ in range(n)]
    results = [record(k, {LR: lr}, {9: draw.random()}) for k, lr in enumerate(rates)]
    return history_of([*results, *others])


def test_a_trial_that_failed_is_never_a_good_one() -> None:
    """However few have a result."""
    failed = [record(1 + k, {LR: 9e-3 + 1e-5 * k}, {}, "failed") for k in range(9)]
    history = history_of([record(0, {LR: 2e-3}, {9: 0.5}), *failed])
    proposer = RungTpe(LR_ONLY, 0, RUNGS, min_results=1)
    proposer.propose(10, history)
    found = proposer._given(10)
    assert found is not None
    assert found[1] == [{LR: 2e-3}]


@pytest.mark.parametrize("n_bad", [12, 300])
def test_regions_that_fail_are_avoided(n_bad: int) -> None:
    """Whatever they scored before they failed."""
    bad = [
        record(100 + k, {LR: 6e-3 + 4e-3 * k / n_bad}, {1: 9.0, 9: 9.0}, "failed")
        for k in range(n_bad)
    ]
    avoided = sum(lr > 6e-3 for seed in range(12) for lr in lrs(flat(12, seed, bad), 4))
    free = sum(lr > 6e-3 for seed in range(12) for lr in lrs(flat(12, seed), 4))
    assert avoided < 0.5 * free


@pytest.mark.parametrize("status", ["stopped", "done"])
def test_a_trial_whose_score_became_nan_has_failed(status: Status) -> None:
    failed = [record(100 + k, {LR: 5e-3 + 1e-4 * k}, {9: 9.0}, "failed") for k in range(8)]
    lost = [record(t.number, t.params, {9: 9.0, 10: None}, status) for t in failed]
    assert lrs(flat(12, 0, lost)) == lrs(flat(12, 0, failed))


def test_trials_that_the_space_cannot_have_are_left_out() -> None:
    trials = peak(20)
    others: list[Params] = [
        {LR: 3e-3, "gone": 1},
        {LR: 0.5},
        {LR: "linear"},
        {"para.pair": "joint"},
    ]
    strange = [record(20 + k, params, {9: 99.0}) for k, params in enumerate(others * 5)]
    assert lrs(history_of([*trials, *strange])) == lrs(history_of(trials))
    proposer = RungTpe(LR_ONLY, 0, RUNGS, random_share=0.0)
    assert propose(proposer, history_of(strange)).origin == "random"


def test_a_value_that_a_choice_no_longer_has_is_left_out() -> None:
    history = some_history("heads", 30, 0)
    for trial in history.trials.values():
        trial.params = {**trial.params, "para.pair": "gone"}
    proposer = RungTpe(SPACES["heads"], 0, RUNGS, min_results=1, random_share=0.0)
    assert propose(proposer, history).origin == "random"


def test_it_learns_from_imported_trials_as_from_its_own() -> None:
    history = History()
    history.imported = peak(20)
    for trial in history.imported:
        trial.number = -1
    assert lrs(history) == lrs(history_of(peak(20)))


def test_what_was_imported_may_run_here_too() -> None:
    space = replace(SMOKE, vary=("para.pair",))
    history, proposer = History(), RungTpe(space, 0, RUNGS)
    history.imported = [record(-1, {"para.pair": kind}, {9: 0.5}) for kind in ("joint", "cosine")]
    for number in range(3):
        history.trials[number] = record(number, propose(proposer, history).params, {}, "running")
    assert proposer.propose(3, history) is None


def test_the_good_ones_of_many_results_are_never_left_out() -> None:
    draw = random.Random(0)
    trials = []
    for number in range(2000):
        is_good = number % 200 == 0  # ten of them, of which a sample would have none or one
        lr, score = (8e-3, 2.0) if is_good else (draw.uniform(1e-3, 4e-3), 0.0)
        trials.append(record(number, {LR: lr + 1e-7 * number}, {9: score + draw.random()}))
    assert near(lrs(history_of(trials), 20), 8.1e-3) > 0.6


def test_a_finite_space_ends() -> None:
    space = replace(SMOKE, vary=("para.pair", "sts.pair"))
    history, proposer = History(), RungTpe(space, 0, RUNGS, min_results=2)
    for number in range(9):
        params = propose(proposer, history).params
        history.trials[number] = record(number, params, {9: float(params["para.pair"] == "joint")})
    assert len({params_key(trial.params) for trial in history.trials.values()}) == 9
    assert proposer.propose(9, history) is None


@pytest.mark.slow
def test_it_beats_random_search_on_a_bowl() -> None:
    names = ("encoder.dropout", *(f"{task}.dropout" for task in ("sst", "para", "sts")))
    space = replace(SPACES["full"], vary=(*names, "multitask.optimization.w*"))  # and two more
    ranges = {param.name: param.domain for param in space.params()}
    assert len(ranges) == 6

    def score(chosen: Params) -> float:
        """The best is a third of the way up every range."""
        total = 0.0
        for name, domain in ranges.items():
            assert isinstance(domain, FloatRange)
            share = (float(chosen[name]) - domain.low) / (domain.high - domain.low)
            total -= (share - 1 / 3) ** 2
        return total

    def best(proposer: Proposer) -> float:
        history = History()
        for number in range(60):
            chosen = propose(proposer, history).params
            history.trials[number] = record(number, chosen, {9: score(chosen)})
        return max(trial.score_at(9) for trial in history.trials.values())

    gains = [best(RungTpe(space, s, RUNGS)) - best(RandomProposer(space, s)) for s in range(8)]
    assert statistics.mean(gains) > 3 * statistics.stdev(gains) / math.sqrt(len(gains))
