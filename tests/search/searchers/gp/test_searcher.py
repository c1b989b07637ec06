from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
import threadpoolctl
from hypothesis import given, settings
from hypothesis import strategies as st

import search.searchers.gp.searcher
from search.log.history import History, Journal
from search.log.trial import Metrics
from search.searchers.base import Params, Suggestion, draw_params
from search.searchers.gp.acquisition import Incumbent
from search.searchers.gp.encoding import SpaceEncoding
from search.searchers.gp.searcher import RungGp
from search.searchers.random_search import RandomSearch
from tests.course import TASK_METRICS
from tests.search.searchers.searcher_contract import (
    SEEDS,
    SPACES,
    MakeSearcher,
    SearcherContract,
    begin,
    some_metrics,
)
from trainable.component import FloatRange
from trainable.metrics import with_overall
from trainable.tasks import COURSE

SMOKE = SPACES["smoke"]
LR = "multitask.optimization.lr"
LR_ONLY = replace(SMOKE, vary=(LR,))
RUNGS = (1, 3, 9)
Scores = dict[int, float | None]
Reports = dict[int, Metrics]


class TestRungGp(SearcherContract):
    space = SMOKE

    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return lambda space, seed: RungGp(space, seed, RUNGS, min_results=2)


def report(journal: Journal, number: int, scores: Scores | Reports, status: str = "done") -> None:
    """Let a trial report scores, or all metrics, and end; it is under way without a status."""
    for unit, score in scores.items():
        metrics = score if isinstance(score, dict) else {"score": score}
        journal.write("reported", trial=number, unit=unit, metrics=metrics, failure="")
    if status == "paused":
        journal.write("paused", trial=number, unit=max(scores))
    elif status:
        journal.write("ended", trial=number, status=status, error=None)


def history_of(trials: Iterable[tuple[Params, Scores, str]]) -> History:
    journal = Journal(History())
    for params, scores, status in trials:
        report(journal, begin(journal, params), scores, status)
    return journal.history


def some_history(name: str, n: int, seed: int) -> Journal:
    """Return trials in every state, which report the metrics of all tasks."""
    draw, journal = random.Random(seed), Journal(History())
    params = SPACES[name].params()
    for _ in range(n):
        status = draw.choices(["done", "paused", "", "stopped", "failed"], [4, 3, 1, 1, 1])[0]
        units = 9 if status == "done" else draw.choice([1, 2, 3])
        reports: Reports = {unit: some_metrics(draw) for unit in range(1, units + 1)}
        if status == "stopped":
            reports[units] = {"score": None, "sst_acc": 0.5}
        report(journal, begin(journal, draw_params(params, draw)), reports, status)
    return journal


def suggest(searcher: RungGp, history: History, number: int | None = None) -> Suggestion:
    suggestion = searcher.suggest(len(history.trials) if number is None else number, history)
    assert isinstance(suggestion, Suggestion)
    return suggestion


def lrs(history: History, n: int = 10) -> list[float]:
    """Return what a model would suggest for the learning rate, for many numbers."""
    searcher = RungGp(LR_ONLY, 0, RUNGS, random_share=0.0)
    found = [suggest(searcher, history, 10_000 + k) for k in range(n)]
    assert all(own.origin == "rung-gp" for own in found)
    return [float(own.params[LR]) for own in found]


@pytest.mark.slow
@settings(max_examples=2)
@given(seed=SEEDS, stop=st.integers(1, 6))
def test_a_restart_changes_nothing(seed: int, stop: int) -> None:
    """Nor when hyperparameters were learned some reports ago."""
    journal, draw = some_history("heads", 15, seed), random.Random(seed)
    searcher = again = RungGp(SPACES["heads"], seed, RUNGS, min_results=3)
    for number in range(15, 23):
        if number % stop == 0:
            again = RungGp(SPACES["heads"], seed, RUNGS, min_results=3)
        suggestion = suggest(searcher, journal.history)
        assert suggestion == suggest(again, journal.history)
        begin(journal, suggestion.params)
        status = draw.choice(["paused", "stopped", ""])
        report(journal, number, {1: some_metrics(draw)}, status)


