"""Public data sets for the stages before the tasks: on the Hugging Face hub, and SICK's file."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
from datasets import load_dataset
from datasets.exceptions import DatasetsError
from pydantic import BaseModel, ConfigDict

from trainable.cache.files import reading, user_path
from trainable.data.quiet_datasets import no_progress_bars
from trainable.errors import InputError, did_you_mean

PublicName = Literal["imdb", "yelp", "sick", "paws", "multi_nli", "snli"]

SICK_FILE = "SICK_train.txt"
_SICK_COLUMNS = ("sentence_A", "sentence_B", "entailment_judgment")


class Source(BaseModel):
    """Where text or examples come from. Not a `Component`: a search does not choose its data."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class PublicDataset:
    """A data set on the hub, pinned to a commit, and the names of its columns.

    Attributes:
        repo: Data set id, with its owner.
        config: Name of the configuration, or None for the only one.
        revision: Full commit: a run of today and one of next year read the same bytes.
        split: The split that is read.
        text: Columns with text.
        label: Column of the entailment label (0 entailment, 1 neutral, 2 contradiction, -1 no
            agreement), or None.
    """

    repo: str
    config: str | None
    revision: str
    split: str
    text: tuple[str, ...]
    label: str | None = None

    @property
    def identity(self) -> str:
        """All that the rows depend on: the files of a commit never change."""
        return f"{self.repo}@{self.revision}:{self.config}:{self.split}:{self.text}:{self.label}"


PUBLIC_DATASETS: dict[PublicName, PublicDataset] = {
    # "BERT++", section 4.1, samples the reviews without a label.
    "imdb": PublicDataset(
        "stanfordnlp/imdb",
        None,
        "e6281661ce1c48d982bc483cf8a173c1bbeb5d31",
        "unsupervised",
        ("text",),
    ),
    "yelp": PublicDataset(
        "Yelp/yelp_review_full",
        None,
        "c1f9ee939b7d05667af864ee1cb066393154bf85",
        "train",
        ("text",),
    ),
    # The original `RobZamp/sick` needs a loading script, which the library no longer runs.
    "sick": PublicDataset(
        "yangwang825/sick",
        None,
        "4c90d63ab7702fcb591bb3a4d5d9bd1ccff50127",
        "train",
        ("text1", "text2"),
        "label",
    ),
    "paws": PublicDataset(
        "google-research-datasets/paws",
        "labeled_final",
        "161ece9501cf0a11f3e48bd356eaa82de46d6a09",
        "train",
        ("sentence1", "sentence2"),
    ),
    "multi_nli": PublicDataset(
        "nyu-mll/multi_nli",
        None,
        "da70db2af9d09693783c3320c4249840212ee221",
        "train",
        ("premise", "hypothesis"),
        "label",
    ),
    "snli": PublicDataset(
        "stanfordnlp/snli",
        None,
        "cdb5c3d5eed6ead6e5a341c8e56e669bb666725b",
        "train",
        ("premise", "hypothesis"),
        "label",
    ),
}


def download(name: PublicName) -> pa.Table:
    """Return the text and label columns of a data set, from the hub or from the local cache.

    Raises:
        InputError: It can neither be downloaded nor found in the cache, or a column is missing.
    """
    corpus = PUBLIC_DATASETS[name]
    wanted = [*corpus.text, *([corpus.label] if corpus.label else [])]
    try:
        with no_progress_bars():
            raw = load_dataset(
                corpus.repo, corpus.config, revision=corpus.revision, split=corpus.split
            )
    # OSError covers the network and a repository that is gone; ValueError is the library's word for
    # "offline, and not in the cache".
    except (OSError, ValueError, DatasetsError) as error:
        raise InputError(
            f"cannot get {corpus.repo} from the Hugging Face hub: {error}; check the network, or "
            "run once on a machine with a network and copy its HF_HOME, or use another source"
        ) from error
    if missing := sorted(set(wanted) - set(raw.column_names)):
        raise InputError(
            f"{corpus.repo} ({corpus.split}) has no column {', '.join(missing)}; found: "
            f"{', '.join(raw.column_names)}"
        )
    return raw.select_columns(wanted).with_format("arrow")[:]


def find_sick(folder: str) -> Path:
    """Return the path of SICK's train file.

    Raises:
        InputError: The folder does not contain it.
    """
    path = user_path(folder) / SICK_FILE
    with reading(path):
        found = path.is_file()
    if not found:
        raise InputError(f"no file {path}; give the folder that {SICK_FILE} lies in")
    return path


def read_sick(folder: str) -> list[tuple[str, str, str]]:
    """Read SICK's train file (SemEval 2014, task 1).

    Returns:
        sentence_A, sentence_B and the judgment in lower case ("entailment", ...) of each pair.

    Raises:
        InputError: The file or a column is missing, or it is not tab-separated UTF-8 text.
    """
    path = find_sick(folder)
    try:
        with reading(path), path.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
            header = reader.fieldnames or ()
            for name in _SICK_COLUMNS:
                if name not in header:
                    raise InputError(
                        f"{path} has no column {name!r}; its tab-separated columns: "
                        f"{', '.join(header)}{did_you_mean(name, header)}"
                    )
            rows = [tuple((row[name] or "").strip() for name in _SICK_COLUMNS) for row in reader]
    except csv.Error as error:
        raise InputError(
            f"cannot read {path}, from line {reader.line_num}: {error}; give SICK's own file"
        ) from error
    if not rows:
        raise InputError(f"{path} has a header but no rows; give the whole file")
    return [(first, second, judgment.lower()) for first, second, judgment in rows]
