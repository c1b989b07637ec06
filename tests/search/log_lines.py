"""Lines of an event log, as a driver writes them."""

from __future__ import annotations

from typing import Any

from search.log.events import Event
from search.log.trial import Status
from trainable.run_config import RunConfig

CONFIG = RunConfig(seed=3)


def event(kind: str, time: float = 0.0, **fields: Any) -> Event:
    return {"event": kind, "time": time, **fields}


def suggested(number: int, time: float = 0.0) -> Event:
    chosen = {"params": {"lr": 0.1}, "run_config": CONFIG.to_dict()}
    return event("suggested", time, trial=number, bracket=1, origin="random", **chosen)


def reported(number: int, time: float, unit: int, score: float | None, failure: str = "") -> Event:
    metrics = {"score": score}
    return event("reported", time, trial=number, unit=unit, metrics=metrics, failure=failure)


def ended(number: int, time: float, status: Status, error: str | None = None) -> Event:
    return event("ended", time, trial=number, status=status, error=error)
