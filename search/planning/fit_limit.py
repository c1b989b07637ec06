"""Make the plan of a search that is over before its time limit, once a unit has been measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from search.planning.choose import Given, choose, sentence
from search.planning.make_plan import make_plan
from search.planning.options import SearchOptions
from search.planning.plan import Plan, left_to_choose
from search.planning.unit_cost import UnitCost
from trainable.errors import InputError

_DEFAULTS = SearchOptions()


def fit_limit(plan: Plan, slots: int, cost: UnitCost) -> tuple[Plan, str]:
    """Return the plan with trials, units and budget chosen, and a line that says which.

    Args:
        plan: Some of its options are left to choose.
        slots: Trials at a time.
        cost: What a slot takes.

    Raises:
        InputError: The time limit is too short; the message says what is possible.
    """
    options, limit = plan.options, plan.options.time_limit_seconds
    assert limit is not None  # else nothing would be left to choose
    still_open = left_to_choose(options)
    given = Given(
        trials=None if "trials" in still_open else plan.n_trials,
        budget=None if "budget" in still_open else plan.budget,
        units=options.units,
        may_change_units="budget" in still_open
        and (options.units, options.brackets, options.eta)
        == (_DEFAULTS.units, _DEFAULTS.brackets, _DEFAULTS.eta),
        least_trials=len(plan.points) if options.warm_start == "published" else 1,
        eta=options.eta,
        stops=options.scheduler != "none",
        pass_tokens=plan.pass_tokens,
        step_tokens=plan.step_tokens,
    )
    try:
        choice = choose(limit, slots, cost, given)
    except InputError as error:
        raise InputError(f"--time-limit {options.time_limit}: {error}") from error
    chosen: dict[str, Any] = {"trials": choice.trials, "budget": str(choice.budget)}
    chosen = {name: value for name, value in chosen.items() if name in still_open}
    if choice.units != options.units:
        chosen["units"] = choice.units
    fitted = make_plan(replace(options, name=plan.folder.name, **chosen))
    fitted = replace(fitted, folder=plan.folder, chosen=chosen)
    from_portfolio = sum(origin.startswith("portfolio") for _, origin in fitted.points)
    passes = choice.budget / plan.pass_tokens
    line = sentence(
        str(options.time_limit), min(slots, choice.trials), cost, choice, passes, from_portfolio
    )
    return fitted, line
