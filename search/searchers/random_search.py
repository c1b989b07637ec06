"""Random search."""

from __future__ import annotations

import random

from search.log.history import History
from search.searchers.base import Params, Suggestion, Tried, draw_params, fresh
from spaces.space import Space
from trainable.seeds import derive


class RandomSearch:
    """Random search.

    Source: Bergstra & Bengio 2012, Random Search for Hyper-Parameter Optimization.

    Args:
        space: What varies.
        seed: Of all draws.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._seed = seed
        self._params = space.params()
        self._tried = Tried()

    def suggest(self, number: int, history: History) -> Suggestion | None:
        """Return params drawn at random that no trial had."""
        self._tried.read(history)
        return fresh(self._space, lambda attempt: self._draw(number, attempt), self._tried)

    def _draw(self, number: int, attempt: int) -> tuple[Params, str]:
        generator = random.Random(derive(self._seed, "random", number, attempt))
        return draw_params(self._params, generator), "random"
