"""Which of a few configurations is better: a test over new seeds and over examples.

The score of a run has three kinds of luck: of its seed, of the examples that it is scored on, and
of both together (another seed errs on other examples). A claim about a configuration is one about
new seeds and new examples. With s new seeds of each of two configurations, the difference of
their mean scores varies by

    2/s * (variance over seeds - what of it the examples explain) + w' C w

where C is the covariance of the runs' scores over draws of examples (`trainable.paired_error`) and
w has 1/s for the runs of one, -1/s for those of the other. Its second part has all that examples
do, so what they do to single seeds is taken out of the first, which would count it twice.

The variance over seeds is pooled over all configurations, with their first runs; these count in
nothing else, since a configuration was chosen for the luck of its first run. The degrees of freedom
are Satterthwaite's (1946): only the variance over seeds rests on few numbers.

Everything here is a function of arrays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

Floats = NDArray[np.float64]

CONFIDENCE = 0.95  # of "better"; corrected for how many configurations could be called so
_MAY_STILL_WIN = 0.9  # who is behind with this confidence, uncorrected, gets no more seeds


@dataclass(frozen=True)
class SeedNoise:
    """What another seed does to a score on the same examples.

    Attributes:
        variance: Over seeds, at least 0; NaN where it is not known.
        by_examples: The part of it that other examples would change, at least 0.
        freedom: Degrees of freedom of the variance, at least 1.
    """

    variance: float
    by_examples: float
    freedom: int


@dataclass(frozen=True)
class Estimate:
    """Of a mean score over new seeds, or of the difference of two.

    Attributes:
        mean: The estimate.
        error: Its standard error over new seeds and new examples; NaN where it is not known.
        freedom: Degrees of freedom of the error, above 0.
    """

    mean: float
    error: float
    freedom: float

    def half_width(self, confidence: float) -> float:
        """Return half of the width of an interval that covers the truth with 2 * confidence - 1.

        Args:
            confidence: With which the truth is above its lower end.
        """
        return float(self.error * student.ppf(confidence, self.freedom))

    def is_above(self, confidence: float) -> bool:
        """Whether the truth is above 0, with this confidence."""
        return self.mean > self.half_width(confidence)  # False where the error is not known


def seed_noise(
    firsts: Sequence[float], scores: Sequence[Floats], covariance: Sequence[Floats]
) -> SeedNoise:
    """Return what another seed does, pooled over configurations.

    Args:
        firsts: Score of each configuration's first run; NaN where it is not known.
        scores: For each the (s,) scores of its runs with new seeds, s at least 1 for one of them.
        covariance: For each the (s, s) covariance of these over draws of examples.
    """
    squares = freedom = 0.0
    within = pairs = 0.0
    for first, own, examples in zip(firsts, scores, covariance, strict=True):
        all_runs = own if math.isnan(first) else np.array([first, *own])
        squares += ((all_runs - all_runs.mean()) ** 2).sum()
        freedom += len(all_runs) - 1
        if len(own) > 1:
            within += np.trace(examples) - examples.sum() / len(own)
            pairs += len(own) - 1
    if not freedom:
        return SeedNoise(math.nan, 0.0, 1)
    variance = squares / freedom
    by_examples = max(0.0, within / pairs) if pairs else 0.0
    return SeedNoise(float(variance), float(min(by_examples, variance)), int(freedom))


def difference(first: Floats, second: Floats, covariance: Floats, noise: SeedNoise) -> Estimate:
    """Return how much better the first of two configurations is, over new seeds.

    Args:
        first: (s,) scores of its runs, s at least 1.
        second: (r,) scores of the other's, r at least 1.
        covariance: (s + r, s + r) of all of them over draws of examples.
        noise: What another seed does.
    """
    s, r = len(first), len(second)
    weights = np.concatenate([np.full(s, 1 / s), np.full(r, -1 / r)])
    return _estimate(np.concatenate([first, second]), weights, covariance, noise)


def mean_score(scores: Floats, covariance: Floats, noise: SeedNoise) -> Estimate:
    """Return the mean score of one configuration over new seeds.

    Args:
        scores: (s,) of its runs, s at least 1.
        covariance: (s, s) of them over draws of examples.
        noise: What another seed does.
    """
    s = len(scores)
    return _estimate(scores, np.full(s, 1 / s), covariance, noise)


def _estimate(scores: Floats, weights: Floats, covariance: Floats, noise: SeedNoise) -> Estimate:
    seeds = float(weights @ weights)
    by_examples = float(weights @ covariance @ weights)
    variance = seeds * (noise.variance - noise.by_examples) + by_examples
    rough = seeds * noise.variance  # the part that is estimated from few numbers
    freedom = noise.freedom * (variance / rough) ** 2 if rough > 0 else math.inf
    error = math.nan if math.isnan(variance) else math.sqrt(max(0.0, variance))
    return Estimate(float(weights @ scores), error, max(freedom, noise.freedom))


def corrected(n_challengers: int, n_looks: int = 1) -> float:
    """Return the confidence of a single test, so that all of them together have 0.95 (Bonferroni).

    Args:
        n_challengers: Configurations that could be called better, at least 1.
        n_looks: How often each of them may be tested, at least 1.
    """
    return 1 - (1 - CONFIDENCE) / (n_challengers * n_looks)


def has_lost(to_leader: Estimate) -> bool:
    """Whether a configuration is so far behind the leader that it gets no more seeds.

    Args:
        to_leader: The leader minus this one.
    """
    return to_leader.is_above(_MAY_STILL_WIN)
