"""The portfolio: a few complete, different configurations that a search tries after its default.

They are in `portfolio.yaml`, in the order in which they are tried. A search of few trials learns
more from them than from draws: each is good somewhere.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from spaces.space import Space
from trainable.component import Value
from trainable.errors import InputError
from trainable.model.encoder import TINY
from trainable.optim.adamw import Optimization
from trainable.partial_config import merged
from trainable.run_config import RunConfig, explain
from trainable.tasks import Kind

_KINDS = get_args(Kind)
_SHARE = 3  # at most one trial in three is of the portfolio


class PortfolioMember(BaseModel):
    """One configuration of the portfolio.

    Attributes:
        name: For people, and in the log as `portfolio/NAME`.
        source: Where it is from.
        changes: How it differs from the default: kind of task -> what tasks of this kind have, and
            the other fields of a RunConfig.
    """

    model_config = ConfigDict(frozen=True)
    name: str
    source: str
    changes: dict[str, Any]

    def config(self, base: RunConfig) -> RunConfig:
        """Return the configuration for the encoder, the data and the budget of a base.

        Raises:
            InputError: A field is unknown or out of range.
        """
        values = base.to_dict()
        for name, task in base.data.table.items():
            values["tasks"][name] = merged(values["tasks"][name], self.changes.get(task.kind, {}))
        others = {key: change for key, change in self.changes.items() if key not in _KINDS}
        try:
            # From JSON, so that lists may be tuples; strict, so that "3" is no number.
            return RunConfig.model_validate_json(json.dumps(merged(values, others)), strict=True)
        except ValidationError as error:
            raise InputError(f"portfolio.yaml, {self.name}: {explain(error)}") from error


@cache
def load_portfolio(*, from_scratch: bool) -> tuple[PortfolioMember, ...]:
    """Return the members for pretrained encoders, or for one that is trained from scratch."""
    text = (files("spaces") / "portfolio.yaml").read_text(encoding="utf-8")
    entries = yaml.safe_load(text)["from_scratch" if from_scratch else "pretrained"]
    return tuple(
        PortfolioMember(name=own.pop("name"), source=own.pop("source"), changes=own)
        for own in entries
    )


def portfolio_points(space: Space, n_trials: int) -> list[tuple[dict[str, Value], str]]:
    """Return params and name of the members that a search begins with, at most a third of it.

    Values outside the space's ranges move to the nearest inside. A member that differs from the
    base only in what the space does not vary, or that is like one before it, is left out.
    """
    found: list[tuple[dict[str, Value], str]] = []
    known = [space.params_of(space.base)]
    for member in load_portfolio(from_scratch=space.base.encoder.source == TINY):
        params = space.params_of(space.nearest(_applied(member, space)))
        if params not in known:
            known.append(params)
            found.append((params, f"portfolio/{member.name}"))
    return found[: n_trials // _SHARE]


def _applied(member: PortfolioMember, space: Space) -> RunConfig:
    """Return a member over the base of a space.

    A single task has no order among tasks. An encoder whose default learning rate is lower has
    lower rates in the portfolio, too, by the same factor.
    """
    base, changes = space.base, dict(member.changes)
    stage = dict(changes.pop("multitask", {}))
    if len(base.data.table) == 1:
        stage.pop("batch_order", None)
    rates = stage.get("optimization", {})
    if "lr" in rates and base.multitask is not None and base.encoder.source != TINY:
        factor = base.multitask.optimization.lr / Optimization().lr
        stage["optimization"] = rates | {"lr": float(f"{factor * rates['lr']:.1e}")}
    return member.model_copy(update={"changes": changes | {"multitask": stage}}).config(base)
