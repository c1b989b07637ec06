"""Make the scheduler and the searcher that the options ask for."""

from __future__ import annotations

from search.log.history import History
from search.planning.options import SearchOptions
from search.planning.own_priors import prior_of
from search.schedulers.base import Scheduler
from search.schedulers.promotion_asha import PromotionASHA
from search.schedulers.run_all import RunAll
from search.schedulers.stopping_asha import StoppingASHA
from search.searchers.base import Searcher
from search.searchers.gp.searcher import RungGp
from search.searchers.optuna_tpe import OptunaTpe
from search.searchers.random_search import RandomSearch
from search.searchers.stepwise import Stepwise
from spaces.fixed_configs import RowSpace
from spaces.space import Space


class NoSearch:
    """Suggests nothing, because rows are points of the plan."""

    def suggest(self, number: int, history: History) -> None:
        """Return None."""


def make_scheduler(options: SearchOptions, n_trials: int, history: History) -> Scheduler:
    """Return the scheduler of a search; it decides from the history.

    Args:
        options: Which scheduler, its units, eta, brackets and seed.
        n_trials: Number of trials of the search.
        history: What has happened so far; it grows while the search runs.
    """
    if options.scheduler == "none":
        return RunAll()
    if options.scheduler == "asha":
        return StoppingASHA(history, options.units, options.eta)
    return PromotionASHA(
        history, options.units, options.eta, n_trials, options.brackets, options.seed
    )


def make_searcher(
    options: SearchOptions, space: Space | RowSpace, n_trials: int, rungs: tuple[int, ...]
) -> Searcher:
    """Return the searcher of a search.

    Args:
        options: Which searcher, its seed, its priors and its beam.
        space: What varies, or which rows are run.
        n_trials: Number of trials of the search.
        rungs: Units after which a scheduler decides, ascending; the last one ends the run.
    """
    if isinstance(space, RowSpace):
        return NoSearch()
    if options.searcher == "random":
        return RandomSearch(space, options.seed)
    if options.searcher == "stepwise":
        return Stepwise(space, options.seed, options.beam)
    if options.searcher == "tpe":
        # The first third of the trials is random, but at most Optuna's usual ten are.
        return OptunaTpe(space, options.seed, max(2, min(10, n_trials // 3)))
    return RungGp(space, options.seed, rungs, prior=prior_of(options, space))
