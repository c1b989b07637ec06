from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_ind

from search.loop import racing


def draws(
    n: int, s: int, seeds: float, both: float, examples: float, shift: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, s) scores of each of two configurations: luck of seeds, of both, of examples."""
    draw = np.random.default_rng(0)
    own = draw.normal(0, math.hypot(seeds, both), (2, n, s)) + draw.normal(0, examples, (2, n, 1))
    return own[0] + shift, own[1]


def covariance(s: int, both: float, examples: float) -> np.ndarray:
    """Return the (s, s) covariance of one configuration's scores over draws of examples."""
    return np.full((s, s), examples**2) + np.eye(s) * both**2


def pair(own: np.ndarray) -> np.ndarray:
    """Return the covariance of two configurations whose luck with examples is independent."""
    return np.block([[own, np.zeros_like(own)], [np.zeros_like(own), own]])


def test_without_noise_of_examples_it_is_students_test() -> None:
    first, second = np.array([0.61, 0.63, 0.64]), np.array([0.60, 0.62, 0.61])
    none = np.zeros((3, 3))
    # A first run that is the mean of the others adds no square, but a degree of freedom.
    noise = racing.seed_noise([first.mean(), second.mean()], [first, second], [none, none])
    assert noise.freedom == 6
    pooled = racing.SeedNoise(noise.variance * 6 / 4, 0.0, 4)
    found = racing.difference(first, second, np.zeros((6, 6)), pooled)
    expected = ttest_ind(first, second, alternative="greater")
    assert found.mean / found.error == pytest.approx(expected.statistic)
    assert found.freedom == 4
    low = expected.confidence_interval(0.9).low
    assert found.mean - found.half_width(0.9) == pytest.approx(low)


def test_the_error_is_the_spread_of_differences() -> None:
    seeds, both, examples, s = 0.006, 0.005, 0.0045, 3
    first, second = draws(20_000, s, seeds, both, examples)
    own = covariance(s, both, examples)
    noise = racing.SeedNoise(seeds**2 + both**2, both**2, 100)
    found = racing.difference(first[0], second[0], pair(own), noise)
    spread = (first.mean(1) - second.mean(1)).std()
    assert found.error == pytest.approx(spread, rel=0.03)
    assert racing.mean_score(first[0], own, noise).error == pytest.approx(
        first.mean(1).std(), rel=0.03
    )


def test_the_noise_of_seeds_is_found_with_the_part_that_examples_explain() -> None:
    seeds, both, s = 0.006, 0.005, 400
    first, second = draws(1, s, seeds, both, 0.0045)
    own = covariance(s, both, 0.0045)
    found = racing.seed_noise([first.mean(), second.mean()], [first[0], second[0]], [own, own])
    assert found.variance == pytest.approx(seeds**2 + both**2, rel=0.15)
    assert found.by_examples == pytest.approx(both**2)


def test_one_new_seed_has_no_part_that_examples_explain() -> None:
    own = np.array([[1e-4]])
    found = racing.seed_noise([0.6, 0.5], [np.array([0.62]), np.array([0.5])], [own, own])
    assert (found.by_examples, found.freedom) == (0.0, 2)
    assert found.variance == pytest.approx(1e-4)


def test_more_tests_need_more_confidence() -> None:
    assert racing.corrected(1) == 0.95
    assert racing.corrected(2, 5) == 0.995


def test_an_unknown_error_shows_nothing() -> None:
    noise = racing.SeedNoise(1e-4, 0.0, 2)
    found = racing.difference(np.ones(2), np.zeros(2), np.full((4, 4), math.nan), noise)
    assert math.isnan(found.half_width(0.95))
    assert not found.is_above(0.95)
    assert not racing.has_lost(found)


def test_who_is_far_behind_has_lost_and_who_is_ahead_has_not() -> None:
    noise = racing.SeedNoise(1e-4, 0.0, 10)
    ahead = racing.difference(np.full(2, 0.7), np.full(2, 0.6), np.zeros((4, 4)), noise)
    assert racing.has_lost(ahead)
    assert not racing.has_lost(racing.Estimate(-ahead.mean, ahead.error, ahead.freedom))


def test_false_winners_among_equal_configurations_are_rare() -> None:
    """The winner is chosen for its first run among five, and has two new seeds, as the default."""
    seeds, both, examples, n = 0.006, 0.005, 0.0045, 600
    draw = np.random.default_rng(0)
    own = covariance(2, both, examples)
    n_found = 0
    for _ in range(n):
        of_config = draw.normal(0, examples, (2, 6))  # select and confirm
        of_run = draw.normal(0, seeds, (3, 6)) + draw.normal(0, both, (2, 3, 6))
        scores = of_config[:, None] + of_run  # (split, seed, configuration)
        best = 1 + scores[0, 0, 1:].argmax()
        confirm = [scores[1, 1:, best], scores[1, 1:, 0]]
        noise = racing.seed_noise([scores[1, 0, best], scores[1, 0, 0]], confirm, [own, own])
        n_found += racing.difference(*confirm, pair(own), noise).is_above(racing.corrected(1))
    assert n_found / n <= 0.055
