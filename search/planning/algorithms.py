"""Which scheduler and which searcher the options ask for."""

from __future__ import annotations

from search.log.history import History
from search.planning.options import SearchOptions
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
    """Suggests nothing: all trials are given points."""

    def suggest(self, number: int, history: History) -> None:
        """Return None: there is nothing to suggest but the given points."""


def make_scheduler(options: SearchOptions, n_trials: int, history: History) -> Scheduler:
    """Return the scheduler of a search of so many trials, with what the history holds."""
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
        options: Which searcher, its seed and its beam.
        space: What varies, or which rows are run.
        n_trials: Of the search.
        rungs: Units after which a scheduler decides, ascending; the last one ends the run.
    """
    if isinstance(space, RowSpace):
        return NoSearch()
    if options.searcher == "random":
        return RandomSearch(space, options.seed)
    if options.searcher == "stepwise":
        return Stepwise(space, options.seed, options.beam)
    if options.searcher == "tpe":
        # A third of the trials at random first, at most Optuna's usual ten.
        return OptunaTpe(space, options.seed, max(2, min(10, n_trials // 3)))
    return RungGp(space, options.seed, rungs)
