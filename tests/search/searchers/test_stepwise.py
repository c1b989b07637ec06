from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.log.history import History
from search.log.trial import Status, TrialRecord
from search.searchers.base import Params, Suggestion, params_key
from search.searchers.stepwise import Stepwise
from spaces.edit_space import edit_space
from spaces.edits import parse_edits
from tests.search.searchers.searcher_contract import (
    BASE,
    SEEDS,
    SPACES,
    MakeSearcher,
    SearcherContract,
)
from trainable.component import Choice
from trainable.model.pairs import SiamesePair
from trainable.task_config import PairDecision, PairNumber

# 3 x 3 x 2 x 2 configurations, none of whose params depends on another.
PAIRS = {"para": PairDecision(pair=SiamesePair()), "sts": PairNumber(pair=SiamesePair())}
FREE = replace(
    SPACES["full"],
    base=BASE.model_copy(update={"tasks": {**BASE.tasks, **PAIRS}}),
    vary=("para.pair", "sts.pair", "*.loss"),
)
CHOICES = {p.name: p.domain.values for p in FREE.params() if isinstance(p.domain, Choice)}
Score = Callable[[Params], float]


class TestStepwise(SearcherContract):
    @pytest.fixture
    def make_searcher(self) -> MakeSearcher:
        return Stepwise


def run(
    history: History, suggestion: Suggestion, score: float | None, status: Status = "done"
) -> TrialRecord:
    number = len(history.trials)
    trial = TrialRecord(number, suggestion.params, {}, 0.0, 0.0, status=status)
    trial.origin = suggestion.origin
    if score is not None:
        trial.reports[1] = {"score": score}
    history.trials[number] = trial
    return trial


def play(searcher: Stepwise, score: Score, most: int = 200) -> History:
    """Run one suggestion after the other to the end."""
    history = History()
    while isinstance(suggestion := searcher.suggest(len(history.trials), history), Suggestion):
        run(history, suggestion, score(suggestion.params))
        if len(history.trials) == most:
            return history
    assert suggestion is None
    return history


def additive(seed: int) -> Score:
    """Every value of every param has a worth of its own."""
    draw = random.Random(seed)
    worth = {(n, v): draw.random() for n, values in CHOICES.items() for v in values}
    return lambda params: sum(worth[pair] for pair in params.items())


@settings(max_examples=5)
@given(seed=SEEDS, beam=st.integers(1, 3))
def test_it_finds_the_best_of_a_sum(seed: int, beam: int) -> None:
    score = additive(seed)
    history = play(Stepwise(FREE, seed, beam), score)
    best = max(trial.score for trial in history.trials.values())
    expected = {n: max(vs, key=lambda v, n=n: score({n: v})) for n, vs in CHOICES.items()}
    assert best == pytest.approx(score(expected))
    keys = [params_key(trial.params) for trial in history.trials.values()]
    assert len(set(keys)) == len(keys)


def test_a_round_tries_every_single_change_of_the_base() -> None:
    space = SPACES["heads"]
    base = space.params_of(BASE)
    history = play(Stepwise(space, 0), lambda params: float(params == base))
    tried = [trial.params for trial in history.trials.values()]
    assert tried[0] == base
    changed = []
    for params in tried[1:]:
        (name,) = [name for name in base.keys() & params.keys() if params[name] != base[name]]
        changed.append((name, params[name]))
    domains = {param.name: param.domain for param in space.params()}
    reachable = {name: own for name in base if isinstance(own := domains[name], Choice)}
    expected = {(n, v) for n, own in reachable.items() for v in own.values if v != base[n]}
    assert set(changed) == expected
    assert len(changed) == len(expected)


def test_params_with_a_range_stay_as_in_the_base() -> None:
    space = SPACES["smoke"]
    searcher, history = Stepwise(space, 0), History()
    lr = space.params_of(BASE)["multitask.optimization.lr"]
    while (suggestion := searcher.suggest(len(history.trials), history)) is not None:
        assert suggestion.params["multitask.optimization.lr"] == lr
        run(history, suggestion, random.Random(len(history.trials)).random())
    assert len(history.trials) > 4


