"""Which checkpoints are kept: of trials that may go on, the best finished one, and the default."""

from __future__ import annotations

from functools import partial
from pathlib import PurePosixPath

import pyarrow.fs

from search.log.folder import SearchFolder
from search.log.history import Journal
from search.log.mirror import Mirror
from search.log.trial import TrialRecord

_CHECKPOINTS = "trial_*/checkpoint_*"  # Tune's names, in folders that the driver names
_KEPT_WHILE_RUNNING = 2  # the older one is needed if the newer cannot be read


class Checkpoints:
    """Deletes the checkpoints that nobody needs any more.

    Before a checkpoint is deleted, the log says so, and so does its copy in a remote storage:
    whichever of the two a later driver goes on from, all checkpoints that it names are there.

    Args:
        journal: History and log.
        folder: Of the search.
        mirror: Copies the log.
    """

    def __init__(self, journal: Journal, folder: SearchFolder, mirror: Mirror) -> None:
        self._journal, self._folder, self._mirror = journal, folder, mirror
        self._best: TrialRecord | None = None
        for trial in journal.history.runs:  # what a killed driver had no time to delete
            if trial.checkpoints:
                self.closed(trial)

    def sweep(self) -> None:
        """Delete checkpoints that the log does not name, since a driver or worker was killed.

        Call it while no trial runs: checkpoints that are being written are not in the log either.
        """
        trials = self._journal.history.runs
        known = {path for trial in trials for path in trial.checkpoints.values()}
        for path in self._all_paths():
            if path not in known:
                self._delete(path)

    def _all_paths(self) -> list[str]:
        """Return the paths of all checkpoints in the folder of the search."""
        selector = pyarrow.fs.FileSelector("", allow_not_found=True, recursive=True)
        found = [PurePosixPath(file.path) for file in self._folder.files().get_file_info(selector)]
        # An object store may list files only, and no folders.
        folders = {PurePosixPath(*path.parts[:2]) for path in found}
        return [str(path) for path in sorted(folders) if path.match(_CHECKPOINTS)]

    def saved(self, trial: TrialRecord, replaced: str | None = None) -> None:
        """A running trial has a new checkpoint, which may replace another one of the same unit."""
        if replaced is not None:
            self._delete(replaced)
        self._keep_newest(trial, _KEPT_WHILE_RUNNING)

    def closed(self, trial: TrialRecord) -> None:
        """A trial was paused or came to an end."""
        if trial.status == "done":
            self._finished(trial)
        elif trial.status == "paused":
            self._keep_newest(trial, 1)
        elif trial.status in ("stopped", "failed"):
            self._keep_newest(trial, 0)

    def _finished(self, trial: TrialRecord) -> None:
        # The default may lead; others are compared with its predictions, and with finalists' runs.
        if trial.is_default or trial.seed_of is not None:
            self._keep_newest(trial, 1)
            return
        if self._best is not None and self._best is not trial:
            if self._best.rank_key > trial.rank_key:
                self._keep_newest(trial, 0)
                return
            self._keep_newest(self._best, 0)
        self._best = trial
        self._keep_newest(trial, 1)

    def _keep_newest(self, trial: TrialRecord, n: int) -> None:
        units = sorted(trial.checkpoints)
        for unit in units[: len(units) - n]:
            path = trial.checkpoints[unit]
            self._journal.write("deleted", trial=trial.number, unit=unit, path=path)
            self._delete(path)

    def _delete(self, path: str) -> None:
        self._mirror.after_copy(partial(self._folder.delete, path))
