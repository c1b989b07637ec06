"""A search space: a base RunConfig, and which of its hyperparameters vary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import optuna

from spaces.distributions import suggest_value
from spaces.params import Choose, Param, all_params, rebuild, value_of
from spaces.stage_data import with_corpora, with_stage_budgets
from trainable.component import Domain, Value
from trainable.data.nli import NliSource, SampleNli
from trainable.data.pretraining_text import OwnText, TextSource
from trainable.run_config import RunConfig

_OWN_TEXT, _SAMPLE_NLI = OwnText(), SampleNli()


@dataclass(frozen=True)
class Space:
    """What may vary.

    Attributes:
        name: What `--space` calls it.
        base: Gives the value of everything that does not vary.
        vary: Patterns of dotted names, as in the shell: `*.pooling*`.
        narrowed: Name -> range that replaces the one beside the field.
        text: Text for every further pretraining that the space suggests.
        nli: Examples for every NLI stage that the space suggests.
    """

    name: str
    base: RunConfig
    vary: tuple[str, ...]
    narrowed: dict[str, Domain] = field(default_factory=dict)
    text: tuple[TextSource, ...] = (_OWN_TEXT,)
    nli: NliSource = _SAMPLE_NLI

    def varies(self, name: str) -> bool:
        """Whether a search varies the hyperparameter with this dotted name."""
        return _matches(name, self.vary)

    def suggest(self, trial: optuna.trial.BaseTrial) -> RunConfig:
        """Ask an Optuna trial for every hyperparameter that varies, and build the RunConfig."""

        def choose(name: str, domain: Domain, current: Value) -> Value:
            if not self.varies(name):
                return current
            return suggest_value(trial, name, self.narrowed.get(name, domain))

        return self._with(choose)

    def config_of(self, params: Mapping[str, Value]) -> RunConfig:
        """Return the RunConfig that params mean.

        Params that do not exist under the others are ignored.

        Raises:
            KeyError: A hyperparameter that varies and exists under the others has no value.
            ValueError: A value is outside its range.
        """

        def choose(name: str, domain: Domain, current: Value) -> Value:
            if not self.varies(name):
                return current
            return value_of(params, name, self.narrowed.get(name, domain))

        return self._with(choose)

    def _with(self, choose: Choose) -> RunConfig:
        config = with_corpora(rebuild(self.base, choose), self.text, self.nli)
        return with_stage_budgets(config, self.base.multitask)

    def why_not(self, config: RunConfig) -> str | None:
        """Return why the space cannot suggest this RunConfig, or None if it can.

        Seeds are not compared.
        """
        params = self.params_of(config)
        for param in all_params(self.base):
            domain = self.narrowed.get(param.name, param.domain)
            if param.name in params and not domain.contains(params[param.name]):
                return f"{param.name} is {params[param.name]}, searched is {domain}"
        reached = self._with(lambda name, _, current: params.get(name, current))
        wanted, got = config.to_dict(), reached.to_dict()
        wanted["seed"] = got["seed"]
        found = _first_difference(wanted, got, "")
        return None if found is None else found.removeprefix("tasks.")

    def params_of(self, config: RunConfig) -> dict[str, Value]:
        """Return the params that mean this RunConfig: `config_of` gives it back."""
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
        """Return `{"run_config": ...}`, which Ray's OptunaSearch adds to the params."""
        return {"run_config": self.suggest(trial).to_dict()}


@cache  # a search asks the same names for every trial
def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _first_difference(wanted: Any, got: Any, path: str) -> str | None:
    """Return the first field in which two configurations differ, with both values."""
    if isinstance(wanted, dict) and isinstance(got, dict) and wanted.keys() == got.keys():
        for key in wanted:
            found = _first_difference(wanted[key], got[key], f"{path}.{key}" if path else key)
            if found:
                return found
        return None
    if wanted == got:
        return None
    if wanted is None:
        return f"{path} is left out, the space always has it"
    return f"{path} is {_brief(wanted)}, the space has {_brief(got)}"


def _brief(value: Any) -> str:
    return str(value["kind"]) if isinstance(value, dict) and "kind" in value else str(value)
