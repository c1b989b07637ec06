"""The greedy order of the portfolio."""

from __future__ import annotations

import pytest

from spaces.portfolio import load_portfolio
from tests.benchmarks.choose_defaults import DEFAULT, greedy_order, load_candidates


def test_next_comes_what_raises_the_best_score_most() -> None:
    scores = {
        DEFAULT: {"a": 0.5, "b": 0.6},
        "good-in-both": {"a": 0.54, "b": 0.63},
        "better-in-a": {"a": 0.6, "b": 0.5},
        "as-good-in-b": {"b": 0.63},
    }
    order = greedy_order(scores)
    assert [name for name, _ in order] == ["better-in-a", "good-in-both", "as-good-in-b"]
    assert [gain for _, gain in order] == pytest.approx([0.05, 0.015, 0.0])


def test_what_gains_nothing_keeps_its_order() -> None:
    scores = {DEFAULT: {"a": 0.5}, "x": {"a": 0.4}, "y": {}, "z": {"a": 0.5}}
    assert [name for name, _ in greedy_order(scores)] == ["x", "y", "z"]


@pytest.mark.parametrize("from_scratch", [False, True])
def test_candidates_are_the_default_the_portfolio_and_others(from_scratch: bool) -> None:
    names, members = list(load_candidates(from_scratch)), load_portfolio(from_scratch=from_scratch)
    assert names[: 1 + len(members)] == [DEFAULT, *(own.name for own in members)]
    assert len(names) == len(set(names)) > 1 + len(members)
