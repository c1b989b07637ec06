"""From ranges to Optuna's distributions and suggestions."""

from __future__ import annotations

from typing import cast

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import BaseTrial

from trainable.component import Domain, FloatRange, IntRange, Value


def to_optuna(domain: Domain) -> BaseDistribution:
    """Return the distribution with which Optuna describes a range."""
    if isinstance(domain, FloatRange):
        return FloatDistribution(domain.low, domain.high, log=domain.log)
    if isinstance(domain, IntRange):
        return IntDistribution(domain.low, domain.high)
    return CategoricalDistribution(domain.values)


def suggest_value(trial: BaseTrial, name: str, domain: Domain) -> Value:
    """Ask an Optuna trial for the value of the param with this name."""
    if isinstance(domain, FloatRange):
        return trial.suggest_float(name, domain.low, domain.high, log=domain.log)
    if isinstance(domain, IntRange):
        return trial.suggest_int(name, domain.low, domain.high)
    return cast(Value, trial.suggest_categorical(name, domain.values))
