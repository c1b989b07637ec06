"""RungTpe: a TPE that learns from the highest rung with enough results."""

from __future__ import annotations

import random
from collections.abc import Container, Sequence

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import TPESampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from search.history import History, TrialRecord
from search.proposals import Params, Proposal, Tried, draw_params, exists, fresh
from search.rung_results import RungResults
from spaces.domains import distribution
from spaces.space import Space
from spaces.walk import Param, Value
from trainable.component import Choice, Domain
from trainable.seeds import derive

_MODEL_ATTEMPTS = 4  # at a proposal that is new; those after them are at random


class RungTpe:
    """TPE on the results of one rung, with a share of random proposals.

    For each proposal a TPE is fitted anew: to the scores at the highest unit among the rungs at
    which at least `min_results` trials have one, so that only scores after equal training are
    compared. Trials under way that have none there count as poor ones; so do those paused or
    stopped at a rung below, as far as that rung orders trials as the model's does. Failed trials
    and those whose score became NaN count as violated constraints: worse than all others.

    Source: Bergstra et al. 2011, Algorithms for Hyper-Parameter Optimization (TPE); Falkner et al.
    2018, BOHB (arXiv:1807.01774): one model for each budget, the highest usable one proposes, a
    third is random. The estimator is Optuna's multivariate one. We deviate from BOHB in

    - what a model needs: BOHB asks for more results than there are params, which with a hundred
      and more conditional ones no rung but the first would ever have. Optuna's estimator has a
      prior over the whole range, so that it is defined from the first result on.
    - conditional params: those that exist under the same conditions are modelled jointly, from the
      trials that have them, and apart from all others. BOHB fills in random values.
    - trials under way: BOHB leaves them out; many places at once would get nearly the same.
    - a cap on what the model is given, so that a proposal stays cheap after 10,000 trials: the
      best results, and a seeded sample of the others.

    Args:
        space: What varies.
        seed: Of all draws.
        rungs: Units at which trials are compared; the last one ends a run.
        min_results: Scores that a rung needs for a model; under 3, failed trials could pass for
            good ones.
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
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # else it tells of every study made
        self._space = space
        self._seed = seed
        self._min_results = min_results
        self._random_share = random_share
        self._params = space.params()
        self._groups = _groups(self._params)
        self._domains = {param.name: param.domain for param in self._params}
        self._tried = Tried()
        self._results = RungResults(rungs, self._fits)

    def propose(self, number: int, history: History) -> Proposal | None:
        """Return a proposal of the model, or a random one, that no trial had."""
        self._tried.read(history)
        self._results.read(history)
        given = None if self._is_random(number) else self._given(number)

        def draw(attempt: int) -> tuple[Params, str]:
            seed = derive(self._seed, "rung-tpe", number, attempt)
            if given is None or attempt >= _MODEL_ATTEMPTS:
                return draw_params(self._params, random.Random(seed)), "random"
            unit, trials = given
            return self._sample(trials, seed), f"rung-tpe at unit {unit}"

        return fresh(self._space, draw, self._tried)

    def _fits(self, trial: TrialRecord) -> bool:
        """Whether today's space can have a trial."""
        known = self._domains
        return all(n in known and _contains(known[n], v) for n, v in trial.params.items())

    def _is_random(self, number: int) -> bool:
        return derive(self._seed, "share", number) < self._random_share * 2**63

    def _given(self, number: int) -> tuple[int, list[FrozenTrial]] | None:
        """Return the highest rung with enough results, and what the model is fitted to."""
        draw = random.Random(derive(self._seed, "given", number))
        known = self._results.known(self._min_results, draw)
        if known is None:
            return None
        return known.unit, [
            *(_frozen(t, TrialState.COMPLETE, t.score_at(known.unit)) for t in known.results),
            *(_frozen(t, TrialState.PRUNED) for t in known.failed),
            *(_frozen(t, TrialState.RUNNING) for t in known.liars),
        ]

    def _sample(self, given: list[FrozenTrial], seed: int) -> Params:
        """Fit the model and return its proposal."""
        sampler = TPESampler(
            seed=seed % 2**32, n_startup_trials=0, multivariate=True, constant_liar=True
        )
        storage = _Given(given)
        study = optuna.create_study(storage=storage, sampler=sampler, direction="maximize")
        study.ask()
        asked = storage.get_trial(0)
        params: Params = {}
        # The space says what depends on what. With `group=True` Optuna would find it out from the
        # trials, and sample every group, of which most do not exist under what the others chose.
        for group in self._groups:
            if exists(group[0], params):
                joint = {param.name: distribution(param.domain) for param in group}
                drawn = sampler.sample_relative(study, asked, joint)
                params |= {name: _inside(joint[name], value) for name, value in drawn.items()}
        return params


class _Given(InMemoryStorage):
    """Trials for a study, which Optuna would copy deeply, one by one, if they were added to it."""

    def __init__(self, given: list[FrozenTrial]) -> None:
        super().__init__()
        self._given = given

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        own = super().get_all_trials(study_id, deepcopy, states)
        return [*own, *(t for t in self._given if states is None or t.state in states)]


def _frozen(trial: TrialRecord, state: TrialState, score: float | None = None) -> FrozenTrial:
    frozen = FrozenTrial(
        number=trial.number + 2,  # 0 is the trial that is asked for; imported ones have -1
        trial_id=trial.number + 2,
        state=state,
        value=score,
        datetime_start=None,
        datetime_complete=None,
        params=trial.params,
        distributions={},  # the sampler is told what it samples
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )
    if state == TrialState.PRUNED:
        frozen.set_constraint("failed", 1.0)  # above 0 is violated
    return frozen


def _groups(params: tuple[Param, ...]) -> list[list[Param]]:
    """Return the params that exist under the same conditions, parents before their children."""
    groups: dict[tuple[tuple[str, str], ...], list[Param]] = {}
    for param in params:
        groups.setdefault(param.parents, []).append(param)
    return list(groups.values())


def _contains(domain: Domain, value: Value) -> bool:
    if isinstance(domain, Choice):
        return value in domain.values
    return not isinstance(value, str) and domain.low <= value <= domain.high


def _inside(domain: BaseDistribution, value: Value) -> Value:
    """Return a sampled value as Python's own number, and no rounding error outside its range."""
    if isinstance(domain, FloatDistribution):
        return min(max(float(value), domain.low), domain.high)
    return value
