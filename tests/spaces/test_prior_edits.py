from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from spaces.prior_edits import edited_prior
from spaces.prior_file import PriorEdit
from spaces.priors import ChoicePrior, NumberPrior, Prior
from tests.spaces.test_priors import SPACES
from trainable.component import IntRange
from trainable.errors import InputError

FULL = SPACES["full"]
LR = "multitask.optimization.lr"


def edited(**patterns: dict[Any, Any]) -> Prior:
    edits = [PriorEdit(name, own, f"priors.yaml, {name}") for name, own in patterns.items()]
    return edited_prior(FULL, edits)


def test_without_entries_it_is_the_one_beside_the_ranges() -> None:
    assert edited().of == Prior(FULL).of


def test_numbers_get_a_center_and_a_spread_and_what_is_not_given_stays() -> None:
    usual = Prior(FULL).of[LR]
    assert isinstance(usual, NumberPrior)
    prior = edited(**{LR: {"center": 1e-4}})
    assert prior.of[LR] == replace(usual, center=1e-4)
    assert edited(**{LR: {"spread": 0.5}}).of[LR] == replace(usual, spread=0.5)
    assert prior.of["sst.dropout"] == Prior(FULL).of["sst.dropout"]


def test_whole_numbers_stay_whole() -> None:
    own = edited(**{"*.head.mlp.depth": {"center": 2.0}}).of["sst.head.mlp.depth"]
    assert isinstance(own, NumberPrior)
    assert isinstance(own.domain, IntRange)
    assert isinstance(own.center, int)


def test_weights_are_taken_as_they_are_and_the_heaviest_is_the_center() -> None:
    own = edited(**{"*.pooling": {"mean": 3, "cls": 0}}).of["sts.pooling"]
    assert isinstance(own, ChoicePrior)
    assert dict(zip(own.values, own.probabilities, strict=True)) == pytest.approx(
        {"attention": 1 / 6, "cls": 0, "max": 1 / 6, "mean": 1 / 2, "weighted": 1 / 6}
    )
    assert own.center == "mean"


def test_a_center_of_a_choice_moves_and_the_weights_beside_it_stay() -> None:
    own = edited(**{"*.pooling": {"center": "max"}}).of["sts.pooling"]
    assert isinstance(own, ChoicePrior)
    assert own.center == "max"
    assert dict(zip(own.values, own.probabilities, strict=True))["mean"] == pytest.approx(
        0.5 * 4 / 9
    )


def test_true_and_false_and_numbers_are_members() -> None:
    own = edited(**{"multitask.optimization.amsgrad": {True: 3, False: 1}})
    assert own.of["multitask.optimization.amsgrad"].center is True
    assert edited(**{"*.mlp.width": {512: 5}}).of["sst.head.mlp.width"].center == 512


def test_a_later_pattern_takes_the_place_of_an_earlier_one() -> None:
    own = edited(**{"*.pooling": {"center": "max"}, "sst.pooling": {"center": "mean"}})
    assert [own.of[f"{task}.pooling"].center for task in ("sst", "sts")] == ["mean", "max"]


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("sst.poling", {"mean": 1}, "did you mean 'sst.pooling'?"),
        ("*.poling", {"mean": 1}, "did you mean '*.pooling'?"),
        ("sst.pooling", {"meen": 1}, "did you mean 'mean'?"),
        ("sst.pooling", {"center": "meen"}, "did you mean 'mean'?"),
        ("sst.pooling", {"spread": 0.1}, "which have no spread"),
        (LR, {"mean": 3}, "give center and spread, not mean"),
        (LR, {"spred": 0.1}, "did you mean 'spread'?"),
        (LR, {"center": 1.0}, "cannot have its center at 1.0"),
        (LR, {"center": "high"}, "cannot have its center at 'high'"),
        ("*.mlp.depth", {"center": 1.5}, "cannot have its center at 1.5"),
        ("sst.head", {"linear": 0, "mlp": 0}, "all weights of sst.head are 0"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, given: dict[Any, Any], words: str) -> None:
    with pytest.raises(InputError) as error:
        edited(**{name: given})
    assert words in str(error.value)
    assert str(error.value).startswith(f"priors.yaml, {name}: ")
