"""Make the plan of a search that is over before its time limit, once a unit has been measured."""

from __future__ import annotations

from dataclasses import replace

from search.log.history import History
from search.planning.algorithms import make_searcher
from search.planning.audit_share import audit_share
from search.planning.choose import Given, choose, sentence
from search.planning.make_plan import make_plan
from search.planning.plan import Plan
from search.planning.unit_cost import UnitCost
from trainable.errors import InputError
from trainable.run_config import RunConfig

_PROPOSED = 3


def usual_configs(plan: Plan) -> list[RunConfig]:
    """Return configurations that take together what those of a search take on average.

    The default is there twice of six times, since it runs to its end: it trains about a third of
    all units. A third of the others come from the portfolio, where there is one.
    """
    default, *others = (plan.space.config_of(params) for params, _ in plan.points)
    found = [default, default, *others[:1]]
    for seed in range(_PROPOSED):  # a searcher proposes one only until that is in the history
        options = replace(plan.options, seed=plan.options.seed + seed)
        searcher = make_searcher(options, plan.space, plan.n_trials, plan.rungs)
        proposed = searcher.suggest(len(plan.points), History())
        found += [] if proposed is None else [proposed.run_config]
    return found


def fit_limit(plan: Plan, spent: float, slots: int, cost: UnitCost) -> tuple[Plan, str]:
    """Return the plan with trials and budget chosen, and a line that says which.

    Args:
        plan: Its trials and its budget are left to choose.
        spent: Seconds of the time limit that are gone already.
        slots: Trials at a time.
        cost: What a slot takes.

    Raises:
        InputError: The time limit is too short; the message says what is possible.
    """
    options, limit = plan.options, plan.options.time_limit_seconds
    assert limit is not None  # else nothing would be left to choose
    given = Given(
        levels=plan.rungs,
        eta=options.eta,
        least_trials=len(plan.points) if options.warm_start == "published" else 1,
        pass_tokens=plan.pass_tokens,
        step_tokens=plan.step_tokens,
        spent=spent,
        finalists=options.finalists,
        audit=lambda n: audit_share({**vars(options), "trials": n}),
    )
    try:
        choice = choose(limit, slots, cost, given)
    except InputError as error:
        raise InputError(f"--time-limit {options.time_limit} {error}") from error
    chosen = {"trials": choice.trials, "budget": str(choice.budget)}
    fitted = make_plan(
        replace(options, name=plan.folder.name, trials=choice.trials, budget=str(choice.budget))
    )
    fitted = replace(fitted, folder=plan.folder, chosen=chosen)
    from_portfolio = sum(origin.startswith("portfolio") for _, origin in fitted.points)
    line = sentence(
        str(options.time_limit), min(slots, choice.trials), cost, choice, given, from_portfolio
    )
    return fitted, line
