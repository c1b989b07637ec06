"""Save a Tune trial where its checkpoint stays, if that is a folder.

Tune has a trainable write each checkpoint to a temporary folder, and copies it to the storage then:
twice the writing, most of the time of a switch between trials, and a copy that a killed worker
leaves in part. A folder that this machine can write to needs none of that. Objects of a remote
storage are left to Tune.

Nobody waits until it is on the disk, as Tune does not. If the power fails in the half minute
before, it may be torn; that is found when it is read, and the one before is taken, if it is kept.

Source: `Trainable.save`, `Trainable._report_class_trainable_checkpoint` and
`StorageContext.persist_current_checkpoint` of ray 2.60.0, whose private names are used here.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.fs
from ray import tune
from ray.train._internal.session import _TrainingResult


def save_in_place(trial: tune.Trainable) -> _TrainingResult | None:
    """Save a trial's checkpoint; it appears under its name once it is whole.

    Args:
        trial: In an actor of Tune, or made without it.

    Returns:
        What `Trainable.save` would return; None, and nothing is done, where there is no folder.

    Raises:
        RuntimeError: The folder is not that of the search: this node does not share it.
        Exception: Whatever `save_checkpoint` raises; nothing is left of the checkpoint then.
    """
    storage = trial._storage
    if storage is None or not isinstance(storage.storage_filesystem, pyarrow.fs.LocalFileSystem):
        return None
    storage._check_validation_file()  # type: ignore[no-untyped-call]
    storage._update_checkpoint_index({})
    folder = Path(storage.checkpoint_fs_path)
    unfinished = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a worker that was killed and came again
    unfinished.mkdir(parents=True)
    try:
        trial.save_checkpoint(str(unfinished))
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    checkpoint = tune.Checkpoint(str(folder), storage.storage_filesystem)
    return _TrainingResult(checkpoint=checkpoint, metrics=dict(trial._last_result or {}))
