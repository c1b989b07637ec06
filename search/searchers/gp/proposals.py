"""Proposals from what is known: good configurations with few changes, and draws from the prior.

Near a good configuration scores differ by little more than noise; where many params move at once,
they fall off. So most proposals change one to four params.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.log.trial import TrialRecord
from search.searchers.base import Params, draw_params
from search.searchers.gp.acquisition import Incumbent, gains
from search.searchers.gp.encoding import SpaceEncoding
from spaces.params import Param
from spaces.priors import Prior

_Floats = NDArray[np.float64]

_PRIOR_SHARE = 1 / 5  # of the proposals draw all params from the prior
_MOST_CHANGES = 4
_N_PROPOSED, _N_ANYWHERE, _N_REFINED = 80, 15, 20  # candidates that a model compares


@dataclass(frozen=True)
class Start:
    """A configuration to change.

    Attributes:
        params: Its params.
        name: How an origin calls it: `trial 3`.
    """

    params: Params
    name: str


def start_of(trial: TrialRecord) -> Start:
    """Return a trial as a configuration to change."""
    return Start(trial.params, f"trial {trial.number}" if trial.number >= 0 else "imported trial")


def is_given(origin: str) -> bool:
    """Whether a trial was a point of the plan, and no suggestion of the searcher."""
    return not origin.startswith(("random", "prior", "change of ", "rung-gp"))


def propose(prior: Prior, starts: Sequence[Start], generator: random.Random) -> tuple[Params, str]:
    """Return a configuration and its origin.

    Args:
        prior: The prior of the space.
        starts: What to change, the best first; the k-th is taken with a weight of 1 / k.
        generator: Source of the random numbers.
    """
    if generator.random() < _PRIOR_SHARE:
        return prior.draw(generator), "prior"
    start = generator.choices(starts, [1 / (k + 1) for k in range(len(starts))])[0]
    n_changes = generator.randint(1, _MOST_CHANGES)
    return prior.changed(start.params, n_changes, generator), f"change of {start.name}"


def best_proposals(
    prior: Prior,
    params: Iterable[Param],
    encoding: SpaceEncoding,
    incumbent: Incumbent,
    starts: Sequence[Start],
    generator: random.Random,
) -> Iterator[tuple[Params, str]]:
    """Yield some hundred proposals, the one with the greatest expected improvement first.

    Some are drawn from the whole space. Around the best of them all, others change one param more.

    Args:
        prior: The prior of the space.
        params: Params of the space.
        encoding: Encoding of the space.
        incumbent: What to improve on.
        starts: What to change, the best first.
        generator: Source of the random numbers.
    """
    found = [propose(prior, starts, generator) for _ in range(_N_PROPOSED)]
    found += [(draw_params(params, generator), "random") for _ in range(_N_ANYWHERE)]

    def gain(proposed: list[tuple[Params, str]]) -> _Floats:
        return gains(encoding, incumbent, encoding.points([own for own, _ in proposed]))

    gain_of = gain(found)
    leader, origin = found[int(gain_of.argmax())]
    more = [(prior.changed(leader, 1, generator), origin) for _ in range(_N_REFINED)]
    found, gain_of = found + more, np.concatenate([gain_of, gain(more)])
    for row in np.argsort(-gain_of, kind="stable"):
        own, origin = found[int(row)]
        yield own, f"rung-gp, {origin}"
