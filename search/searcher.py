"""Which scheduler and which proposer the options ask for."""

from __future__ import annotations

from search.history import History
from search.plan import Plan
from search.proposals import Proposer, RandomProposer
from search.rung_gp import RungGp
from search.scheduler import PromotionASHA, RunAll, Scheduler, StoppingASHA
from search.stepwise import Stepwise
from search.stock import StockTpe
from spaces.rows import RowSpace


class NoProposer:
    """Proposes nothing: all trials are given points."""

    def propose(self, number: int, history: History) -> None:
        """Return None: there is nothing to propose but the given points."""


def make_scheduler(plan: Plan, history: History) -> Scheduler:
    """Return the scheduler of a search, with what the history holds."""
    options = plan.options
    if options.scheduler == "none":
        return RunAll()
    if options.scheduler == "asha":
        return StoppingASHA(history, options.units, options.eta)
    return PromotionASHA(
        history, options.units, options.eta, plan.n_trials, options.brackets, options.seed
    )


def make_proposer(plan: Plan) -> Proposer:
    """Return the proposer of a search."""
    space, options = plan.space, plan.options
    if isinstance(space, RowSpace):
        return NoProposer()
    if options.searcher == "random":
        return RandomProposer(space, options.seed)
    if options.searcher == "stepwise":
        return Stepwise(space, options.seed, options.beam)
    if options.searcher == "tpe":
        # A third of the trials at random first, at most Optuna's usual ten.
        return StockTpe(space, options.seed, max(2, min(10, plan.n_trials // 3)))
    return RungGp(space, options.seed, plan.rungs)