@pytest.mark.parametrize("status", ["running", "interrupted"])
def test_it_waits_for_the_last_of_a_round(status: Status) -> None:
    score, searcher, history = additive(3), Stepwise(FREE, 0), History()
    first = searcher.suggest(0, history)
    assert isinstance(first, Suggestion)
    assert first.origin == "stepwise round 0: base"
    base = run(history, first, None, status)
    assert searcher.suggest(1, history) is None
    base.reports[1], base.status = {"score": score(base.params)}, "done"
    one_round = []
    while isinstance(suggestion := searcher.suggest(len(history.trials), history), Suggestion):
        assert suggestion.origin.startswith("stepwise round 1: ")
        one_round.append(run(history, suggestion, score(suggestion.params), status))
    assert suggestion is None
    assert len(one_round) == sum(len(values) - 1 for values in CHOICES.values())
    ends: list[Status] = ["done", "failed", "stopped"]
    for k, trial in enumerate(one_round[:-1]):
        trial.status = ends[k % 3]
        assert searcher.suggest(len(history.trials), history) is None
    one_round[-1].status = "done"
    assert searcher.suggest(len(history.trials), history) is not None


def test_the_seed_changes_the_order_only() -> None:
    orders = []
    for seed in (0, 1):
        history = play(Stepwise(FREE, seed, beam=1), additive(5))
        orders.append([params_key(trial.params) for trial in history.trials.values()])
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


def test_it_ends_when_no_extension_is_better() -> None:
    history = play(Stepwise(FREE, 0), lambda params: 0.5)
    assert len(history.trials) == 1 + sum(len(values) - 1 for values in CHOICES.values())


def test_it_ends_when_everything_fails() -> None:
    searcher, history = Stepwise(FREE, 0), History()
    while isinstance(suggestion := searcher.suggest(len(history.trials), history), Suggestion):
        run(history, suggestion, float(len(history.trials)), "failed")
    assert suggestion is None
    assert len(history.trials) == 1 + sum(len(values) - 1 for values in CHOICES.values())


def test_a_failed_extension_is_not_extended() -> None:
    searcher, history = Stepwise(FREE, 0, beam=1), History()
    while isinstance(suggestion := searcher.suggest(len(history.trials), history), Suggestion):
        fails = suggestion.params["para.pair"] == "joint"
        score = 2.0 * fails + (suggestion.params["sts.loss"] == "mse")
        run(history, suggestion, score, "failed" if fails else "done")
    later = [t for t in history.trials.values() if "round 2" in t.origin]
    assert later
    assert all(trial.params["sts.loss"] == "mse" for trial in later)


def test_a_wider_beam_finds_what_needs_a_detour() -> None:
    start = FREE.params_of(FREE.base)

    def score(params: Params) -> float:
        pairs = (params["para.pair"], params["sts.pair"], params["para.loss"])
        worth = {
            (start["para.pair"], start["sts.pair"], start["para.loss"]): 1.0,
            ("joint", start["sts.pair"], start["para.loss"]): 2.0,
            (start["para.pair"], "cosine", start["para.loss"]): 1.5,
            ("cosine", "cosine", start["para.loss"]): 3.0,
        }
        return worth.get(pairs, 0.0)

    best = {
        beam: max(t.score for t in play(Stepwise(FREE, 0, beam), score).trials.values())
        for beam in (1, 2)
    }
    assert best == {1: 2.0, 2: 3.0}


def test_what_was_left_behind_does_not_come_back() -> None:
    """Of two siblings in a beam each is an extension of the other."""
    names = ("para.pair", "sts.pair", "para.loss", "sts.loss")
    worth = {
        ("siamese", "siamese", "bce", "bce"): 1.0,  # the base
        ("joint", "siamese", "bce", "bce"): 2.0,
        ("cosine", "siamese", "bce", "bce"): 1.9,
        ("joint", "cosine", "bce", "bce"): 2.5,
        ("cosine", "joint", "bce", "bce"): 1.2,
        ("cosine", "joint", "mse", "bce"): 4.0,
    }
    start = FREE.params_of(FREE.base)
    assert tuple(start[name] for name in names) in worth
    history = play(
        Stepwise(FREE, 0, beam=2),
        lambda params: worth.get(tuple(str(params[name]) for name in names), 0.0),
    )
    assert max(trial.score for trial in history.trials.values()) == 4.0


