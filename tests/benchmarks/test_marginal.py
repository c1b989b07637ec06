from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests.benchmarks.marginal import Marginal

MEANS = np.random.default_rng(0).normal(0.4, 0.1, 500)
SD = 0.08


def landscape(n: int) -> np.ndarray:
    """Return (n,) scores of random configurations on random landscapes."""
    draw = np.random.default_rng(1)
    return draw.choice(MEANS, n) + SD * draw.normal(size=n)


@pytest.mark.parametrize("recorded", [stats.beta(2, 5), stats.norm(0.3, 0.2), stats.expon(0.1)])
def test_scores_become_distributed_like_recorded_ones(recorded: stats.rv_continuous) -> None:
    own = Marginal(MEANS, SD, recorded.rvs(2000, random_state=0))
    scores = landscape(2000)
    found = np.array([own(score) for score in scores])
    assert stats.ks_2samp(found, recorded.rvs(2000, random_state=1)).pvalue > 0.001
    assert np.all(np.diff(found[np.argsort(scores)]) >= 0)


def test_there_is_a_ceiling_where_recorded_scores_have_one() -> None:
    recorded = np.random.default_rng(2).beta(2, 2, 1000)  # at most 1
    own = Marginal(MEANS, SD, recorded)
    assert max(recorded) <= own(MEANS.max() + 7 * SD) < 1.1
    assert own(1e9) == own(MEANS.max() + 9 * SD)


def test_without_a_ceiling_scores_go_on() -> None:
    recorded = stats.expon.rvs(size=1000, random_state=3)
    own = Marginal(MEANS, SD, recorded)
    assert own(MEANS.max() + 4 * SD) > 1.2 * recorded.max()


def test_scores_that_are_all_alike_stay_so() -> None:
    own = Marginal(np.full(10, 0.5), 0.0, np.full(20, 0.25))
    assert own(0.1) == own(0.5) == own(2.0) == 0.25
