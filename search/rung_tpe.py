"""RungTpe: a TPE that learns from the highest rung with enough results."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np

from search.history import History
from search.parzen import Group, best_candidate
from search.proposals import Params, Proposal, Tried, draw_params, exists, fresh, is_random
from search.rung_results import RungResults
from search.trial_record import TrialRecord
from spaces.space import Space
from spaces.walk import Param
from trainable.seeds import derive

_GOOD_SHARE = 0.1  # of the trials with a result, and of those that failed
_MODEL_ATTEMPTS = 4  # at a proposal that is new; those after them are at random


class RungTpe:
    """TPE on the results of one rung, with a share of random proposals.

    For each proposal a TPE is fitted anew: to the scores at the highest unit among the rungs at
    which at least `min_results` trials have one, so that only scores after equal training are
    compared. Trials under way that have none there count as poor ones; so do those paused or
    stopped at a rung below, as far as that rung orders trials as the model's does. Failed trials
    and those whose score became NaN count as violated constraints: never as good ones.

    Source: Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization (TPE); Falkner et al.
    2018, BOHB (arXiv:1807.01774): one model for each budget, the highest usable one proposes, a
    third is random. The densities are those of Optuna's multivariate TPE (`search.parzen`). We
    deviate from BOHB in

    - what a model needs: BOHB asks for more results than there are params, which with a hundred
      and more conditional ones no rung but the first would ever have. These densities have a prior
      over the whole range, so that they are defined from the first result on.
    - conditional params: those that exist under the same conditions are modelled jointly, from the
      trials that have them, and apart from all others. BOHB fills in random values.
    - trials under way: BOHB leaves them out; many places at once would get nearly the same.
    - a cap on what the model is given, so that a proposal stays cheap after 10,000 trials: the
      best results, and a seeded sample of the others.

    Args:
        space: What varies.
        seed: Of all draws.
        rungs: Units at which trials are compared; the last one ends a run.
        min_results: Scores that a rung needs for a model.
        random_share: Share of random proposals, in [0, 1].
    """

    def __init__(
        self,
        space: Space,
        seed: int,
        rungs: Sequence[int],
        min_results: int = 10,
        random_share: float = 1 / 3,
    ) -> None:
        self._space = space
        self._seed = seed
        self._min_results = min_results
        self._random_share = random_share
        self._params = space.params()
        self._groups = [(own[0], Group(own)) for own in _groups(self._params)]
        self._tried = Tried()
        self._results = RungResults(rungs, self._params)

    def propose(self, number: int, history: History) -> Proposal | None:
        """Return a proposal of the model, or a random one, that no trial had."""
        self._tried.read(history)
        self._results.read(history)
        by_chance = is_random(self._seed, number, self._random_share)
        given = None if by_chance else self._given(number)

        def draw(attempt: int) -> tuple[Params, str]:
            seed = derive(self._seed, "rung-tpe", number, attempt)
            if given is None or attempt >= _MODEL_ATTEMPTS:
                return draw_params(self._params, random.Random(seed)), "random"
            unit, good, bad = given
            return self._sample(good, bad, seed), f"rung-tpe at unit {unit}"

        return fresh(self._space, draw, self._tried)

    def _given(self, number: int) -> tuple[int, list[Params], list[Params]] | None:
        """Return the highest rung with enough results, the good trials there, and all others."""
        draw = random.Random(derive(self._seed, "given", number))
        known = self._results.known(self._min_results, draw)
        if known is None:
            return None
        n_good = math.ceil(_GOOD_SHARE * (len(known.results) + len(known.failed)))
        good, others = known.results[:n_good], known.results[n_good:]
        return known.unit, _oldest_first(good), _oldest_first(others, known.failed, known.liars)

    def _sample(self, good: list[Params], bad: list[Params], seed: int) -> Params:
        """Fit the model and return its proposal."""
        draw = np.random.default_rng(seed)
        params: Params = {}
        for first, group in self._groups:
            if exists(first, params):
                params |= best_candidate(group, good, bad, draw)
        return params


def _oldest_first(*trials: list[TrialRecord]) -> list[Params]:
    together = [trial for own in trials for trial in own]
    return [trial.params for trial in sorted(together, key=lambda trial: trial.number)]


def _groups(params: tuple[Param, ...]) -> list[list[Param]]:
    """Return the params that exist under the same conditions, parents before their children."""
    groups: dict[tuple[tuple[str, str], ...], list[Param]] = {}
    for param in params:
        groups.setdefault(param.parents, []).append(param)
    return list(groups.values())
