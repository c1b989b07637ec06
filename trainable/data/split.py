"""The dev split in two: *select* steers the search, *confirm* is seen only by the final report.

Before its last unit, a trial is scored on a part of *select*.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from trainable.data.sentences import TaskSplit
from trainable.errors import InputError
from trainable.tasks import Task, TaskName

# Examples of a task by which trials are compared before their last unit. What that adds to their
# differences is below what another seed changes (tests/benchmarks/part_of_select.py).
PART_EXAMPLES = 500


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


def stratified_part(
    task: TaskName, ids: Sequence[str], labels: Tensor, n: int = PART_EXAMPLES
) -> Tensor:
    """Choose examples whose labels are spread like those of all; equal on every machine.

    Examples in the order of their labels, and of a hash of their ids where labels are equal, are
    taken at equal distances. So classes keep their shares, and numbers their quantiles. The order
    of the file does not matter. The hash is not the one of `is_confirm`.

    Args:
        task: Name of the task.
        ids: Of all examples.
        labels: (n_examples,) numbers of classes, or numbers.
        n: How many to choose.

    Returns:
        (min(n, n_examples),) int64 places in `ids`, ascending.
    """
    if len(ids) <= n:
        return torch.arange(len(ids))
    hashes = [hashlib.sha256(f"part:{task}:{name}".encode()).digest() for name in ids]
    values = labels.tolist()
    order = sorted(range(len(ids)), key=lambda place: (values[place], hashes[place]))
    return torch.tensor(sorted(order[(2 * i + 1) * len(ids) // (2 * n)] for i in range(n)))
