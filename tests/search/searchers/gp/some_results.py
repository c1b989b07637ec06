"""Scores of made-up trials, for the tests of the model and of its fit."""

from __future__ import annotations

import numpy as np

from search.searchers.gp.model import Results


def some_results(
    draw: np.random.Generator, n_trials: int, n_rungs: int, n_features: int
) -> Results:
    """Return scores of trials that stopped at any rung."""
    x = draw.random((n_trials, n_features))
    reached = draw.integers(1, n_rungs + 1, n_trials)
    trials = np.repeat(np.arange(n_trials), reached)
    rungs = np.concatenate([np.arange(n) for n in reached])
    return Results(x, rungs, trials, draw.normal(size=len(trials)))
