"""What a model expects of trials that wait at a rung, and of the next proposal.

By it a scheduler sees whether to go on with one of them or to begin something new. Both are judged
by how much they are expected to improve, at the end of a run, on the best that went all the way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from search.expected_improvement import log_expected_improvement
from search.history import History
from search.rung_model import RungModel

_Floats = NDArray[np.float64]


class Outlook(Protocol):
    """What a model expects at one moment.

    Attributes:
        log_new: Logarithm of the expected improvement by the next proposal; minus infinity where
            there is nothing new.
    """

    @property
    def log_new(self) -> float: ...

    def log_gains(self, numbers: Sequence[int]) -> _Floats:
        """Return the logarithms of the expected improvement by trials, were they to go all the way.

        Args:
            numbers: Of trials.

        Returns:
            (trials,), minus infinity for those that the model does not know.
        """
        ...


OutlookOf = Callable[[History], Outlook | None]
"""Returns the outlook of this moment, or None where a model knows too little."""


class ModelOutlook:
    """The outlook of a `RungModel`.

    Args:
        model: Of the results.
        features_of: Places of trials -> (trials, features).
        place_of: Trials that the model knows, by number.
        best: The best score of those that went all the way.
        log_new: As in `Outlook`.
    """

    def __init__(
        self,
        model: RungModel,
        features_of: Callable[[Sequence[int]], _Floats],
        place_of: Mapping[int, int],
        best: float,
        log_new: float,
    ) -> None:
        self._model, self._features_of = model, features_of
        self._place_of, self._best, self.log_new = place_of, best, log_new

    def log_gains(self, numbers: Sequence[int]) -> _Floats:
        """See `Outlook`."""
        gains = np.full(len(numbers), -np.inf)
        known = [k for k, number in enumerate(numbers) if number in self._place_of]
        if known:
            places = [self._place_of[numbers[k]] for k in known]
            mean, sd = self._model.predict_trials(self._features_of(places), np.array(places))
            gains[known] = log_expected_improvement(mean, sd, self._best)
        return gains
