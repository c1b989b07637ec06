"""How many trials of how many tokens fit into a time limit, once it is known what a unit takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from search.planning.amounts import clock
from search.planning.audit_share import audit_units
from search.planning.finalist_runs import finalist_units
from search.planning.unit_cost import UnitCost
from search.schedulers.rungs import units_per_trial
from trainable.errors import InputError

# Trials that are chosen. More of them than slots cost nothing.
LEAST, USUAL, MOST = 8, 16, 30
# Passes of a full run over the training data. Below the first, fewer trials are better; above the
# second, more trials; above the third nothing is learned any more, so that still more trials come.
_FEW, _ENOUGH, _MANY = 1.0, 3.0, 10.0
_MOST_TRIALS = 10_000
# The rest is a margin: with it, four of five searches that are played end before their limit.
_PART_OF_LIMIT = 0.85
_REST_SECONDS = 15.0  # workers start, and the results are written


@dataclass(frozen=True)
class Given:
    """What a search is, whatever its trials and its budget are.

    Attributes:
        levels: Units after which trials may be stopped, ascending; the last one ends a run.
        eta: One in eta trials passes a rung.
        least_trials: Trials that the search has at least: those that are written down for it.
        pass_tokens: Tokens of the training data.
        step_tokens: Tokens of the largest step that a trial may make.
        spent: Seconds of the limit that are gone already.
        finalists: How many get more seeds after all trials, beside the default.
        audit: Number of trials -> share of those that a rung stops that run on to their end.
    """

    levels: tuple[int, ...]
    eta: int
    least_trials: int
    pass_tokens: int
    step_tokens: int
    spent: float
    finalists: int = 0
    audit: Callable[[int], float] = lambda n: 0.0


@dataclass(frozen=True)
class TrialsAndBudget:
    """Trials, and tokens of a full run."""

    trials: int
    budget: int


def choose(limit: float, slots: int, cost: UnitCost, given: Given) -> TrialsAndBudget:
    """Return a search that is over before a time limit, with a margin.

    There are 16 trials, or as few as 8 where a full run would else see less than one pass over the
    training data, or as many as 30 where it would see more than three.

    Args:
        limit: Seconds of the search.
        slots: Trials at a time.
        cost: What a slot takes, as measured.
        given: What is not chosen.

    Raises:
        InputError: The limit is too short for the smallest search; the message says which would do.
    """
    one, units = given.pass_tokens, given.levels[-1]
    least = max(LEAST, slots, given.least_trials)
    least_budget = units * given.step_tokens  # below it --budget is refused, too
    if _budget(limit, least, slots, cost, given) < least_budget:
        enough = _seconds(least, least_budget, slots, cost, given)
        raise InputError(
            f"is too short: {slots} {_plural(slots, 'slot')} at {cost.tokens_per_second:,.0f} "
            f"tokens/s {'takes' if slots == 1 else 'take'} {clock(math.ceil(enough))} for {least} "
            f"trials of {units} units and {least_budget:,} tokens a full run; give at least that, "
            f"a smaller encoder, or --trials and --budget"
        )

    def passes(n: int) -> float:
        return _budget(limit, n, slots, cost, given) / one

    n = max(USUAL, least)
    while n > least and passes(n) < max(_FEW, least_budget / one):
        n -= 1
    while n < _MOST_TRIALS and passes(n + 1) >= (_ENOUGH if n < MOST else _MANY):
        n += 1
    return TrialsAndBudget(n, max(least_budget, _rounded(passes(n) * one)))


def _seconds(n: int, budget: float, slots: int, cost: UnitCost, given: Given) -> float:
    """Return the seconds that the limit of a search needs."""
    n_units, fixed = _with_finalists(n, slots, cost, given)
    needed = n_units * cost.unit_seconds(budget / given.levels[-1]) + fixed
    return given.spent + (needed + _REST_SECONDS) / _PART_OF_LIMIT


def _budget(limit: float, n: int, slots: int, cost: UnitCost, given: Given) -> float:
    """Return the tokens of a full run that fit, at most ten passes; below 0 if none do."""
    n_units, fixed = _with_finalists(n, slots, cost, given)
    unit = ((limit - given.spent) * _PART_OF_LIMIT - _REST_SECONDS - fixed) / n_units
    tokens = (unit - cost.unit_seconds(0.0)) * cost.tokens_per_second * given.levels[-1]
    return min(tokens, _MANY * given.pass_tokens)


def _with_finalists(n: int, slots: int, cost: UnitCost, given: Given) -> tuple[float, float]:
    """Return what `busiest` does, with the runs of finalists after it."""
    n_units, fixed = busiest(n, given.levels, slots, given.eta, cost, given.audit(n))
    more = finalist_units(given.finalists, n, given.levels, given.eta, slots)
    once = cost.last_seconds + cost.start_seconds  # of a run
    return n_units + more, fixed + more / given.levels[-1] * once


def busiest(
    n: int, levels: tuple[int, ...], slots: int, eta: int, cost: UnitCost, audit: float = 0.0
) -> tuple[float, float]:
    """Return what the slot that ends last trains.

    Args:
        n: Trials, the first of which runs to its end in any case.
        levels: Units after which trials may be stopped, ascending; the last one ends a run.
        slots: Trials at a time.
        eta: One in eta trials passes a rung.
        cost: What a slot takes.
        audit: Share of the trials that a rung stops that run on to their end.

    Returns:
        Units, and the seconds that are the same whatever a unit takes: of starts, and of what a
        last unit takes longer.
    """
    units, is_one_level = levels[-1], len(levels) == 1
    total = n * units_per_trial(levels, eta)
    if not is_one_level:  # more than one in eta are promoted, since the best ones may come late
        total = 1.12 * total + 1.5 * n**0.5 + units * (1 - float(eta) ** (1 - len(levels)))
        total += n * audit_units(levels, eta, audit)
    # At the end other slots have nothing left to do, and a slow configuration takes its time.
    alone = (units - levels[0]) * (1 - 1 / slots)
    longest = units if slots == 1 else 1.6 * units
    full = 1 + n * float(eta) ** (1 - len(levels))
    jobs = n * sum(float(eta) ** -k for k in range(len(levels)))
    fixed = (full * cost.last_seconds + jobs * cost.start_seconds) / slots + cost.last_seconds
    return max(total / slots + alone, longest), fixed


def sentence(
    limit: str, slots: int, cost: UnitCost, choice: TrialsAndBudget, given: Given, n: int
) -> str:
    """Return what was chosen, in one line.

    Args:
        limit: As the user gave it.
        slots: Trials at a time.
        cost: As it was measured.
        choice: What was chosen.
        given: What was not chosen.
        n: Trials that come from the portfolio.
    """
    portfolio = f", {n} of them from the portfolio" if n else ""
    return (
        f"{limit} with {slots} {_plural(slots, 'slot')} at {cost.tokens_per_second:,.0f} tokens/s: "
        f"{choice.trials} trials of {given.levels[-1]} units{portfolio}, {choice.budget:,} tokens "
        f"a full run ({_passes(choice.budget / given.pass_tokens)} over the data)"
    )


def below_one_pass(budget: int, pass_tokens: int) -> tuple[str, ...]:
    """Return a warning if a full run does not see all of the training data."""
    if budget >= pass_tokens:
        return ()
    return (
        f"warning: a full run sees {_share(budget / pass_tokens)} of the training data; what does "
        f"best then need not be what does best with more training: a longer --time-limit or "
        f"--budget 1ep sees all ({pass_tokens:,} tokens)",
    )


def _passes(passes: float) -> str:
    text = _share(passes)
    return f"{text} pass" if text == "1" else f"{text} passes"


def _share(passes: float) -> str:
    """Return a number with two digits, such as 0.4, 0.013 or 12."""
    return f"{passes:.2g}" if passes < 10 else f"{passes:.0f}"


def _rounded(tokens: float) -> int:
    """Return tokens with two or three digits, rounded down: 312,345 as 312,000."""
    step: int = 10 ** max(0, len(str(int(tokens))) - 3)
    return int(tokens) // step * step


def _plural(n: int, word: str) -> str:
    return word if n == 1 else f"{word}s"
