"""The dispatcher of a planned search."""

from __future__ import annotations

import time
from collections.abc import Callable

from search.log.history import Journal
from search.loop.dispatcher import Dispatcher
from search.planning.algorithms import make_scheduler, make_searcher
from search.planning.plan import Plan


def make_dispatcher(
    plan: Plan, journal: Journal, clock: Callable[[], float] = time.monotonic
) -> Dispatcher:
    """Return a dispatcher with the searcher and the scheduler that the options of a search name.

    Args:
        plan: Of the search.
        journal: What happened so far, and where it is written down.
        clock: Returns seconds.
    """
    options = plan.options
    return Dispatcher(
        journal,
        make_scheduler(options, plan.n_trials, journal.history),
        make_searcher(options, plan.space, plan.n_trials, plan.rungs),
        plan.space,
        list(plan.points),
        options.units,
        clock,
    )
