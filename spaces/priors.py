"""Prior: where in a space an expert would look first, and draws of configurations from there.

Beside a range stands how far from its center to look (`PriorSpread`), beside a choice or a family
how often to try each member (`PriorWeights`). The center is the value in the base of the space; for
what the base does not have, since it exists only under other components, their default. A user may
give other priors (`spaces.prior_file`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from statistics import NormalDist

from spaces.params import Param, nearest_value
from spaces.space import Space
from trainable.component import Choice, FloatRange, IntRange, PriorSpread, PriorWeights, Value

CENTER_SHARE = 0.5  # of the draws of a choice are its center; the others follow the weights
_EDGE = 1e-12  # no quantile of a normal distribution is asked for closer to 0 and 1 than this


@dataclass(frozen=True)
class NumberPrior:
    """A number near a center: a normal distribution on the scale of the range, cut at its ends.

    Attributes:
        domain: The range.
        center: Value in it.
        spread: Standard deviation as a share of the range, greater than 0.
    """

    domain: FloatRange | IntRange
    center: float
    spread: float

    def draw(self, generator: random.Random) -> float:
        """Draw a number near the center."""
        return self._near(self.center, generator)

    def draw_other(self, value: Value, generator: random.Random) -> Value:
        """Draw another number than a value: near the value as often as near the center."""
        if self.domain.low == self.domain.high:
            return value
        middle = self.center if generator.random() < 0.5 else float(value)
        found = value
        while found == value:
            found = self._near(middle, generator)
        return found

    def _near(self, middle: float, generator: random.Random) -> float:
        low, high = self._ends
        place = (self._scaled(middle) - low) / ((high - low) or 1.0)
        # A whole number has a neighbor half a step from where its own part of the range begins.
        least = 0.5 / (high - low) if isinstance(self.domain, IntRange) else 0.0
        normal = NormalDist(place, max(self.spread, least))
        quantile = generator.uniform(normal.cdf(0.0), normal.cdf(1.0))
        x = low + (high - low) * normal.inv_cdf(min(max(quantile, _EDGE), 1.0 - _EDGE))
        if isinstance(self.domain, IntRange):
            return min(max(round(x), self.domain.low), self.domain.high)
        return min(max(math.exp(x) if self.domain.log else x, self.domain.low), self.domain.high)

    @cached_property
    def _ends(self) -> tuple[float, float]:
        """Both ends of the range on its scale; a whole number stands for all that round to it."""
        half = 0.5 if isinstance(self.domain, IntRange) else 0.0
        return self._scaled(self.domain.low) - half, self._scaled(self.domain.high) + half

    def _scaled(self, value: float) -> float:
        is_log = isinstance(self.domain, FloatRange) and self.domain.log
        return math.log(value) if is_log else float(value)

    def __str__(self) -> str:
        return f"near {self.center:.3g}, spread {self.spread:g}"


@dataclass(frozen=True)
class ChoicePrior:
    """One of a few values, each with a probability.

    Attributes:
        values: The values.
        probabilities: Of the values, at least 0; they sum to 1.
        center: The value that new configurations have before it is changed.
    """

    values: tuple[Value, ...]
    probabilities: tuple[float, ...]
    center: Value

    def draw(self, generator: random.Random) -> Value:
        """Draw a value."""
        return generator.choices(self.values, self.probabilities)[0]

    def draw_other(self, value: Value, generator: random.Random) -> Value:
        """Draw another value, by the probabilities of the others."""
        left = [0.0 if own == value else p for own, p in zip(self.values, self.probabilities)]  # noqa: B905
        if sum(left) <= 0.0:  # all others have probability 0
            left = [float(own != value) for own in self.values]
        return generator.choices(self.values, left)[0] if sum(left) else value

    def __str__(self) -> str:
        likely = sorted(zip(self.values, self.probabilities, strict=True), key=lambda own: -own[1])
        return ", ".join(f"{value} {p:.0%}" for value, p in likely[:2])


ParamPrior = NumberPrior | ChoicePrior


def param_prior(param: Param, center: Value) -> ParamPrior:
    """Return the prior of one param from what stands beside its range.

    Args:
        param: The param.
        center: Its value in the base; the nearest one in the range is taken.
    """
    domain, mark = param.domain, param.mark
    center = nearest_value(domain, center)
    if not isinstance(domain, Choice):
        spread = mark.share if isinstance(mark, PriorSpread) else PriorSpread().share
        return NumberPrior(domain, _number(domain, center), spread)
    return choice_prior(domain.values, mark.of if isinstance(mark, PriorWeights) else {}, center)


def _number(domain: FloatRange | IntRange, value: Value) -> float:
    return int(value) if isinstance(domain, IntRange) else float(value)


def choice_prior(
    values: tuple[Value, ...],
    weights: Mapping[Value, float],
    center: Value,
    center_share: float = CENTER_SHARE,
) -> ChoicePrior:
    """Return the prior of a choice.

    Args:
        values: The values.
        weights: Value -> weight; what is not named has 1.
        center: One of the values.
        center_share: Probability that the center has before the weights share out the rest.
    """
    each = [weights.get(value, 1.0) for value in values]
    total = sum(each)
    shares = [own / total for own in each] if total > 0 else [1 / len(each)] * len(each)
    probabilities = tuple(
        (1.0 - center_share) * share + center_share * (value == center)
        for value, share in zip(values, shares, strict=True)
    )
    return ChoicePrior(values, probabilities, center)


class Prior:
    """Draws configurations from the priors of all params of a space.

    Everything follows from the generator that is given.

    Attributes:
        of: Name -> prior of the param.
        center: Params of the base of the space.

    Args:
        space: The space.
        replaced: Name -> prior that takes the place of the one beside the range.
    """

    def __init__(self, space: Space, replaced: Mapping[str, ParamPrior] | None = None) -> None:
        params = space.params()
        self._groups = _groups(params)
        self.of = {**_beside(space, params), **(replaced or {})}
        self.center = space.params_of(space.nearest(space.base))

    def draw(self, generator: random.Random) -> dict[str, Value]:
        """Return a whole configuration, each of its params drawn from its prior."""
        return self._walk(lambda name: self.of[name].draw(generator))

    def changed(
        self, params: Mapping[str, Value], n_changes: int, generator: random.Random
    ) -> dict[str, Value]:
        """Return a configuration in which some params have another value.

        Params that exist only now get the centers of their priors.

        Args:
            params: A configuration of the space.
            n_changes: Number of params to change, at least 1; all if there are fewer.
            generator: Source of the random numbers.
        """

        def kept(name: str) -> Value:
            return params[name] if name in params else self.of[name].center

        names = list(self._walk(kept))
        chosen = set(generator.sample(names, min(n_changes, len(names))))
        return self._walk(
            lambda name: (
                self.of[name].draw_other(kept(name), generator) if name in chosen else kept(name)
            )
        )

    def _walk(self, value_of: Callable[[str], Value]) -> dict[str, Value]:
        """Return the value of every param that exists under the values before it."""
        found: dict[str, Value] = {}
        for parent, kind, names in self._groups:
            if parent is None or found.get(parent) == kind:
                for name in names:
                    found[name] = value_of(name)
        return found


def _groups(params: Iterable[Param]) -> list[tuple[str | None, str, list[str]]]:
    """Return parent, its kind, and names of the params that exist under it, in their order.

    The last parent is enough: it exists only where its own parents have the right kinds.
    """
    found = []
    for parents, group in groupby(params, key=lambda param: param.parents):
        parent, kind = parents[-1] if parents else (None, "")
        found.append((parent, kind, [param.name for param in group]))
    return found


def _beside(space: Space, params: Sequence[Param]) -> dict[str, ParamPrior]:
    """Return the prior of each param from what stands beside the ranges."""
    values: dict[tuple[tuple[str, str], ...], dict[str, Value]] = {}
    found: dict[str, ParamPrior] = {}
    for param in params:
        if param.parents not in values:
            values[param.parents] = space.values_under(dict(param.parents))
        found[param.name] = param_prior(param, values[param.parents][param.name])
    return found
