"""The dev split in two: *select* steers the search, *confirm* is seen only by the final report."""

from __future__ import annotations

import hashlib

import torch

from trainable.data.sentences import TaskSplit
from trainable.errors import InputError
from trainable.tasks import Task, TaskName


def is_confirm(task: TaskName, example_id: str) -> bool:
    """Return whether a dev example belongs to *confirm*.

    A hash of the id decides, so that an example stays on its side when a file is sorted, cut or
    extended, and no random generator is involved.
    """
    return hashlib.sha256(f"{task}:{example_id}".encode()).digest()[0] % 2 == 1


def split_dev(task: Task, dev: TaskSplit) -> tuple[TaskSplit, TaskSplit]:
    """Cut a dev split into *select* and *confirm*, about half each, in the order of the file.

    Raises:
        InputError: One of them would be empty, so that nothing could be scored on it.
    """
    confirm = torch.tensor([is_confirm(task.name, example_id) for example_id in dev.ids]).bool()
    device = dev.sentence1.offsets.device
    parts = [side.nonzero().flatten().to(device) for side in (~confirm, confirm)]
    for name, indices in zip(("select", "confirm"), parts, strict=True):
        if not indices.numel():
            raise InputError(
                f"{task.title}: none of the {len(dev)} dev examples falls into the {name} "
                "half; give a dev file with more examples (some hundreds)"
            )
    select, rest = (dev.select(indices) for indices in parts)
    return select, rest
