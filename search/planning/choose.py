"""How many trials of how many tokens fit into a time limit, once it is known what a unit takes."""

from __future__ import annotations

from dataclasses import dataclass

from search.planning.amounts import clock
from search.planning.unit_cost import UnitCost
from search.schedulers.rungs import rungs, units_per_trial
from trainable.errors import InputError

# Trials that are chosen. More of them than slots cost nothing.
LEAST, USUAL, MOST = 8, 16, 30
# Passes of a full run over the training data. Below the first, fewer trials are better; above the
# second, more trials; above the third nothing is learned any more, so that still more trials come.
_FEW, _ENOUGH, _MANY = 1.0, 3.0, 10.0
_PART_OF_LIMIT = 0.9  # the rest is a margin: other configurations may be slower than the default
_REST_SECONDS = 15.0  # workers start, and the results are written
_LEAST_STEPS = 4  # of a unit, if all batches had the largest size
_MOST_EVALUATED = 0.5  # seconds of evaluation for each second of training, with nine units


@dataclass(frozen=True)
class Given:
    """What the user has given, and what the search is.

    Attributes:
        trials: Number of trials; None to choose it.
        budget: Tokens of a full run; None to choose it.
        units: Units of a full run.
        may_change_units: Whether three units may be taken instead, where nine are too many.
        least_trials: Trials that the search has at least: those that are written down for it.
        eta: One in eta trials passes a rung.
        stops: Whether trials are stopped at rungs.
        pass_tokens: Tokens of the training data.
        step_tokens: Tokens of the largest step that a trial may make.
    """

    trials: int | None
    budget: int | None
    units: int
    may_change_units: bool
    least_trials: int
    eta: int
    stops: bool
    pass_tokens: int
    step_tokens: int


@dataclass(frozen=True)
class Choice:
    """Trials, units, and tokens of a full run."""

    trials: int
    units: int
    budget: int


def choose(limit: float, slots: int, cost: UnitCost, given: Given) -> Choice:
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
    for units in (given.units, 3) if given.may_change_units else (given.units,):
        search = _Search(units, slots, cost, given)
        budget = given.budget or search.budget(limit, given.trials or search.least)
        train = budget / units / cost.tokens_per_second
        is_last = units == 3 or not given.may_change_units
        if budget < search.least_budget:
            continue
        if given.budget is not None and search.seconds(search.least, budget) > limit:
            continue
        if is_last or cost.part_seconds <= _MOST_EVALUATED * train:
            n = given.trials or search.trials(limit)
            return Choice(n, units, given.budget or _rounded(search.budget(limit, n)))
    n, budget = search.least, given.budget or search.least_budget
    raise InputError(
        f"is too short: {slots} {_plural(slots, 'slot')} at {cost.tokens_per_second:,.0f} tokens/s "
        f"{'takes' if slots == 1 else 'take'} {clock(search.seconds(n, budget))} for {n} trials "
        f"of {search.units} units and {budget:,} tokens a full run; give at least that, "
        + ("a smaller --budget" if given.budget else "a smaller encoder")
        + (", or fewer --trials" if given.trials is None or n > 1 else "")
    )


class _Search:
    """What searches of a number of units take, and which of them fit into a limit."""

    def __init__(self, units: int, slots: int, cost: UnitCost, given: Given) -> None:
        self.units, self._slots, self._cost, self._given = units, slots, cost, given
        self._rungs = rungs(units, given.eta) if given.stops else (units,)
        self.least_budget = _LEAST_STEPS * units * given.step_tokens
        self.least = given.trials or max(LEAST, slots, given.least_trials)

    def seconds(self, n: int, budget: float) -> float:
        """Return the seconds that the limit of such a search needs."""
        n_units, fixed = busiest(n, self._rungs, self._slots, self._given.eta, self._cost)
        needed = n_units * self._cost.unit_seconds(budget / self.units) + fixed
        return (needed + _REST_SECONDS) / _PART_OF_LIMIT

    def budget(self, limit: float, n: int) -> float:
        """Return the tokens of a full run that fit, at most ten passes; below 0 if none do."""
        n_units, fixed = busiest(n, self._rungs, self._slots, self._given.eta, self._cost)
        unit = (limit * _PART_OF_LIMIT - _REST_SECONDS - fixed) / n_units
        tokens = (unit - self._cost.unit_seconds(0.0)) * self._cost.tokens_per_second * self.units
        return min(tokens, _MANY * self._given.pass_tokens)

    def trials(self, limit: float) -> int:
        """Return how many trials to run."""
        given, one = self._given, self._given.pass_tokens
        if given.budget is not None:
            n = self.least
            while n < 10_000 and self.seconds(n + 1, given.budget) <= limit:
                n += 1
            return n
        n = max(USUAL, self.least)
        while n > self.least and self.budget(limit, n) < max(_FEW * one, self.least_budget):
            n -= 1
        while n < MOST and self.budget(limit, n + 1) >= _ENOUGH * one:
            n += 1
        while n < 10_000 and self.budget(limit, n + 1) >= _MANY * one:
            n += 1
        return n


def busiest(
    n: int, levels: tuple[int, ...], slots: int, eta: int, cost: UnitCost
) -> tuple[float, float]:
    """Return what the slot that ends last trains, in the worst of ten searches.

    Args:
        n: Trials, the first of which runs to its end in any case.
        levels: Units after which trials may be stopped, ascending; the last one ends a run.
        slots: Trials at a time.
        eta: One in eta trials passes a rung.
        cost: What a slot takes.

    Returns:
        Units, and the seconds that are the same whatever a unit takes: of starts, and of what a
        last unit takes longer.
    """
    units, is_one_level = levels[-1], len(levels) == 1
    total = n * units_per_trial(levels, eta)
    if not is_one_level:  # more than one in eta are promoted, since the best ones may come late
        total = 1.12 * total + 1.5 * n**0.5 + units * (1 - float(eta) ** (1 - len(levels)))
    # At the end other slots have nothing left to do, and a slow configuration takes its time.
    alone = (units - levels[0]) * (1 - 1 / slots)
    longest = units if slots == 1 else 1.6 * units
    full = 1 + n * float(eta) ** (1 - len(levels))
    jobs = n * sum(float(eta) ** -k for k in range(len(levels)))
    fixed = (full * cost.last_seconds + jobs * cost.start_seconds) / slots + cost.last_seconds
    return max(total / slots + alone, longest), fixed


def sentence(limit: str, slots: int, cost: UnitCost, choice: Choice, passes: float, n: int) -> str:
    """Return what was chosen, in one line.

    Args:
        limit: As the user gave it.
        slots: Trials at a time.
        cost: As it was measured.
        choice: What was chosen.
        passes: Of a full run over the training data.
        n: Trials that come from the portfolio.
    """
    portfolio = f", {n} of them from the portfolio" if n else ""
    return (
        f"{limit} with {slots} {_plural(slots, 'slot')} at {cost.tokens_per_second:,.0f} tokens/s: "
        f"{choice.trials} trials of {choice.units} units, {choice.budget:,} tokens a full run "
        f"({_passes(passes)} over the data){portfolio}"
    )


def below_one_pass(budget: int, pass_tokens: int) -> tuple[str, ...]:
    """Return a warning if a full run does not see all of the training data."""
    if budget >= pass_tokens:
        return ()
    return (
        f"warning: a full run sees {_share(budget / pass_tokens)} of the training data; what does "
        f"best then need not be what does best with more training: --budget 1ep or more sees all "
        f"({pass_tokens:,} tokens)",
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
