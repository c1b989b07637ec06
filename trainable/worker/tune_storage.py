"""Checkpoints in the storage of a search: where it is a folder they are written directly to it.

Tune lets a trainable write each checkpoint to a temporary folder and then copies it to the storage.
That writes everything twice, takes most of the time of a switch between trials, and a killed worker
leaves a part of a copy. A folder that this machine can write to needs no copy. A remote storage is
left to Tune.

As in Tune, nobody waits until a checkpoint is on the disk. If the power fails within half a minute,
the checkpoint may be torn. Its reader notices that and takes the one before, if it is kept.

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


def stored_checkpoint(storage: str, path: str) -> tune.Checkpoint:
    """Return a checkpoint.

    Args:
        storage: Folder or URI of searches.
        path: Of the checkpoint, below `storage`.
    """
    if "://" not in storage:
        return tune.Checkpoint(str(Path(storage) / path))
    filesystem, root = pyarrow.fs.FileSystem.from_uri(storage)
    return tune.Checkpoint(f"{root.rstrip('/')}/{path}", filesystem)
