"""Domains in other forms: as JSON, which the log of a search keeps, and as Optuna knows them."""

from __future__ import annotations

from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from spaces.walk import Param
from trainable.component import Choice, Domain, FloatRange, IntRange


def domain_fields(param: Param) -> dict[str, Any]:
    """Return the range of a param and the condition under which it exists, as JSON reads it back.

    One of

        {"type": "float", "low": 1e-5, "high": 1e-3, "log": true, "parents": []}
        {"type": "int", "low": 1, "high": 4, "parents": [["sst.pooling", "layers"]]}
        {"type": "categorical", "values": ["cls", "mean"], "parents": []}
    """
    domain, parents = param.domain, [list(pair) for pair in param.parents]
    if isinstance(domain, FloatRange):
        bounds = {"low": domain.low, "high": domain.high, "log": domain.log}
        return {"type": "float", **bounds, "parents": parents}
    if isinstance(domain, IntRange):
        return {"type": "int", "low": domain.low, "high": domain.high, "parents": parents}
    return {"type": "categorical", "values": list(domain.values), "parents": parents}


def domain_from(fields: dict[str, Any]) -> Domain:
    """Return the range that `domain_fields` wrote."""
    if fields["type"] == "float":
        return FloatRange(fields["low"], fields["high"], fields["log"])
    if fields["type"] == "int":
        return IntRange(fields["low"], fields["high"])
    return Choice(tuple(fields["values"]))


def param_from(name: str, fields: dict[str, Any]) -> Param:
    """Return the param that `domain_fields` wrote."""
    return Param(name, domain_from(fields), tuple((p, kind) for p, kind in fields["parents"]))


def distribution(domain: Domain) -> BaseDistribution:
    """Return a range as Optuna knows it."""
    if isinstance(domain, FloatRange):
        return FloatDistribution(domain.low, domain.high, log=domain.log)
    if isinstance(domain, IntRange):
        return IntDistribution(domain.low, domain.high)
    return CategoricalDistribution(domain.values)
