"""Which scheduler and which proposer the options ask for."""

from __future__ import annotations

from search.log.history import History
from search.planning.options import SearchOptions
from search.schedulers.base import Scheduler
from search.schedulers.promotion_asha import PromotionASHA
from search.schedulers.run_all import RunAll
from search.schedulers.stopping_asha import StoppingASHA
from search.searchers.base import Proposer
from search.searchers.gp.searcher import RungGp
from search.searchers.optuna_tpe import StockTpe
from search.searchers.random_search import RandomProposer
from search.searchers.stepwise import Stepwise
from spaces.fixed_configs import RowSpace
from spaces.space import Space


class NoProposer:
    """Proposes nothing: all trials are given points."""

    def propose(self, number: int, history: History) -> None:
        """Return None: there is nothing to propose but the given points."""


def make_scheduler(options: SearchOptions, n_trials: int, history: History) -> Scheduler:
    """Return the scheduler of a search of so many trials, with what the history holds."""
    if options.scheduler == "none":
        return RunAll()
    if options.scheduler == "asha":
        return StoppingASHA(history, options.units, options.eta)
    return PromotionASHA(
        history, options.units, options.eta, n_trials, options.brackets, options.seed
    )


def make_proposer(
    options: SearchOptions, space: Space | RowSpace, n_trials: int, rungs: tuple[int, ...]
) -> Proposer:
    """Return the proposer of a search.

    Args:
        options: Which proposer, its seed and its beam.
        space: What varies, or which rows are run.
        n_trials: Of the search.
        rungs: Units after which a scheduler decides, ascending; the last one ends the run.
    """
    if isinstance(space, RowSpace):
        return NoProposer()
    if options.searcher == "random":
        return RandomProposer(space, options.seed)
    if options.searcher == "stepwise":
        return Stepwise(space, options.seed, options.beam)
    if options.searcher == "tpe":
        # A third of the trials at random first, at most Optuna's usual ten.
        return StockTpe(space, options.seed, max(2, min(10, n_trials // 3)))
    return RungGp(space, options.seed, rungs)
