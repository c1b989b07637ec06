"""Compare the default with the best finished trial, as soon as both have run to their end."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from torch import Tensor

from search.log.folder import SearchFolder
from search.log.history import Journal
from search.log.trial import TrialRecord
from search.planning.plan import TaskSize
from search.report.errors.winner_predictions import read_predictions
from trainable.losses import decide
from trainable.metrics import metric_keys, score_error
from trainable.model.pairs import decision_threshold
from trainable.paired_error import Floats, paired_error
from trainable.task_config import pair_of
from trainable.tasks import TaskName, Tasks
from trainable.training.corpus import Split
from trainable.training.predictions import LABELLED, read_compared


class Comparison:
    """Writes into the log how much more a trial scored than the default, with standard errors.

    All readers of the log then agree on who leads, also where neither checkpoints nor data are.

    Args:
        journal: History and log.
        folder: Of the search; the predictions of both trials are read from there.
        sizes: Task -> size of its data, for the errors where there are no predictions.
    """

    def __init__(
        self, journal: Journal, folder: SearchFolder, sizes: Mapping[TaskName, TaskSize]
    ) -> None:
        self._journal, self._folder, self._sizes = journal, folder, sizes

    def update(self) -> None:
        """Compare the default with the best of the others, unless the log says it already.

        Call it when a trial has run to its end, before its checkpoint may be deleted.
        """
        done = [
            trial
            for trial in self._journal.history.trials.values()
            if trial.status == "done" and math.isfinite(trial.score)
        ]
        default = next((trial for trial in done if trial.is_default), None)
        others = [trial for trial in done if not trial.is_default]
        if default is None or not others:
            return
        best = max(others, key=lambda trial: trial.rank_key)
        if best.gain is None or best.gain.default != default.number:
            self._write(best, default)

    def _write(self, trial: TrialRecord, default: TrialRecord) -> None:
        paired = self._paired_errors(trial, default)
        errors = paired or {split: self._unpaired(split, trial, default) for split in LABELLED}
        confirm, before = (t.last.get("confirm_score") for t in (trial, default))
        self._journal.write(
            "compared",
            trial=trial.number,
            default=default.number,
            select=trial.score - default.score,
            select_error=errors["select"],
            confirm=None if confirm is None or before is None else confirm - before,
            confirm_error=errors["confirm"],
            is_paired=bool(paired),
        )

    def _paired_errors(self, *trials: TrialRecord) -> dict[Split, float]:
        """Return the paired error on each split; nothing where predictions cannot be compared."""
        try:
            first, second = (read_predictions(self._folder, trial) for trial in trials)
        except OSError:  # a remote storage does not answer; the watchdog says so if it stays so
            return {}
        if first is None or second is None:
            return {}
        found = {split: _paired((first, second), split, *trials) for split in LABELLED}
        known = {split: error for split, error in found.items() if error is not None}
        return known if len(known) == len(LABELLED) else {}

    def _unpaired(self, split: Split, *trials: TrialRecord) -> float:
        """Return the error of the difference of two independent scores."""
        on_select, tasks = split == "select", trials[0].config.table
        sizes = {t: s.n_select if on_select else s.n_confirm for t, s in self._sizes.items()}
        prefix = "" if on_select else "confirm_"
        found = [
            {key: trial.last.get(f"{prefix}{key}") for key in metric_keys(tasks)}
            for trial in trials
        ]
        return math.hypot(*(score_error(own, tasks, sizes) for own in found))


def _paired(contents: tuple[bytes, bytes], split: Split, *trials: TrialRecord) -> float | None:
    """Return the paired error on a split; None where the files do not fit each other."""
    tasks = trials[0].config.table
    both = read_compared(contents, split, tasks)
    if both is None:
        return None
    first, second = (
        {task: predicted_numbers(run, tasks, task, own[task][0]) for task in tasks}
        for run, own in zip(trials, both, strict=True)
    )
    labels = {task: own[1].double().numpy() for task, own in both[0].items()}
    return paired_error(first, second, labels, tasks)


def predicted_numbers(
    trial: TrialRecord, tasks: Tasks, task: TaskName, probabilities: Tensor
) -> Floats:
    """Return (n,) what a trial predicted: classes, or numbers."""
    threshold = decision_threshold(pair_of(trial.config.tasks[task]))
    return np.asarray(decide(probabilities, tasks[task], threshold).double().numpy())
