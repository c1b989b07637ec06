"""The one Tune callback: every event goes to the log first, then to TensorBoard and the screen."""

from __future__ import annotations

from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from search.curves import TensorBoard
from search.events import EventLog
from search.progress import Progress
from search.results import TrialRecord
from search.scheduler import RecordedASHA
from trainable.ray_trainable import NUMBERS
from trainable.run_config import RunConfig


class SearchCallback(Callback):
    """Records what happens.

    Args:
        log: The event log.
        board: TensorBoard files.
        progress: The screen.
        scheduler: Asked whether it was the scheduler that stopped a trial.
        earlier: Trials of the search that is resumed; empty for a new one.
    """

    def __init__(
        self,
        log: EventLog,
        board: TensorBoard,
        progress: Progress,
        scheduler: Any,
        earlier: list[TrialRecord],
    ) -> None:
        self.log = log
        self.board = board
        self.progress = progress
        self.scheduler = scheduler
        self.trials: dict[str, TrialRecord] = {trial.id: trial for trial in earlier}

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A trial starts, or starts again after its worker was lost."""
        record = self._record(trial)
        record.status, record.error = "running", None  # an earlier driver may have closed it
        self.board.start(record.number, record.params)

    def _record(self, trial: Trial) -> TrialRecord:
        """Return the record of a trial; a new trial is logged first."""
        known = self.trials.get(trial.trial_id)
        if known is not None:
            return known
        params = dict(trial.config)
        run_config = params.pop("run_config")
        number = len(self.trials)
        self.log.append(
            "suggested", trial=number, id=trial.trial_id, params=params, run_config=run_config
        )
        parsed = RunConfig.from_dict(run_config, f"trial {number}")
        self.trials[trial.trial_id] = TrialRecord(number, trial.trial_id, params, parsed, 0.0, 0.0)
        return self.trials[trial.trial_id]

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """A trial finished a unit."""
        record = self.trials[trial.trial_id]
        metrics: dict[str, float | None] = {key: float(result[key]) for key in NUMBERS}
        self.log.append("reported", trial=record.number, unit=result["unit"], metrics=metrics)
        record.reports[result["unit"]] = metrics
        record.error = result["failure"] or None
        self.board.report(record.number, result)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A trial ended: by itself, by the scheduler, or because the search ends."""
        record = self.trials[trial.trial_id]
        if record.error:
            self._end(record, "failed", record.error)
        elif record.units >= record.config.units:
            self._end(record, "done", None)
        elif isinstance(self.scheduler, RecordedASHA) and trial.trial_id in self.scheduler.stopped:
            self.log.append("decided", trial=record.number, unit=record.units, decision="stop")
            self._end(record, "stopped", None)
        else:
            self._end(record, "interrupted", None)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """An attempt failed; Tune calls this when it will not try again."""
        error = trial.get_pickled_error() or trial.error_file or "unknown"
        # An actor may fail before its trial has started.
        self._end(self._record(trial), "failed", _one_line(error))

    def on_trial_recover(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """An attempt failed and will be repeated from the last checkpoint."""
        record = self._record(trial)
        error = _one_line(trial.get_pickled_error() or "unknown")
        self.log.append("failed", trial=record.number, error=error)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Called after every event of Tune's loop."""
        self.progress.tick(list(self.trials.values()))

    def close(self) -> None:
        """Close trials that the end of the search cut short, their files and the screen."""
        for record in self.trials.values():
            if record.status == "running":
                self._end(record, "interrupted", None)
        self.board.close()
        self.progress.close()

    def _end(self, record: TrialRecord, status: Any, error: str | None) -> None:
        record.status, record.error = status, error
        self.log.append("ended", trial=record.number, status=status, error=error)
        self.board.end(record.number)
        self.progress.ended(record, list(self.trials.values()))


def _one_line(error: Any) -> str:
    """The last line of a traceback says what went wrong."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
