"""A search space: a base RunConfig, and which of its hyperparameters vary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache, cached_property
from typing import Any

import optuna

from spaces.distributions import suggest_value
from spaces.params import Choose, Param, all_params, nearest_value, rebuild, value_of
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
        fixed: Name -> value, for what does not vary although a pattern matches it, and for what the
            base does not have, since it exists only where something else varies.
    """

    name: str
    base: RunConfig
    vary: tuple[str, ...]
    narrowed: dict[str, Domain] = field(default_factory=dict)
    text: tuple[TextSource, ...] = (_OWN_TEXT,)
    nli: NliSource = _SAMPLE_NLI
    fixed: dict[str, Value] = field(default_factory=dict)

    def varies(self, name: str) -> bool:
        """Whether a search varies the hyperparameter with this dotted name."""
        return name not in self.fixed and _matches(name, self.vary)

    def suggest(self, trial: optuna.trial.BaseTrial) -> RunConfig:
        """Ask an Optuna trial for every hyperparameter that varies, and build the RunConfig."""

        def choose(name: str, domain: Domain, current: Value) -> Value:
            if not self.varies(name):
                return self.fixed.get(name, current)
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
                return self.fixed.get(name, current)
            return value_of(params, name, self.narrowed.get(name, domain))

        return self._with(choose)

    def nearest(self, config: RunConfig) -> RunConfig:
        """Return a RunConfig with fixed values, and with the others moved into their ranges."""

        def choose(name: str, domain: Domain, current: Value) -> Value:
            if not self.varies(name):
                return self.fixed.get(name, current)
            return nearest_value(self.narrowed.get(name, domain), current)

        return rebuild(config, choose)

    def _with(self, choose: Choose) -> RunConfig:
        return self.complete(rebuild(self.base, choose))

    def complete(self, config: RunConfig) -> RunConfig:
        """Return a RunConfig whose stages read the corpora, and have the budget, of the space."""
        config = with_corpora(config, self.text, self.nli)
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
        reached = self._with(
            lambda name, _, current: params.get(name, self.fixed.get(name, current))
        )
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

        What no suggestion has is left out: its parent is fixed to another component, or no choice.
        """
        return tuple(param for param in self.reachable if self.varies(param.name))

    @cached_property  # some 50 ms for 159 params
    def reachable(self) -> tuple[Param, ...]:
        """Every hyperparameter that suggestions have, with the parents that vary."""
        names: dict[tuple[tuple[str, str], ...], set[str]] = {}
        kept = []
        for param in all_params(self.base):
            parents = tuple(pair for pair in param.parents if self.varies(pair[0]))
            if parents not in names:
                names[parents] = set(self.values_under(dict(parents)))
            if param.name in names[parents]:
                domain = self.narrowed.get(param.name, param.domain)
                kept.append(replace(param, domain=domain, parents=parents))
        return tuple(kept)

    def values_under(self, kinds: Mapping[str, Value]) -> dict[str, Value]:
        """Return name -> value in the base, in which these components are exchanged.

        Args:
            kinds: Name -> kind of what varies; a kind that is no choice is passed over.
        """
        found: dict[str, Value] = {}

        def choose(name: str, domain: Domain, current: Value) -> Value:
            found[name] = self.fixed.get(name, current)
            if name in kinds and self.narrowed.get(name, domain).contains(kinds[name]):
                found[name] = kinds[name]
            return found[name]

        rebuild(self.base, choose)
        return found

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
