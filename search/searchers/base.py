"""Who suggests configurations: what a searcher is, the random one, and how none comes twice.

A searcher is a pure function of its seed, the number of the trial, and the history. Ray is not
here: a driver, a replay of recorded curves and a test ask alike.
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
from trainable.seeds import derive

Params = dict[str, Value]

_ATTEMPTS = 300


@dataclass(frozen=True)
class Suggestion:
    """One configuration to try.

    Attributes:
        params: What was chosen.
        origin: Who chose it: `random`, `rung-gp`, ...
        run_config: What these params mean.
    """

    params: Params
    origin: str
    run_config: RunConfig


class Searcher(Protocol):
    """Suggests configurations, one at a time.

    Equal seeds, numbers and histories give equal suggestions, also from a searcher made anew. The
    history has to know of each suggestion that is tried before the next is asked for.
    """

    def suggest(self, number: int, history: History) -> Suggestion | None:
        """Return the configuration of the trial with this number.

        Args:
            number: The trial's; never one that the history has.
            history: Everything that happened so far.

        Returns:
            A suggestion, or None where there is nothing to suggest at present. It is asked again
            when a trial that is under way has reported or ended; where no trial is under way, None
            means that no more trials begin.
        """
        ...


class Tried:
    """Which params have been tried, by which trial.

    Reads only what came to the history since the last time: in a search of 10,000 trials every
    suggestion asks.
    """

    def __init__(self) -> None:
        self._trials: dict[int, TrialRecord] = {}
        self._history: History | None = None
        self._n_read = 0

    def read(self, history: History) -> None:
        """Take note of the trials of a history: of the new ones, if it is the one of last time."""
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
    """Return a number that equal params share, whatever their order.

    It holds within a process only. That two of 10,000 trials share one by chance has a probability
    of 3e-12, and costs one more draw.
    """
    return hash(frozenset(params.items()))


def fresh(
    space: Space, draw: Callable[[int], tuple[Params, str]], tried: Tried
) -> Suggestion | None:
    """Draw until something new comes.

    Args:
        space: Gives the configuration.
        draw: Returns params and origin of attempt 0, 1, ...
        tried: What is not new.

    Returns:
        None after 300 draws of which none was new. A space with a continuous param that always
        exists never comes to that. In any other, at uniform draws, it says with 95 % confidence
        that less than 1 % of it is untried.
    """
    for attempt in range(_ATTEMPTS):
        params, origin = draw(attempt)
        if params not in tried:
            return Suggestion(params, origin, space.config_of(params))
    return None


def is_random(seed: int, number: int, share: float) -> bool:
    """Whether a model leaves the suggestion of this number to chance.

    Args:
        seed: Of the searcher.
        number: The trial's.
        share: Of random suggestions, in [0, 1].
    """
    return derive(seed, "share", number) < share * 2**63


def draw_params(params: Iterable[Param], generator: random.Random) -> Params:
    """Draw every param that exists under those drawn before it.

    Args:
        params: Those of a space, parents before their children.
        generator: Where the draws come from.
    """
    drawn: Params = {}
    for param in params:
        if exists(param, drawn):
            drawn[param.name] = param.domain.draw(generator)
    return drawn


def exists(param: Param, drawn: Params) -> bool:
    """Whether a param exists under what has been drawn for its parents."""
    return all(drawn.get(parent) == kind for parent, kind in param.parents)
