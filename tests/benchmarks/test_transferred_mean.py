"""The prior mean of another search: its coefficient is learned, and 0 where it is useless."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from search.searchers.base import params_key
from search.searchers.gp.encoding import SpaceEncoding
from search.searchers.gp.model import Results
from tests.benchmarks.others_replay import Replayer
from tests.benchmarks.others_tables import TASKSETS, read_others
from tests.benchmarks.transferred_mean import coefficient

N = 40


def results(scores: NDArray[np.float64], rungs: NDArray[np.int64]) -> Results:
    return Results(np.zeros((N, 1)), rungs, np.arange(N), scores)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 5.0), st.floats(-3.0, 3.0))
def test_a_coefficient_is_that_of_the_scores(seed: int, true: float, level: float) -> None:
    draw = np.random.default_rng(seed)
    ranks, rungs = draw.uniform(-1, 1, N), draw.integers(0, 3, N)
    scores = level * rungs + true * (ranks + draw.normal(0, 0.01, N))
    assert coefficient(results(scores, rungs), ranks) == pytest.approx(true, rel=0.15)


@given(st.integers(0, 2**32 - 1))
def test_a_source_that_errs_is_switched_off(seed: int) -> None:
    draw = np.random.default_rng(seed)
    ranks, rungs = draw.uniform(-1, 1, N), draw.integers(0, 3, N)
    assert coefficient(results(-ranks, rungs), ranks) == 0.0


@pytest.mark.slow  # a search
def test_ranks_are_high_where_the_other_search_did_well(shared: Path) -> None:
    tables = [read_others(shared / "data/curves", name) for name in TASKSETS]
    replayer = Replayer(tables)
    source, history = replayer._other_search(tables[0], 0)
    params = [trial.params for trial in history.trials.values()]
    encoding = SpaceEncoding(source.params)
    found = replayer._ranks_in_search(tables[0], 0)(encoding.features(encoding.points(params)))
    assert -1 <= found.min() < found.max() <= 1
    regret_of = {params_key(own): k for own, k in zip(source.configs, source.regrets, strict=True)}
    assert stats.spearmanr(found, [regret_of[params_key(own)] for own in params]).statistic < -0.3