@given(n=st.integers(0, 14), min_results=st.integers(1, 12))
@settings(max_examples=10)
def test_suggestions_are_random_until_there_are_enough_results(n: int, min_results: int) -> None:
    """Of which one more may be asked for: hyperparameters lag behind by a fifth of the reports."""
    history = history_of(({LR: 1e-3 + 1e-5 * k}, {1: 0.5}, "paused") for k in range(n))
    searcher = RungGp(LR_ONLY, 0, RUNGS, min_results=min_results, random_share=0.0)
    expected = {"rung-gp"} if n > min_results else {"random"} if n < min_results else None
    assert expected is None or {suggest(searcher, history).origin} == expected


def test_a_third_of_the_suggestions_is_random() -> None:
    history = history_of(peak(12))
    searcher = RungGp(LR_ONLY, 0, RUNGS)
    origins = [suggest(searcher, history, 100 + k).origin for k in range(200)]
    assert 0.23 < origins.count("random") / 200 < 0.44  # three standard deviations


def rates(n: int, seed: int = 1) -> list[float]:
    draw = random.Random(seed)
    return [math.exp(draw.uniform(math.log(1e-3), math.log(1e-2))) for _ in range(n)]


def peak(n: int, at: float = 3e-3) -> list[tuple[Params, Scores, str]]:
    return [({LR: lr}, {9: -(math.log(lr / at) ** 2)}, "done") for lr in rates(n)]


def near(found: list[float], rate: float) -> float:
    """Return the share of rates that are at most 15 % away."""
    return sum(abs(math.log(own / rate)) < math.log(1.15) for own in found) / len(found)


def test_it_finds_a_peak() -> None:
    assert near(lrs(history_of(peak(12))), 3e-3) > 0.5


def rungs_that_disagree(n_done: int) -> list[tuple[Params, Scores, str]]:
    """After one unit low rates look good; after nine, if they ran, a middle one."""
    trials: list[tuple[Params, Scores, str]] = []
    for number, lr in enumerate(rates(30)):
        scores: Scores = {1: -lr}
        if number < n_done:
            scores[9] = -(math.log(lr / 5e-3) ** 2)
        trials.append(({LR: lr}, scores, "done" if number < n_done else "stopped"))
    return trials


def test_a_few_that_went_all_the_way_are_believed_against_many_that_did_not() -> None:
    assert statistics.median(lrs(history_of(rungs_that_disagree(0)))) < 1.5e-3
    assert near(lrs(history_of(rungs_that_disagree(6))), 5e-3) > 0.5


@pytest.mark.parametrize("seed", [2, 3])
def test_what_luck_would_hide_is_not_worth_a_trial(seed: int) -> None:
    """Where a peak is known but for luck, it looks where nothing was tried: the upper 40 %."""
    (param,) = LR_ONLY.params()
    assert isinstance(param.domain, FloatRange)
    low, span = param.domain.low, math.log(param.domain.high / param.domain.low)

    def suggested(luck: float) -> list[float]:
        """Return where in the range, for a peak at 0.3."""
        draw, trials = random.Random(seed), []
        for _ in range(40):
            place = 0.6 * draw.random()
            score = -((place - 0.3) ** 2) + luck * draw.gauss(0, 1)
            scores: Scores = dict.fromkeys(RUNGS, score)
            trials.append(({LR: low * math.exp(place * span)}, scores, "done"))
        return [math.log(lr / low) / span for lr in lrs(history_of(trials), 5)]

    assert all(abs(place - 0.3) < 0.05 for place in suggested(0.001))
    assert all(place > 0.6 for place in suggested(0.03))


def test_trials_under_way_keep_others_away() -> None:
    """With three results, so that much is uncertain."""
    trials: list[tuple[Params, Scores, str]] = [
        ({LR: lr}, {9: lr}, "done") for lr in (1.1e-3, 1.3e-3, 1.7e-3)
    ]

    def suggested(*, wait: bool) -> list[float]:
        journal = Journal(history_of(trials))
        searcher = RungGp(LR_ONLY, 0, RUNGS, min_results=3, random_share=0.0)
        found = []
        for number in range(3, 8):
            found.append(float(suggest(searcher, journal.history, number).params[LR]))
            if wait:
                begin(journal, {LR: found[-1]})
        return [math.log(rate) for rate in found]

    assert statistics.stdev(suggested(wait=True)) > 3 * statistics.stdev(suggested(wait=False))


