"""A search space: a base RunConfig, and which of its hyperparameters vary."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, cast

import optuna

from spaces.walk import Param, Value, all_params, rebuild
from trainable.component import Choice, Domain, FloatRange
from trainable.run_config import RunConfig


@dataclass(frozen=True)
class Space:
    """What may vary.

    Attributes:
        name: For people.
        base: Gives the value of everything that does not vary.
        vary: Patterns of dotted names, as in the shell: `*.pooling*`.
        narrowed: Name -> range, where it is not the one beside the field.
    """

    name: str
    base: RunConfig
    vary: tuple[str, ...]
    narrowed: dict[str, Domain] = field(default_factory=dict)

    def varies(self, name: str) -> bool:
        """Whether a search varies the hyperparameter with this dotted name."""
        return any(fnmatchcase(name, pattern) for pattern in self.vary)

    def suggest(self, trial: optuna.trial.BaseTrial) -> RunConfig:
        """Ask an Optuna trial for every hyperparameter that varies, and build the RunConfig."""

        def choose(name: str, domain: Domain, current: Value) -> Value:
            if not self.varies(name):
                return current
            return _suggest(trial, name, self.narrowed.get(name, domain))

        return rebuild(self.base, choose)

    def params_of(self, config: RunConfig) -> dict[str, Value]:
        """Return the params with which `suggest` would give this RunConfig."""
        params: dict[str, Value] = {}

        def record(name: str, domain: Domain, current: Value) -> Value:
            if self.varies(name):
                params[name] = current
            return current

        rebuild(config, record)
        return params

    def params(self) -> tuple[Param, ...]:
        """Return everything that varies, parents before their children.

        A hyperparameter whose parent is fixed to another component is left out.
        """
        fixed = Space("", self.base, ("*",)).params_of(self.base)
        kept = []
        for param in all_params(self.base):
            reachable = all(
                self.varies(parent) or fixed.get(parent) == kind for parent, kind in param.parents
            )
            if reachable and self.varies(param.name):
                domain = self.narrowed.get(param.name, param.domain)
                parents = tuple(pair for pair in param.parents if self.varies(pair[0]))
                kept.append(Param(param.name, domain, parents))
        return tuple(kept)

    def __call__(self, trial: optuna.Trial) -> dict[str, Any]:
        """The form that Ray's OptunaSearch calls: the RunConfig goes along beside the params."""
        return {"run_config": self.suggest(trial).to_dict()}


def _suggest(trial: optuna.trial.BaseTrial, name: str, domain: Domain) -> Value:
    if isinstance(domain, FloatRange):
        return trial.suggest_float(name, domain.low, domain.high, log=domain.log)
    if isinstance(domain, Choice):
        return cast(Value, trial.suggest_categorical(name, domain.values))
    return trial.suggest_int(name, domain.low, domain.high)
