"""RungGp: Bayesian optimization of the score at the last rung, from the results of all rungs."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence

import numpy as np
from threadpoolctl import ThreadpoolController

from search.log.history import History
from search.searchers.base import Params, Suggestion, Tried, draw_params, fresh, params_key
from search.searchers.gp.acquisition import Incumbent, candidates
from search.searchers.gp.encoding import SpaceEncoding
from search.searchers.gp.guard import Guard
from search.searchers.gp.model import Hyperparameters, RungModel
from search.searchers.gp.observations import RungScores, Score
from search.searchers.gp.per_task import ScoreModel, learn_each
from search.searchers.gp.proposals import Start, best_proposals, is_given, propose, start_of
from search.searchers.gp.results_by_rung import RungResults, some
from spaces.priors import Prior
from spaces.space import Space
from trainable.metrics import metric_keys
from trainable.seeds import derive

_GROWTH = 1.2  # factor by which the reports grow until hyperparameters are learned again
_N_LEARN = 30  # trials of each rung that hyperparameters are learned from
# Largest numbers of trials in a model: best and others of each rung, failed and pending ones.
_N_BEST, _N_OTHERS, _N_FAILED, _N_PENDING = 15, 12, 8, 40
_N_TOP = 5  # trials near which candidates are drawn
_N_GOOD = 3  # trials of each rung that proposals change while there is no model
# Share of uniform draws: with a prior, which may mislead, and without one.
UNIFORM_SHARE, RANDOM_SHARE = 1 / 6, 1 / 3
_N_GUIDED = 50  # attempts after which what is not tried yet is drawn from the whole space
# The BLAS libraries of numpy and scipy, which are loaded by now. On matrices as small as ours
# several threads wait for each other: on two cores a suggestion took six times as long.
_BLAS = ThreadpoolController().select(user_api="blas")
# Number of reports and metrics that hyperparameters were learned from, and those of each metric.
_Learned = tuple[int, tuple[str, ...], list[Hyperparameters]]


class RungGp:
    """Suggests the candidate with the greatest expected improvement at the end of a run.

    A Gaussian process of params and rungs (`search.searchers.gp.model`) learns from every rung that
    any trial reached, and also how a rung predicts the last one. So it need not wait for many full
    runs, and it does not prefer trials only because they rise fast. It compares some hundred
    candidates: with a prior, the best trials with few changes, draws from the prior and some from
    the whole space; else those from the whole space and from near the best trials. While there is
    no model, such a proposal is suggested as it is. How many suggestions may use the prior, a
    guard decides (`search.searchers.gp.guard`).

    - The score to improve on is the best predicted mean plus one standard deviation of the noise.
    - Pending trials count as if they had scored what the model predicts, so that many slots do not
      get nearly the same params.
    - A failed trial, or one whose score became NaN, counts as the worst of the first rung that it
      did not reach.
    - Hyperparameters are learned again whenever the number of reports has grown by a fifth, from
      the reports up to then. So a suggestion follows from the history alone.
    - In a long search a model gets the best trials and a sample of the others, so that a suggestion
      stays cheap after 10,000 trials.

    Source: Swersky et al. 2013, Multi-Task Bayesian Optimization; deviation: the scheduler and
    not the model chooses which rung to look at next.

    Args:
        space: The space to search.
        seed: Seed of all draws.
        rungs: Units at which trials are compared; the last one ends a run.
        min_results: Number of trials with a score at a rung before there is a model.
        random_share: Share of random suggestions, in [0, 1], beside those that the guard asks for.
            Default: a sixth with a prior, else a third.
        prior: Where an expert would look first. Without one, suggestions are random while there is
            no model, and a model compares candidates from the whole space.
    """

    def __init__(
        self,
        space: Space,
        seed: int,
        rungs: Sequence[int],
        min_results: int = 10,
        random_share: float | None = None,
        prior: Prior | None = None,
    ) -> None:
        self._space, self._seed, self._rungs = space, seed, sorted(rungs)
        self._min_results, self._prior = min_results, prior
        usual = RANDOM_SHARE if prior is None else UNIFORM_SHARE
        self._random_share = usual if random_share is None else random_share
        self._params, self._tasks = space.params(), space.base.table
        self._encoding = SpaceEncoding(self._params)
        self._tried = Tried()
        self._results = RungResults(rungs, self._params)
        self._begin(None)

    def _begin(self, history: History | None) -> None:
        self._history = history
        metrics = metric_keys(self._tasks)
        self._scores = RungScores(self._results, self._rungs, self._encoding, metrics)
        self._learned: _Learned | None = None
        self._guard = Guard(self._seed, self._rungs[0])

    @_BLAS.wrap(limits=1)  # type: ignore[untyped-decorator]
    def suggest(self, number: int, history: History) -> Suggestion | None:
        """Return params that no trial has, from the model or, while there is none, from a draw."""
        if history is not self._history:
            self._begin(history)
        self._tried.read(history)
        self._results.read(history)
        self._scores.read(history)
        self._guard.read(history)
        by_chance = derive(self._seed, "share", number) / 2**63 < self._random_share
        prior = self._prior if self._prior and self._guard.trusts(number) else None
        incumbent = None if by_chance else self._incumbent(number, history)

        def draw(attempt: int) -> tuple[Params, str]:
            seed = derive(self._seed, "rung-gp", number, attempt)
            generator = random.Random(seed)
            if incumbent is not None and attempt == 0:
                found = self._best(*incumbent, prior, seed)
                new = next((own for own in found if own[0] not in self._tried), None)
                if new is not None:
                    return new
            if prior is not None and not by_chance and attempt < _N_GUIDED:
                return propose(prior, self._starts(prior), generator)
            return draw_params(self._params, generator), "random"

        return fresh(self._space, draw, self._tried)

    def _best(
        self, incumbent: Incumbent, starts: list[Start], prior: Prior | None, seed: int
    ) -> Iterable[tuple[Params, str]]:
        """Yield candidates and their origins, that with the greatest expected improvement first."""
        if prior is None:
            found = candidates(self._encoding, incumbent, np.random.default_rng(seed))
            return ((params, "rung-gp") for params in found)
        draw = random.Random(seed)
        return best_proposals(prior, self._params, self._encoding, incumbent, starts, draw)

    def _starts(self, prior: Prior) -> list[Start]:
        """Return what to change while there is no model: the best, the default and given points."""
        trials = [self._results.trials[index] for index in self._results.best_third(_N_GOOD)]
        pending = (self._results.trials[index] for index in self._results.pending)
        trials += [trial for trial in pending if is_given(trial.origin)]
        found: dict[int, Start] = {}
        for start in (*map(start_of, trials), Start(prior.center, "the default")):
            found.setdefault(params_key(start.params), start)
        return list(found.values())

    def _incumbent(self, number: int, history: History) -> tuple[Incumbent, list[Start]] | None:
        """Return the model and its target, and the top trials; None for too few results."""
        known = self._hyperparameters(history)
        if known is None:
            return None
        results, draw = self._results, random.Random(derive(self._seed, "given", number))
        chosen = {
            index for unit in self._rungs for index in results.at(unit, _N_BEST, _N_OTHERS, draw)
        }
        indices = sorted(chosen)
        scores = self._scores.of(indices)
        if not scores:  # all have failed since then
            return None
        scores += self._scores.worst(some(results.failed, _N_FAILED, draw), scores)
        models = list(map(RungModel, self._scores.as_results(scores), known))
        model = ScoreModel(models, self._weights())
        worth = model.mean(self._scores.features(indices))
        best_first = np.argsort(-worth, kind="stable")
        top = [start_of(results.trials[indices[k]]) for k in best_first[:_N_TOP]]
        best = float(worth.max())
        pending = some(results.pending, _N_PENDING, draw)
        if pending:
            features = self._scores.features(pending)
            best = max(best, float(model.mean(features).max()))
            model = model.condition_on_pending(features)
        # The trial that leads in the end is good and was also lucky. So a candidate that is
        # expected to beat the best mean by little is worth nothing: steps would be too small.
        points = self._encoding.points([start.params for start in top])
        return Incumbent(model, best + model.noise_sd, points), top

    def _weights(self) -> list[float]:
        """Return the weight in the score of each metric that is modelled."""
        of_tasks = {task.metric_key: task.weight for task in self._tasks.values()}
        return [of_tasks.get(metric, 1.0) for metric in self._scores.metrics]

    def _hyperparameters(self, history: History) -> list[Hyperparameters] | None:
        """Return those learned from the reports, except the last fifth at most; None if too few."""
        n_reports, metrics = 1, self._scores.metrics
        while (more := math.ceil(n_reports * _GROWTH)) <= len(history.reports):
            n_reports = more
        if self._learned is None or self._learned[:2] != (n_reports, metrics):
            scores = self._first_scores(history, n_reports)
            if len({index for index, _, _ in scores}) < max(1, self._min_results):
                return None
            results = self._scores.as_results(scores)
            known = learn_each(results, metrics, len(self._rungs), self._encoding, self._tasks)
            self._learned = n_reports, metrics, known
        return self._learned[2]

    def _first_scores(self, history: History, n_reports: int) -> list[Score]:
        """Return scores among the first reports, for at most `_N_LEARN` trials of each rung."""
        draw = random.Random(derive(self._seed, "learn", n_reports))
        index_of = self._results.index_of
        reached = {(index, unit) for index in self._results.imported for unit in self._rungs}
        reached |= {
            (index_of[number], unit)
            for number, unit in history.reports[:n_reports]
            if number in index_of
        }
        found = [
            own
            for own in self._scores.of(sorted({index for index, _ in reached}))
            if (own[0], self._rungs[own[1]]) in reached
        ]
        chosen = {
            index
            for k in range(len(self._rungs))
            for index in some([index for index, at, _ in found if at == k], _N_LEARN, draw)
        }
        return [own for own in found if own[0] in chosen]
