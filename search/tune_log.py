"""What Ray Tune says that would mislead here: to Tune every leg is a trial of its own."""

from __future__ import annotations

import logging
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback

from trainable.ray_trainable import NodeLeaving

_LOGGERS = ("ray.tune.execution.tune_controller", "ray.tune.tune")


def is_worth_saying(record: logging.LogRecord) -> bool:
    """Return False for what is no error to us.

    A trial that leaves its machine in time ends a leg with an error that the search expects, and
    says so itself. At the end Tune names such legs as incomplete, whatever became of their trials.
    """
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, NodeLeaving):
        return False
    return not str(record.msg).startswith("Trials did not complete")


class NoTuneProgress(TrialProgressCallback):
    """Takes the place of Tune's own, which at `verbose=0` prints nothing and keeps every trial."""

    def log_result(self, trial: Trial, result: dict[str, Any], error: bool = False) -> None:
        """Say nothing: `search.progress` does."""

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Likewise."""


def quieten_tune() -> None:
    """Let Tune's log pass only what is worth saying."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(is_worth_saying)  # the same twice is one
