"""RungGp: Bayesian optimization of the last rung, from the results of all rungs."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search.columns import Columns
from search.expected_improvement import Goal, candidates
from search.history import History, TrialRecord
from search.proposals import Params, Proposal, Tried, draw_params, fresh, is_random
from search.rung_learning import learn
from search.rung_model import Hyperparameters, Results, RungModel
from search.rung_results import RungResults, some
from spaces.space import Space
from trainable.seeds import derive

_Floats = NDArray[np.float64]

_GROWTH = 1.2  # of the reports, before hyperparameters are learned again
_N_LEARN = 30  # trials of each rung to learn them from
# Trials that a model is given: of each rung, and of those that failed or are under way.
_N_BEST, _N_OTHERS, _N_FAILED, _N_UNDER_WAY = 15, 12, 8, 40
_N_TOP = 5  # trials near which candidates are looked for
_Score = tuple[int, int, float]  # place of a trial, rung, score


class RungGp:
    """Proposes what is expected to improve most on the best, at the end of a run.

    A Gaussian process of params and rungs (`search.rung_model`) learns from every rung that any
    trial reached, also what a rung says of the last one: so it need not wait until enough trials
    have gone all the way, nor take for good what rises fast. Of some hundred candidates, all over
    the space and near the best trials, that with the greatest expected improvement is proposed.

    - What is to be improved on is the best mean and one standard deviation of what params do not
      explain.
    - Trials under way count as if they had come out as predicted, so that many places do not get
      nearly the same.
    - A failed trial, or one whose score became NaN, counts as the worst of the rung that it did not
      reach.
    - Hyperparameters are learned anew with every fifth more reports, from those until then: a
      proposal follows from the history, whoever asked for the ones before it.
    - Of a long search a model gets the best trials and a sample of the others, so that a proposal
      stays cheap after 10,000 trials.

    Source: Swersky et al. 2013, Multi-Task Bayesian Optimization; which task to look at next, there
    a choice of the model's, is ASHA's here.

    Args:
        space: What varies.
        seed: Of all draws.
        rungs: Units at which trials are compared; the last one ends a run.
        min_results: Trials with a score at a rung before there is a model.
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
        self._space, self._seed, self._rungs = space, seed, sorted(rungs)
        self._min_results, self._random_share = min_results, random_share
        self._params = space.params()
        self._columns = Columns(self._params)
        self._tried = Tried()
        self._results = RungResults(rungs, self._params)
        self._begin(None)

    def _begin(self, history: History | None) -> None:
        self._history = history
        self._rows: dict[int, _Floats] = {}  # place of a trial -> (features,)
        self._learned: tuple[int, Hyperparameters] | None = None  # from so many reports

    def propose(self, number: int, history: History) -> Proposal | None:
        """Return a proposal of the model, or a random one, that no trial had."""
        if history is not self._history:
            self._begin(history)
        self._tried.read(history)
        self._results.read(history)
        by_chance = is_random(self._seed, number, self._random_share)
        goal = None if by_chance else self._goal(number, history)

        def draw(attempt: int) -> tuple[Params, str]:
            seed = derive(self._seed, "rung-gp", number, attempt)
            if goal is not None and attempt == 0:
                found = candidates(self._columns, goal, np.random.default_rng(seed))
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
        scores = [(p, k, s) for p in places for k, s in self._scores(results.trials[p])]
        if not scores:  # all have failed since
            return None
        scores += self._worst(some(results.failed, _N_FAILED, draw), scores)
        model = RungModel(self._as_results(scores), known)
        worth = model.mean(self._features(places))
        top = [results.trials[places[k]].params for k in np.argsort(-worth)[:_N_TOP]]
        best = float(worth.max())
        under_way = some(results.under_way, _N_UNDER_WAY, draw)
        if under_way:
            features = self._features(under_way)
            mean = model.mean(features)
            best = max(best, float(mean.max()))
            model = model.believe(features, mean)
        # The trial that leads in the end is a good one that was lucky, too. To be expected to beat
        # the best mean by little is worth nothing, and leads to steps that are too small.
        luck = known.scale * math.sqrt(known.own[-1, -1])
        return Goal(model, best + luck, self._columns.points(top))

    def _hyperparameters(self, history: History) -> Hyperparameters | None:
        """Return what the reports say, but for the last fifth at most; None while there are few."""
        n_reports = 1
        while (more := math.ceil(n_reports * _GROWTH)) <= len(history.reports):
            n_reports = more
        if self._learned is None or self._learned[0] != n_reports:
            scores = self._first_scores(history, n_reports)
            if len({place for place, _, _ in scores}) < max(1, self._min_results):
                return None
            columns = self._columns
            results = self._as_results(scores)
            known = learn(results, len(self._rungs), columns.param_of, columns.is_choice)
            self._learned = n_reports, known
        return self._learned[1]

    def _first_scores(self, history: History, n_reports: int) -> list[_Score]:
        """Return scores among the first reports, of at most so many trials of each rung."""
        draw = random.Random(derive(self._seed, "learn", n_reports))
        trials, place_of = self._results.trials, self._results.place_of
        reached = {(place, unit) for place in self._results.imported for unit in self._rungs}
        reached |= {
            (place_of[number], unit)
            for number, unit in history.reports[:n_reports]
            if number in place_of
        }
        found = [
            (place, k, score)
            for place in sorted({place for place, _ in reached})
            for k, score in self._scores(trials[place])
            if (place, self._rungs[k]) in reached
        ]
        chosen = {
            place
            for k in range(len(self._rungs))
            for place in some([place for place, at, _ in found if at == k], _N_LEARN, draw)
        }
        return [own for own in found if own[0] in chosen]

    def _scores(self, trial: TrialRecord) -> list[tuple[int, float]]:
        """Return the rungs, 0 for the first, at which a trial has a score, and the scores."""
        at_each = ((k, trial.score_at(unit)) for k, unit in enumerate(self._rungs))
        return [(k, score) for k, score in at_each if score > -math.inf]

    def _worst(self, failed: list[int], scores: list[_Score]) -> list[_Score]:
        """Return a score for each failed trial: the worst at a rung that it did not reach."""
        worst: dict[int, float] = {}
        for _, k, score in scores:
            worst[k] = min(score, worst.get(k, math.inf))
        found = []
        for place in failed:
            n_reached = len(self._scores(self._results.trials[place]))
            k = next((k for k in sorted(worst) if k >= n_reached), max(worst))
            found.append((place, k, worst[k]))
        return found

    def _as_results(self, scores: list[_Score]) -> Results:
        places, rungs, values = zip(*scores, strict=True)
        each, trials = np.unique(places, return_inverse=True)
        return Results(self._features(each.tolist()), np.array(rungs), trials, np.array(values))

    def _features(self, places: Sequence[int]) -> _Floats:
        """Return the features of trials, (trials, features); of each they are made once."""
        new = [place for place in places if place not in self._rows]
        if new:
            points = self._columns.points([self._results.trials[place].params for place in new])
            self._rows |= zip(new, self._columns.features(points), strict=True)
        return np.array([self._rows[place] for place in places])