def test_when_all_trials_failed_after_all_there_is_no_model() -> None:
    history = history_of(({LR: lr}, {1: 0.5}, "failed") for lr in rates(12))
    assert suggest(RungGp(LR_ONLY, 0, RUNGS, random_share=0.0), history).origin == "random"


@pytest.mark.parametrize("fail", ["failed", "nan"])
def test_regions_that_fail_are_avoided(fail: str) -> None:
    """Whatever they scored before they failed."""
    trials = peak(12)
    alone = lrs(history_of(trials))
    spot = statistics.median(alone)
    for k in range(6):
        scores: Scores = {1: 9.0} | ({2: None} if fail == "nan" else {})
        status = "stopped" if fail == "nan" else "failed"
        trials.append(({LR: spot * 1.02 ** (k - 3)}, scores, status))
    assert near(lrs(history_of(trials)), spot) < 0.5 * near(alone, spot)


def test_before_anything_succeeded_there_is_no_model() -> None:
    history = history_of(({LR: lr}, {1: None}, "stopped") for lr in rates(30))
    assert suggest(RungGp(LR_ONLY, 0, RUNGS, random_share=0.0), history).origin == "random"


def test_trials_that_the_space_cannot_have_are_left_out() -> None:
    others: list[Params] = [{LR: 0.5}, {LR: "linear"}, {"para.pair": "joint"}, {"gone": 1}]
    strange = [(params, {9: 99.0}, "done") for params in others * 5]
    history = history_of(strange)
    assert suggest(RungGp(LR_ONLY, 0, RUNGS, random_share=0.0), history).origin == "random"
    assert near(lrs(history_of([*strange, *peak(16)])), 3e-3) > 0.5


def test_it_learns_from_imported_trials() -> None:
    journal = Journal(History())
    for params, scores, _ in peak(20):
        reports = {unit: {"score": score} for unit, score in scores.items()}
        journal.write("imported", params=params, run_config={}, reports=reports, search="other")
    report(journal, begin(journal, {LR: 9e-3}), {1: 0.0}, "paused")
    searcher = RungGp(LR_ONLY, 0, RUNGS, min_results=0, random_share=0.0)
    assert near([float(suggest(searcher, journal.history).params[LR])], 3e-3) == 1


DROPOUTS = ("sst.dropout", "para.dropout", "sts.dropout")


def metrics_of(params: Params) -> Metrics:
    """Return metrics that follow, each from the dropout of its own head, best at 0.1."""
    return with_overall(
        {
            metric: 1.0 - (float(params[name]) - 0.1) ** 2
            for metric, name in zip(TASK_METRICS, DROPOUTS, strict=True)
        },
        COURSE,
    )


def test_it_learns_from_the_metrics_of_the_tasks() -> None:
    """With the score of all trials the same, which says nothing, but what it consists of not."""
    space, params = SPACES["full"], SPACES["full"].params()
    journal, draw = Journal(History()), random.Random(0)
    for _ in range(40):
        own = draw_params(params, draw)
        metrics = {**metrics_of(own), "score": 0.5}
        report(journal, begin(journal, own), {9: metrics})
    searcher = RungGp(space, 0, RUNGS, random_share=0.0)
    found = [suggest(searcher, journal.history, 100 + k).params for k in range(5)]
    chosen = [float(params[name]) for params in found for name in DROPOUTS]
    assert statistics.median(abs(value - 0.1) for value in chosen) < 0.1  # 0.25 by chance


def test_one_report_without_the_tasks_and_models_are_of_the_score() -> None:
    """Also of what was reported before; an earlier driver's models change nothing."""
    journal = some_history("heads", 20, 0)
    searcher = RungGp(SPACES["heads"], 0, RUNGS, random_share=0.0)
    before = suggest(searcher, journal.history, 50)
    number = begin(journal, draw_params(SPACES["heads"].params(), random.Random(9)))
    report(journal, number, {1: 0.5}, "paused")
    after = suggest(searcher, journal.history, 50)
    scores = Journal(History())
    for trial in journal.history.trials.values():
        reports: Scores = {unit: own["score"] for unit, own in trial.reports.items()}
        status = "" if trial.status == "running" else trial.status
        report(scores, begin(scores, trial.params), reports, status)
    again = RungGp(SPACES["heads"], 0, RUNGS, random_share=0.0)
    assert after == suggest(again, scores.history, 50)
    assert after != before


