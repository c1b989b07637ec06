"""RungGp: Bayesian optimization of the last rung, from the results of all rungs."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
from threadpoolctl import ThreadpoolController

from search.log.history import History
from search.searchers.base import Params, Suggestion, Tried, draw_params, fresh, is_random
from search.searchers.gp.acquisition import Goal, candidates
from search.searchers.gp.encoding import SpaceEncoding
from search.searchers.gp.model import Hyperparameters, RungModel
from search.searchers.gp.observations import RungScores, Score
from search.searchers.gp.per_task import ScoreModel, learn_each
from search.searchers.gp.results_by_rung import RungResults, some
from spaces.space import Space
from trainable.seeds import derive

_GROWTH = 1.2  # of the reports, before hyperparameters are learned again
_N_LEARN = 30  # trials of each rung to learn them from
# Trials that a model is given: of each rung, and of those that failed or are under way.
_N_BEST, _N_OTHERS, _N_FAILED, _N_UNDER_WAY = 15, 12, 8, 40
_N_TOP = 5  # trials near which candidates are looked for
# Of numpy and scipy, which are loaded by now. On matrices as small as ours several threads wait for
# each other: on two cores a trial took its driver six times as long.
_BLAS = ThreadpoolController().select(user_api="blas")
# From so many reports, what of each metric.
_Learned = tuple[int, tuple[str, ...], list[Hyperparameters]]


class RungGp:
    """Suggests what is expected to improve most on the best, at the end of a run.

    A Gaussian process of params and rungs (`search.searchers.gp.model`) learns from every rung that
    any trial reached, also what a rung says of the last one: so it need not wait until enough
    trials have gone all the way, nor take for good what rises fast. Of some hundred candidates, all
    over the space and near the best trials, that with the greatest expected improvement is
    suggested.

    - What is to be improved on is the best mean and one standard deviation of what params do not
      explain.
    - Trials under way count as if they had come out as predicted, so that many places do not get
      nearly the same.
    - A failed trial, or one whose score became NaN, counts as the worst of the rung that it did not
      reach.
    - Hyperparameters are learned anew with every fifth more reports, from those until then: a
      suggestion follows from the history, whoever asked for the ones before it.
    - Of a long search a model gets the best trials and a sample of the others, so that a suggestion
      stays cheap after 10,000 trials.

    Source: Swersky et al. 2013, Multi-Task Bayesian Optimization; which task to look at next, there
    a choice of the model's, is ASHA's here.

    Args:
        space: What varies.
        seed: Of all draws.
        rungs: Units at which trials are compared; the last one ends a run.
        min_results: Trials with a score at a rung before there is a model.
        random_share: Share of random suggestions, in [0, 1].
    """

    def __init__(
        self,
        space: Space,
        seed: int,
        rungs: Sequence[int],
        min_results: int = 10,
        random_share: float = 1 / 3,
    ) -> None:
        self._space, self._seed, self._rungs = space, seed, sorted(rungs)
        self._min_results, self._random_share = min_results, random_share
        self._params = space.params()
        self._encoding = SpaceEncoding(self._params)
        self._tried = Tried()
        self._results = RungResults(rungs, self._params)
        self._begin(None)

    def _begin(self, history: History | None) -> None:
        self._history = history
        self._scores = RungScores(self._results, self._rungs, self._encoding)
        self._learned: _Learned | None = None

    @_BLAS.wrap(limits=1)  # type: ignore[untyped-decorator]
    def suggest(self, number: int, history: History) -> Suggestion | None:
        """Return a suggestion of the model, or a random one, that no trial had."""
        if history is not self._history:
            self._begin(history)
        self._tried.read(history)
        self._results.read(history)
        self._scores.read(history)
        by_chance = is_random(self._seed, number, self._random_share)
        goal = None if by_chance else self._goal(number, history)

        def draw(attempt: int) -> tuple[Params, str]:
            seed = derive(self._seed, "rung-gp", number, attempt)
            if goal is not None and attempt == 0:
                found = candidates(self._encoding, goal, np.random.default_rng(seed))
                new = next((params for params in found if params not in self._tried), None)
                if new is not None:
                    return new, "rung-gp"
            return draw_params(self._params, random.Random(seed)), "random"

        return fresh(self._space, draw, self._tried)

    def _goal(self, number: int, history: History) -> Goal | None:
        """Return the model of what is known, and the best of the trials that it is of."""
        known = self._hyperparameters(history)
        if known is None:
            return None
        results, draw = self._results, random.Random(derive(self._seed, "given", number))
        chosen = {
            place for unit in self._rungs for place in results.at(unit, _N_BEST, _N_OTHERS, draw)
        }
        places = sorted(chosen)
        scores = self._scores.of(places)
        if not scores:  # all have failed since
            return None
        scores += self._scores.worst(some(results.failed, _N_FAILED, draw), scores)
        model = ScoreModel(list(map(RungModel, self._scores.as_results(scores), known)))
        worth = model.mean(self._scores.features(places))
        top = [results.trials[places[k]].params for k in np.argsort(-worth)[:_N_TOP]]
        best = float(worth.max())
        under_way = some(results.under_way, _N_UNDER_WAY, draw)
        if under_way:
            features = self._scores.features(under_way)
            best = max(best, float(model.mean(features).max()))
            model = model.believe(features)
        # The trial that leads in the end is a good one that was lucky, too. To be expected to beat
        # the best mean by little is worth nothing, and leads to steps that are too small.
        return Goal(model, best + model.luck, self._encoding.points(top))

    def _hyperparameters(self, history: History) -> list[Hyperparameters] | None:
        """Return what the reports say, but for the last fifth at most; None while there are few."""
        n_reports, metrics = 1, self._scores.metrics
        while (more := math.ceil(n_reports * _GROWTH)) <= len(history.reports):
            n_reports = more
        if self._learned is None or self._learned[:2] != (n_reports, metrics):
            scores = self._first_scores(history, n_reports)
            if len({place for place, _, _ in scores}) < max(1, self._min_results):
                return None
            results = self._scores.as_results(scores)
            known = learn_each(results, metrics, len(self._rungs), self._encoding)
            self._learned = n_reports, metrics, known
        return self._learned[2]

    def _first_scores(self, history: History, n_reports: int) -> list[Score]:
        """Return scores among the first reports, of at most so many trials of each rung."""
        draw = random.Random(derive(self._seed, "learn", n_reports))
        place_of = self._results.place_of
        reached = {(place, unit) for place in self._results.imported for unit in self._rungs}
        reached |= {
            (place_of[number], unit)
            for number, unit in history.reports[:n_reports]
            if number in place_of
        }
        found = [
            own
            for own in self._scores.of(sorted({place for place, _ in reached}))
            if (own[0], self._rungs[own[1]]) in reached
        ]
        chosen = {
            place
            for k in range(len(self._rungs))
            for place in some([place for place, at, _ in found if at == k], _N_LEARN, draw)
        }
        return [own for own in found if own[0] in chosen]
