"""The protocol of a searcher, and what searchers share: random draws, and none is suggested twice.

A searcher is a function of its seed, the number of the trial, and the history. It knows nothing of
Ray, so the driver, a replay of recorded curves and a test all call it in the same way.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from search.log.history import History
from search.log.trial import TrialRecord
from spaces.params import Param
from spaces.space import Space
from trainable.component import Value
from trainable.run_config import RunConfig

Params = dict[str, Value]

_ATTEMPTS = 300


@dataclass(frozen=True)
class Suggestion:
    """One configuration to try.

    Attributes:
        params: Values of the params of the space that exist in this configuration.
        origin: What suggested it: `random`, `rung-gp`, ...
        run_config: The whole configuration of a run with these params.
    """

    params: Params
    origin: str
    run_config: RunConfig


class Searcher(Protocol):
    """Suggests configurations, one at a time.

    Equal seeds, numbers and histories give equal suggestions, also by a searcher made anew.
    Each suggestion that is tried must be in the history before the next call.
    """

    def suggest(self, number: int, history: History) -> Suggestion | None:
        """Return the configuration of the trial with this number.

        Args:
            number: Number of the new trial; it is not in the history yet.
            history: Everything that happened so far.

        Returns:
            A suggestion, or None if there is nothing to suggest at present. The searcher is asked
            again when a running trial has reported or ended. If no trial runs, None means
            that no more trials begin.
        """
        ...


class Tried:
    """Which params have been tried, and by which trial.

    It reads only the trials that were added to the history since the last call, because every
    suggestion of a search of 10,000 trials calls it.
    """

    def __init__(self) -> None:
        self._trials: dict[int, TrialRecord] = {}
        self._history: History | None = None
        self._n_read = 0

    def read(self, history: History) -> None:
        """Add the new trials of a history; forget the known ones if it is another history."""
        if history is not self._history:
            self._history, self._n_read = history, 0
            self._trials = {}
        for trial in islice(history.trials.values(), self._n_read, None):
            self._trials.setdefault(params_key(trial.params), trial)
        self._n_read = len(history.trials)

    def trial_of(self, key: int) -> TrialRecord | None:
        """Return the first trial whose params have this key, or None."""
        return self._trials.get(key)

    def __contains__(self, params: Params) -> bool:
        return params_key(params) in self._trials


def params_key(params: Params) -> int:
    """Return a number that is the same for equal params, whatever their order.

    It is valid within one process only. The probability that two of 10,000 trials share a number
    by chance is 3e-12; that would cost one more draw.
    """
    return hash(frozenset(params.items()))


def fresh(
    space: Space, draw: Callable[[int], tuple[Params, str]], tried: Tried
) -> Suggestion | None:
    """Draw until the params are new.

    Args:
        space: Turns params into a configuration.
        draw: Returns the params and the origin of attempt 0, 1, ...
        tried: Params that are not new.

    Returns:
        A suggestion, or None if none of 300 draws was new. That never happens in a space with a
        continuous param that always exists. In any other space, with uniform draws, None means with
        95 % confidence that less than 1 % of the space is untried.
    """
    for attempt in range(_ATTEMPTS):
        params, origin = draw(attempt)
        if params not in tried:
            return Suggestion(params, origin, space.config_of(params))
    return None


def draw_params(params: Iterable[Param], generator: random.Random) -> Params:
    """Draw a value for every param that exists, given those drawn before it.

    Args:
        params: Params of a space, parents before their children.
        generator: Source of the random numbers.
    """
    drawn: Params = {}
    for param in params:
        if param.exists_in(drawn):
            drawn[param.name] = param.domain.draw(generator)
    return drawn
