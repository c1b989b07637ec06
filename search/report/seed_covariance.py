"""How the scores of finished runs vary with the examples, from the predictions that they left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from search.log.folder import SearchFolder
from search.log.trial import TrialRecord
from search.planning.plan import TaskSize
from search.report.comparison import predicted_numbers
from search.report.errors.winner_predictions import read_predictions
from trainable.metrics import metric_keys, score_error
from trainable.paired_error import Floats, score_covariance
from trainable.tasks import TaskName
from trainable.training.corpus import Split
from trainable.training.predictions import read_compared


class SeedCovariance:
    """The covariance of runs' scores over draws of examples.

    Args:
        folder: Of the search; predictions are read from there.
        sizes: Task -> size of its data, for the errors where there are no predictions.
    """

    def __init__(self, folder: SearchFolder, sizes: Mapping[TaskName, TaskSize]) -> None:
        self._folder, self._sizes = folder, sizes

    def __call__(self, runs: Sequence[TrialRecord], split: Split) -> Floats:
        """Return (n_runs, n_runs); that of independent scores where predictions are missing.

        Errors of differences are then too large, never too small.
        """
        paired = self._paired(runs, split)
        return self._independent(runs, split) if paired is None else paired

    def _paired(self, runs: Sequence[TrialRecord], split: Split) -> Floats | None:
        try:
            contents = [read_predictions(self._folder, run) for run in runs]
        except OSError:  # a remote storage does not answer; the watchdog says so if it stays so
            return None
        known = [content for content in contents if content is not None]
        if not runs or len(known) < len(runs):
            return None
        tasks = runs[0].config.table
        found = read_compared(known, split, tasks)
        if found is None:
            return None
        predicted = [
            {task: predicted_numbers(run, tasks, task, own[task][0]) for task in tasks}
            for run, own in zip(runs, found, strict=True)
        ]
        labels = {task: own[1].double().numpy() for task, own in found[0].items()}
        return score_covariance(predicted, labels, tasks)

    def _independent(self, runs: Sequence[TrialRecord], split: Split) -> Floats:
        on_select = split == "select"
        prefix = "" if on_select else "confirm_"
        sizes = {t: s.n_select if on_select else s.n_confirm for t, s in self._sizes.items()}
        errors = []
        for run in runs:
            tasks = run.config.table
            known = {key: run.last.get(f"{prefix}{key}") for key in metric_keys(tasks)}
            errors.append(score_error(known, tasks, sizes))
        return np.diag(np.square(errors))
