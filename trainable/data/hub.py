"""The course's three tasks on the Hugging Face hub, and the download of any data set there."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, load_dataset
from datasets.exceptions import DatasetsError

from trainable.data.check_splits import check_splits
from trainable.data.examples import Examples, collect
from trainable.data.schema import to_schema
from trainable.errors import InputError
from trainable.tasks import COURSE, TaskName

_HUB_SPLITS = {"train": "train", "dev": "validation", "test": "test"}


@dataclass(frozen=True)
class HubDataset:
    """A task's data set on the hub, pinned to a commit, and the names of its columns.

    Attributes:
        repo: Data set id, with its owner.
        config: Name of the configuration, or None for the only one.
        revision: Full commit: a run of today and one of next year read the same bytes.
        sentences: Column of each sentence.
        label: Column of the label.
        label_scale: Factor from the hub's labels to ours.
        id: Column of the id, or None if the row's number is the id.
        may_lack_text: Whether rows without one of their sentences are dropped instead of refused.
    """

    repo: str
    config: str | None
    revision: str
    sentences: tuple[str, ...]
    label: str
    label_scale: float = 1.0
    id: str | None = None
    may_lack_text: bool = False


HUB_DATASETS: dict[TaskName, HubDataset] = {
    "sst": HubDataset(
        "SetFit/sst5", None, "e51bdcd8cd3a30da231967c1a249ba59361279a3", ("text",), "label"
    ),
    "para": HubDataset(
        "nyu-mll/glue",
        "qqp",
        "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c",
        ("question1", "question2"),
        "label",
        id="idx",
        may_lack_text=True,
    ),
    "sts": HubDataset(
        "sentence-transformers/stsb",
        None,
        "ab7a5ac0e35aa22088bdcf23e7fd99b220e53308",
        ("sentence1", "sentence2"),
        "score",
        label_scale=5.0,
    ),
}


def load_hub() -> Examples:
    """Download, or take from the local cache, the data sets of `HUB_DATASETS`.

    Raises:
        InputError: A data set can neither be downloaded nor found in the cache, or is not as
            expected.
    """
    splits: dict[TaskName, dict[str, Dataset]] = {task: {} for task in COURSE}
    notes: list[str] = []
    for task in COURSE:
        for split in _HUB_SPLITS:
            source = HUB_DATASETS[task]
            raw = download(source.repo, source.config, source.revision, _HUB_SPLITS[split])
            splits[task][split], found = from_hub(raw, task, split)
            notes += found
    return collect(COURSE, splits, (*notes, *check_splits(COURSE, splits, compare_ids=())))


def from_hub(raw: Dataset, task: TaskName, split: str) -> tuple[Dataset, tuple[str, ...]]:
    """Rename a hub data set's columns and scale its labels; see `to_schema`.

    The label column of "test" is dropped unread: SST-5 and STS-B publish theirs.

    Raises:
        InputError: A column is missing or `to_schema` refuses a row.
    """
    source = HUB_DATASETS[task]
    origin = f"{source.repo} ({split})"
    wanted = [*source.sentences, *([source.id] if source.id else [])]
    wanted += [] if split == "test" else [source.label]
    if missing := sorted(set(wanted) - set(raw.column_names)):
        raise InputError(
            f"{origin} has no column {', '.join(missing)}; found: {', '.join(raw.column_names)}"
        )
    table = raw.select_columns(wanted).with_format("arrow")[:]
    columns = {f"sentence{i + 1}": table[name] for i, name in enumerate(source.sentences)}
    columns["id"] = table[source.id] if source.id else pa.array(range(table.num_rows))
    if split != "test":
        scaled = pc.multiply(pc.cast(table[source.label], pa.float64()), source.label_scale)
        columns["label"] = pc.round(scaled, 6)  # a scaled 1.0 may come out as 5.000000000000001
    return to_schema(
        pa.table(columns), COURSE[task], split, origin, may_lack_text=source.may_lack_text
    )


def download(repo: str, config: str | None, revision: str, split: str) -> Dataset:
    """Return one split of a data set at a commit, from the local cache where it is there.

    Raises:
        InputError: It can neither be downloaded nor found in the cache.
    """
    try:
        return load_dataset(repo, config, revision=revision, split=split)
    # OSError covers the network and a repository that is gone; ValueError is the library's word for
    # "offline, and not in the cache", and for an unknown configuration or split.
    except (OSError, ValueError, DatasetsError) as error:
        raise InputError(
            f"cannot get {repo} from the Hugging Face hub: {' '.join(str(error).split())}; check "
            "the network, or run once on a machine with a network and copy its HF_HOME, or use "
            "--data sample or --data cs224n --data-dir DIR"
        ) from error
