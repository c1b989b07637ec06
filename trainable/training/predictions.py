"""A run's predictions of whole splits: as tensors for programs, and as text, by task.

The tensors are in one safetensors file. `SPLIT.TASK` holds the result of `Run.probabilities`, in
the order of the split; `SPLIT.TASK.ids` holds the SHA-256 of the ids in that order, so that a
reader can tell them from predictions of other examples. `SPLIT.TASK.labels` holds the labels, so
that two files can be compared where the data are not; older files have none.

The text of the course's tasks has its submission format, from the CS224N default project's starter
code: a header, then lines `id , prediction `. That of all other tasks is CSV.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from trainable.cache.files import separated_line, write_tensors, write_text
from trainable.data.cs224n import SUBMISSION_HEADERS
from trainable.errors import InputError
from trainable.tasks import Task, TaskName, Tasks, is_of_course
from trainable.training.corpus import Rows, Split
from trainable.training.loop import Run

PREDICTIONS = "predictions.safetensors"
LABELLED: tuple[Split, ...] = ("select", "confirm")
Found = dict[Split, dict[TaskName, Tensor]]  # split -> task -> one row for each example


def write_probabilities(run: Run, path: Path, found: Found | None = None) -> None:
    """Write probabilities and scores to a safetensors file.

    Args:
        run: The run.
        path: The file.
        found: Split -> result of `run.probabilities`. Default: *select* and *confirm* are computed.
    """
    splits = run.inputs.corpus.splits
    tensors = {}
    for split, own in (found or {s: run.probabilities(s) for s in LABELLED}).items():
        for task, rows in own.items():
            tensors[f"{split}.{task}"] = rows.contiguous()
            tensors[f"{split}.{task}.ids"] = _digest(splits[split][task].ids)
            if (labels := splits[split][task].labels) is not None:
                tensors[f"{split}.{task}.labels"] = labels.contiguous()
    write_tensors(path, tensors)


def read_probabilities(
    content: bytes, ids: Mapping[Split, Mapping[TaskName, Iterable[str]]], origin: str
) -> Found:
    """Read what `write_probabilities` wrote.

    Args:
        content: Bytes of the file.
        ids: Split -> task -> the ids of the expected examples, in their order. Splits and tasks
            that are missing here are not read.
        origin: Name of the file, for messages.

    Returns:
        Split -> task -> (n, n_classes) or (n, 1) float32.

    Raises:
        InputError: The file is torn, or its predictions are of other examples.
    """
    try:
        tensors = load(content)
        found: Found = {}
        for split, tasks in ids.items():
            found[split] = {}
            for task, own in tasks.items():
                if not torch.equal(tensors[f"{split}.{task}.ids"], _digest(own)):
                    raise InputError(
                        f"{origin}: its {task} predictions are not of these {split} examples; the "
                        f"data have changed since it was written"
                    )
                found[split][task] = tensors[f"{split}.{task}"]
    except (SafetensorError, KeyError) as error:
        raise InputError(f"{origin}: not a whole file of predictions ({error})") from error
    return found


def read_compared(
    contents: Sequence[bytes], split: Split, tasks: Tasks
) -> list[dict[TaskName, tuple[Tensor, Tensor]]] | None:
    """Read runs' predictions of the same examples, and the labels of these.

    Args:
        contents: Bytes of the files that `write_probabilities` wrote, at least one.
        split: Which split.
        tasks: The tasks.

    Returns:
        For each file task -> (n, n_classes) or (n, 1) probabilities, and (n,) labels. None where a
        file is torn, is of other examples than the first, or has no labels, as older ones.
    """
    try:
        found = [load(content) for content in contents]
        for task in tasks:
            first, *others = (own[f"{split}.{task}.ids"] for own in found)
            if not all(torch.equal(first, own) for own in others):
                return None
        return [
            {task: (own[f"{split}.{task}"], own[f"{split}.{task}.labels"]) for task in tasks}
            for own in found
        ]
    except (SafetensorError, KeyError):
        return None


def write_submission(
    predicted: Found, splits: dict[Split, dict[TaskName, Rows]], tasks: Tasks, folder: Path
) -> None:
    """Write `{task}-{dev,test}-output.csv`; test only where there are test examples.

    The tasks of the course are written in its format, others as CSV with the names of classes.

    Args:
        predicted: Split -> task -> (n,) predictions; dev is *select* and *confirm*.
        splits: The examples.
        tasks: The table of the data source.
        folder: An existing folder.
    """
    for name, sources in {"dev": LABELLED, "test": ("test",)}.items():
        for task, definition in tasks.items():
            if any(task not in predicted[source] for source in sources):
                continue
            ids = [i for source in sources for i in splits[source][task].ids]
            values = torch.cat([predicted[source][task] for source in sources]).tolist()
            lines = _course_lines if is_of_course(definition) else _csv_lines
            text = "".join(lines(definition, ids, values))
            write_text(folder / f"{task}-{name}-output.csv", text)


def _course_lines(task: Task, ids: Iterable[str], values: Iterable[float]) -> Iterator[str]:
    """Yield the course's header, then a line for each example; classes by their numbers."""
    yield SUBMISSION_HEADERS[task.name]
    for i, value in zip(ids, values, strict=True):
        yield f"{i} , {int(value) if task.kind == 'single_classes' else value} \n"


def _csv_lines(task: Task, ids: Iterable[str], values: Iterable[float]) -> Iterator[str]:
    """Yield a header, then a line for each example; classes by their names."""
    yield separated_line(("id", "prediction"), ",")
    for i, value in zip(ids, values, strict=True):
        shown = value if task.classes is None else task.classes[int(value)]
        yield separated_line((i, shown), ",")


def _digest(ids: Iterable[str]) -> Tensor:
    """Return the SHA-256 of the ids, (32,) uint8."""
    digest = hashlib.sha256()
    for name in ids:
        digest.update(f"{len(name)}:{name}".encode())  # lengths: ("ab", "c") is not ("a", "bc")
    return torch.tensor(list(digest.digest()), dtype=torch.uint8)
