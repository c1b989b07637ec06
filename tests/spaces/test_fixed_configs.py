from __future__ import annotations

import json
import pickle

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.fixed_configs import RowSpace, matching
from spaces.published import load_published
from trainable.component import Choice, IntRange
from trainable.errors import InputError
from trainable.model.encoder import EncoderConfig
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask

ROWS = {
    "b/second": RunConfig(seed=5, encoder=EncoderConfig(dropout=0.3)),
    "a/first": RunConfig(seed=5, multitask=Multitask(units=2)),
    "c/none": RunConfig(seed=5, multitask=None),
}


def space(repeats: int = 3) -> RowSpace:
    return RowSpace("published", RunConfig(seed=5), ROWS, repeats)


def test_every_row_is_run_once_before_any_is_repeated_in_the_order_of_the_rows() -> None:
    names = list(ROWS)
    assert [(point["row"], point["repeat"]) for point in space(2).points()] == [
        *((name, 0) for name in names),
        *((name, 1) for name in names),
    ]
    assert names != sorted(names), "the order is nothing to test"


@given(st.integers(1, 20))
def test_points_are_all_runs_and_none_twice(repeats: int) -> None:
    points = [tuple(point.items()) for point in space(repeats).points()]
    assert len(points) == len(set(points)) == repeats * len(ROWS)


def test_a_repeat_changes_the_seed_and_nothing_else() -> None:
    seeds: dict[str, list[int]] = {name: [] for name in ROWS}
    for point in space().points():
        config = space().config_of(point)
        name = str(point["row"])
        seeds[name].append(config.seed)
        assert config.model_copy(update={"seed": 5}) == ROWS[name]
    assert set(map(tuple, seeds.values())) == {(5, 6, 7)}


def test_rows_and_repeats_that_are_not_there_are_refused() -> None:
    with pytest.raises(KeyError, match=r"no value for repeat; give 0 \.\. 2"):
        space().config_of({"row": "a/first"})
    with pytest.raises(ValueError, match=r"repeat is 3; give 0 \.\. 2"):
        space().config_of({"row": "a/first", "repeat": 3})
    with pytest.raises(ValueError, match="row is other; give b/second"):
        space().config_of({"row": "other", "repeat": 0})


@pytest.mark.parametrize("repeats", [1, 3])
def test_what_a_trial_is_asked_for_is_what_is_announced(repeats: int) -> None:
    """In every trial alike: Optuna refuses a choice that changes."""
    row, repeat = space(repeats).params()
    assert (row.name, row.domain, row.parents) == ("row", Choice(tuple(ROWS)), ())
    assert (repeat.name, repeat.domain) == ("repeat", IntRange(0, repeats - 1))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for point in space(repeats).points():
        study.enqueue_trial(point)
        trial = study.ask()
        config = space(repeats).suggest(trial)
        assert trial.params == point
        assert config == space(repeats).config_of(point)
        distributions = trial.distributions
        assert distributions["row"] == optuna.distributions.CategoricalDistribution(tuple(ROWS))
        assert distributions["repeat"] == optuna.distributions.IntDistribution(0, repeats - 1)


def test_the_searcher_gets_a_run_config_as_json() -> None:
    study = optuna.create_study()
    study.enqueue_trial({"row": "c/none", "repeat": 2})
    trial = study.ask()
    result = space()(trial)
    text = json.dumps(result["run_config"], allow_nan=False)
    expected = ROWS["c/none"].model_copy(update={"seed": 7})
    assert RunConfig.from_dict(json.loads(text), "test") == expected
    assert result.keys() == {"run_config"}


def test_it_can_be_pickled() -> None:
    assert pickle.loads(pickle.dumps(space())) == space()


IDS = [row.id for row in load_published()]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ("mtbert/pretrain-mt-*", ["mtbert/pretrain-mt-st", "mtbert/pretrain-mt-st-test"]),
        ("one-size/final, bertpp/A", ["bertpp/A", "one-size/final"]),
        ("one-size/final,one-size/f*", ["one-size/final"]),
    ],
)
def test_rows_are_chosen_by_pattern_in_their_own_order(patterns: str, expected: list[str]) -> None:
    assert matching(IDS, patterns) == expected


def test_every_row_matches_a_star() -> None:
    assert matching(IDS, "*") == IDS


@pytest.mark.parametrize("patterns", ["bertpp/*,one-size/finl", "one-size/finl", "*,one-size/finl"])
def test_a_pattern_that_matches_nothing_is_refused_with_the_nearest(patterns: str) -> None:
    with pytest.raises(InputError) as caught:
        matching(IDS, patterns)
    papers = "bertpp/*, college/*, leave/*, mtbert/*, one-size/*"
    near = "; did you mean 'one-size/final'?"
    assert str(caught.value) == f"no row matches 'one-size/finl'; there are {papers}{near}"


@pytest.mark.parametrize("patterns", ["", "bertpp/*,", "ONE-SIZE/*"])
def test_what_matches_nothing_is_no_way_to_say_everything(patterns: str) -> None:
    with pytest.raises(InputError, match="no row matches"):
        matching(IDS, patterns)