def test_a_model_of_a_long_search_has_the_best() -> None:
    def trials() -> Iterable[tuple[Params, Scores, str]]:
        draw = random.Random(0)
        for number in range(3000):
            is_good = number % 300 == 0
            lr = 4e-3 + 1e-7 * number if is_good else draw.uniform(1e-3, 1e-2)
            yield {LR: lr}, {1: is_good + 0.1 * draw.random()}, "paused"

    assert all(3e-3 < lr < 5e-3 for lr in lrs(history_of(trials()), 4))


def bowl(names: Iterable[str]) -> Callable[[Params], float]:
    """Return a score whose best is a third of the way up every range."""
    ranges = {p.name: p.domain for p in SPACES["full"].params() if p.name in set(names)}

    def score(chosen: Params) -> float:
        total = 0.0
        for name, domain in ranges.items():
            assert isinstance(domain, FloatRange)
            total -= ((float(chosen[name]) - domain.low) / (domain.high - domain.low) - 1 / 3) ** 2
        return total

    return score


@pytest.mark.slow
def test_it_beats_random_search_on_a_bowl() -> None:
    names = ("encoder.dropout", *(f"{task}.dropout" for task in ("sst", "para", "sts")))
    space, score = replace(SPACES["full"], vary=names), bowl(names)

    def best(searcher: RungGp | RandomSearch) -> float:
        journal = Journal(History())
        for number in range(30):
            suggestion = searcher.suggest(number, journal.history)
            assert isinstance(suggestion, Suggestion)
            begin(journal, suggestion.params)
            report(journal, number, {9: score(suggestion.params)})
        return max(trial.score for trial in journal.history.trials.values())

    models = [best(RungGp(space, seed, (9,), min_results=5)) for seed in range(5)]
    randoms = [best(RandomSearch(space, seed)) for seed in range(5)]
    assert max(randoms) < min(models)


def blas_threads() -> set[int]:
    """Return how many threads each library for matrices may use."""
    pools = threadpoolctl.threadpool_info()
    return {pool["num_threads"] for pool in pools if pool["user_api"] == "blas"}


def test_a_suggestion_has_one_thread_for_its_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    """More would wait for each other, and round differently on every machine."""
    draw, found, seen = random.Random(0), search.searchers.gp.searcher.candidates, []

    def candidates(*given: Any) -> Any:
        seen.append(blas_threads())
        return found(*given)

    monkeypatch.setattr(search.searchers.gp.searcher, "candidates", candidates)
    trials = [(draw_params(SMOKE.params(), draw), {1: draw.random()}, "done") for _ in range(12)]
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        assert RungGp(SMOKE, 0, RUNGS, random_share=0.0).suggest(12, history_of(trials))
        assert blas_threads() == before
    assert seen == [{1}]


def test_the_incumbent_is_the_best_mean_and_the_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of results and of pending trials; candidates are near the five best means."""
    seen: list[Incumbent] = []

    def candidates(encoding: SpaceEncoding, incumbent: Incumbent, draw: Any) -> Iterable[Params]:
        seen.append(incumbent)
        return iter([])

    monkeypatch.setattr(search.searchers.gp.searcher, "candidates", candidates)
    trials = sorted(peak(12), key=lambda trial: float(trial[0][LR]))
    known, pending = trials[:-2], [params for params, _, _ in trials[-2:]]
    rising: list[tuple[Params, Scores, str]] = [
        (params, {9: float(params[LR])}, "done") for params, _, _ in known
    ]
    journal = Journal(history_of(rising))
    for params in pending:
        begin(journal, params)
    suggest(RungGp(LR_ONLY, 0, RUNGS, random_share=0.0), journal.history)
    (incumbent,) = seen
    encoding = SpaceEncoding(LR_ONLY.params())

    def means(own: list[Params]) -> list[float]:
        return incumbent.model.mean(encoding.features(encoding.points(own))).tolist()

    done = [params for params, _, _ in known]
    best_first = sorted(done, key=lambda params: -means([params])[0])
    top = [encoding.params(incumbent.top, row) for row in range(len(incumbent.top[0]))]
    assert top == [pytest.approx(params) for params in best_first[:5]]
    assert max(means(pending)) > max(means(done))
    expected = max(means(done + pending)) + incumbent.model.noise_sd
    assert incumbent.target == pytest.approx(expected, rel=1e-6)
