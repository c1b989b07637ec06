"""Random search: every param is drawn independently, on its own scale."""

from __future__ import annotations

import random

from search.log.history import History
from search.searchers.base import Params, Suggestion, Tried, draw_params, fresh
from spaces.space import Space
from trainable.seeds import derive


class RandomSearch:
    """Suggests params that are drawn at random.

    Source: Bergstra & Bengio 2012, Random Search for Hyper-Parameter Optimization.

    Args:
        space: The space to search.
        seed: Seed of all draws.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._seed = seed
        self._params = space.params()
        self._tried = Tried()

    def suggest(self, number: int, history: History) -> Suggestion | None:
        """Return random params that no trial has; None if 300 draws found none."""
        self._tried.read(history)
        return fresh(self._space, lambda attempt: self._draw(number, attempt), self._tried)

    def _draw(self, number: int, attempt: int) -> tuple[Params, str]:
        generator = random.Random(derive(self._seed, "random", number, attempt))
        return draw_params(self._params, generator), "random"