def test_what_went_further_counts_more_and_a_late_promotion_changes_the_round() -> None:
    searcher, history = Stepwise(FREE, 0, beam=1), History()
    first = searcher.suggest(0, history)
    assert isinstance(first, Suggestion)
    run(history, first, 0.1)
    while isinstance(suggestion := searcher.suggest(len(history.trials), history), Suggestion):
        if "round 2" in suggestion.origin:
            break
        low = suggestion.params["para.pair"] == "joint"
        trial = run(history, suggestion, 0.2 if low else 0.9, "done" if low else "paused")
        if low:
            trial.reports[3] = {"score": 0.2}
    assert isinstance(suggestion, Suggestion)
    assert suggestion.params["para.pair"] == "joint"  # 0.2 after three units beats 0.9 after one
    late = next(t for t in history.trials.values() if t.params["sts.pair"] == "cosine")
    late.reports[3], late.status = {"score": 0.3}, "done"
    again = searcher.suggest(len(history.trials), history)
    assert isinstance(again, Suggestion)
    assert again.params["sts.pair"] == "cosine"


def test_a_trial_that_ran_for_another_reason_is_not_run_again() -> None:
    history, searcher = History(), Stepwise(FREE, 0, beam=1)
    row: Params = {**FREE.params_of(FREE.base), "para.pair": "joint"}
    history.trials[0] = TrialRecord(0, row, {}, 0.0, 0.0, origin="a row", status="done")
    history.trials[0].reports[1] = {"score": 5.0}
    while isinstance(suggestion := searcher.suggest(len(history.trials), history), Suggestion):
        assert suggestion.params != row
        if "round 2" in suggestion.origin:
            break
        run(history, suggestion, 0.0)
    assert isinstance(suggestion, Suggestion)
    assert suggestion.params["para.pair"] == "joint"  # it is the best of round 1 all the same


def test_of_equal_scores_the_earlier_trial_leads_and_is_not_better() -> None:
    """A row that ran before the base leads its round, but ends the rounds if it only ties."""
    row: Params = {**FREE.params_of(FREE.base), "sts.loss": "mse"}

    def play_after_row(score: Score) -> list[TrialRecord]:
        history, searcher = History(), Stepwise(FREE, 1, beam=1)
        history.trials[0] = TrialRecord(0, row, {}, 0.0, 0.0, status="done")
        history.trials[0].reports[1] = {"score": score(row)}
        while (suggestion := searcher.suggest(len(history.trials), history)) is not None:
            run(history, suggestion, score(suggestion.params))
        return list(history.trials.values())

    base = FREE.params_of(FREE.base)
    n_first = 1 + sum(len(values) - 1 for values in CHOICES.values())
    assert len(play_after_row(lambda params: 0.5)) == n_first
    second = play_after_row(lambda params: float(params != base))[n_first:]
    assert second
    assert all(trial.params["sts.loss"] == "mse" for trial in second)


def test_a_configuration_of_an_early_round_is_not_in_a_later_beam() -> None:
    """The base is an extension of every first change, and better than the second of round 2."""
    names = ("para.pair", "sts.pair", "para.loss", "sts.loss")
    worth = {
        ("siamese", "siamese", "bce", "bce"): 1.0,  # the base
        ("joint", "siamese", "bce", "bce"): 2.0,
        ("cosine", "siamese", "bce", "bce"): 1.5,
        ("joint", "cosine", "bce", "bce"): 3.0,
        ("joint", "joint", "bce", "bce"): 0.5,
        ("joint", "joint", "mse", "bce"): 4.0,
    }
    history = play(
        Stepwise(FREE, 0, beam=2),
        lambda params: worth.get(tuple(str(params[name]) for name in names), 0.0),
    )
    assert max(trial.score for trial in history.trials.values()) == 4.0


def test_a_default_outside_a_range_of_the_user_s_moves_into_it() -> None:
    texts = {"range": ["*.mlp.dropout=0.4..0.5"], "fix": ["*.mlp.depth=2"]}
    space = edit_space(SPACES["full"], parse_edits(**texts))
    searcher, history = Stepwise(space, 0), History()
    while len(history.trials) < 60:
        suggestion = searcher.suggest(len(history.trials), history)
        assert suggestion is not None
        assert space.why_not(suggestion.run_config) is None
        run(history, suggestion, float("mlp" in suggestion.params.values()))
    used = [trial.params for trial in history.trials.values()]
    assert 0.4 in {v for params in used for n, v in params.items() if n.endswith("mlp.dropout")}
