"""The three tasks: what their examples look like, their labels and their metric.

A training stage may take batches from a fourth source, natural language inference, which is trained
on and never scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

TaskName = Literal["sst", "para", "sts"]
TASK_NAMES: tuple[TaskName, ...] = get_args(TaskName)
TrainName = Literal["sst", "para", "sts", "nli"]  # what can give a batch
TRAIN_NAMES: tuple[TrainName, ...] = get_args(TrainName)


@dataclass(frozen=True)
class Task:
    """One sentence task.

    Attributes:
        name: Key of the task everywhere: files, params, metrics.
        title: Name for people.
        is_pair: Whether an example has two sentences.
        label_max: Labels lie in [0, label_max].
        n_classes: Number of classes, or None where the label is a real number.
        metric: Key of its dev metric: `sst_acc`, `para_acc` (accuracy in [0, 1]) or `sts_corr`
            (Pearson correlation in [-1, 1]).
    """

    name: TaskName
    title: str
    is_pair: bool
    label_max: float
    n_classes: int | None
    metric: str


TASKS: dict[TaskName, Task] = {
    "sst": Task("sst", "SST sentiment", False, 4.0, 5, "sst_acc"),
    "para": Task("para", "Quora paraphrase", True, 1.0, 2, "para_acc"),
    "sts": Task("sts", "STS similarity", True, 5.0, None, "sts_corr"),
}
TASK_METRICS = tuple(task.metric for task in TASKS.values())  # whose mean is the score
