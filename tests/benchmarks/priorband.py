"""NePS's PriorBand as a contestant: its own search, by ask and tell, over the same space.

It is not an extra of the tests: it wants other versions of pandas and networkx, and torchvision.
`pip install -e ".[benchmarks]"` installs it beside the project.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from search.searchers.base import Params
from spaces.params import Param
from spaces.space import Space
from tests.benchmarks.curve import UNITS
from trainable.component import Choice, FloatRange, Value
from trainable.errors import InputError
from trainable.seeds import derive

_FIDELITY = "unit"
_ETA = 3


class PriorBand:
    """PriorBand of NePS 0.17 over a space of this project.

    Its space is flat: each params of the space is always there, and what does not exist under the
    others is passed over. The centres of its priors are the defaults, with medium confidence; it
    begins with them, at the full budget.

    Source: Mallik et al. 2023 (arXiv:2306.12370), in NePS's implementation: Hyperband.

    Args:
        space: The space to search.
        seed: Seed of all draws.

    Raises:
        InputError: NePS is not installed.
    """

    def __init__(self, space: Space, seed: int) -> None:
        neps = _neps()
        self._seed, self._n_asked = seed, 0
        own = {param.name: _parameter(neps, param, prior_of(space, param)) for param in flat(space)}
        unit = neps.HPOInteger(1, UNITS, is_fidelity=True)
        optimizer = neps.algorithms.priorband(
            neps.SearchSpace({**own, _FIDELITY: unit}),
            eta=_ETA,
            sample_prior_first="highest_fidelity",
        )
        self._search = neps.AskAndTell(optimizer)

    def ask(self) -> tuple[str, Params, int]:
        """Return an id, params, and the unit up to which a run with them is wanted."""
        with _seeded(derive(self._seed, "priorband", self._n_asked)):
            trial = self._search.ask()
        self._n_asked += 1
        params = dict(trial.config)
        return trial.metadata.id, params, int(params.pop(_FIDELITY))

    def tell(self, id: str, score: float) -> None:
        """Say what came out; NePS minimizes."""
        self._search.tell(id, {"objective_to_minimize": -score})


def flat(space: Space) -> list[Param]:
    """Return the params that have more than one value."""
    return [
        p for p in space.params() if not isinstance(p.domain, Choice) or len(p.domain.values) > 1
    ]


def prior_of(space: Space, param: Param) -> Value:
    """Return the default of a param, also of one that the base does not have."""
    return space.values_under(dict(param.parents))[param.name]


def _parameter(neps: Any, param: Param, prior: Value) -> Any:
    domain, kept = param.domain, {"prior": prior, "prior_confidence": "medium"}
    if isinstance(domain, Choice):
        return neps.HPOCategorical(list(domain.values), **kept)
    if isinstance(domain, FloatRange):
        return neps.HPOFloat(domain.low, domain.high, log=domain.log, **kept)
    return neps.HPOInteger(domain.low, domain.high, **kept)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the generators that NePS shares with the whole process, and give them back."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def _neps() -> Any:
    try:
        import neps
    except ImportError as error:
        raise InputError(
            "contestant priorband: NePS is not installed "
            f'({error}); pip install -e ".[benchmarks]", or leave it out of --contestants'
        ) from error
    return neps
