"""From the parts of tasks to examples."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from pydantic import ValidationError

from trainable.data import task_files
from trainable.data.data_file import Columns, DataFile, Format, HubPart
from trainable.data.read_tasks import read_tasks
from trainable.data.sources import Cs224nData
from trainable.data.task_files import TaskData, TaskFiles
from trainable.errors import InputError
from trainable.tasks import Task

MOOD = Task(name="mood", classes=("bad", "good"))
COLUMNS = Columns(sentence1="text", label="mood")
ROWS = "text\tmood\nA fine day\t1\nA poor day\t0\n"


def part(path: Path, text: str = ROWS, kind: Format = "tsv", **columns: Any) -> DataFile:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    own = COLUMNS.model_copy(update=columns)
    return DataFile(path=str(path), format=kind, columns=own)


def mood(train: DataFile, dev: DataFile | None, **fields: Any) -> TaskFiles:
    share = 0.25 if dev is None else None
    own = TaskData(task=MOOD, train=train, dev=dev, dev_share=share, **fields)
    return TaskFiles(tasks=(own,))


def test_a_dev_set_and_a_share_exclude_each_other(tmp_path: Path) -> None:
    file = part(tmp_path / "a.tsv")
    for fields in ({"dev": file, "dev_share": 0.1}, {}):
        with pytest.raises(ValidationError, match="mood: give dev or dev_share, and not both"):
            TaskFiles(tasks=(TaskData(task=MOOD, train=file, **fields),))
    own = TaskData(task=MOOD, train=file, dev=file)
    with pytest.raises(ValidationError, match="two tasks are named 'mood'"):
        TaskFiles(tasks=(own, own))


def test_a_file_is_named_with_its_folder_where_others_have_its_name(tmp_path: Path) -> None:
    bad = ROWS + "Hm\t2\n"
    train, dev = part(tmp_path / "a" / "x.tsv"), part(tmp_path / "b" / "x.tsv", bad)
    with pytest.raises(InputError, match=r"^b/x\.tsv: the label in data row 3 is '2'"):
        mood(train, dev).load()
    with pytest.raises(InputError, match=r"^y\.tsv: the label in data row 3 is '2'"):
        mood(train, part(tmp_path / "b" / "y.tsv", bad)).load()


def test_files_that_are_missing_are_named_together(tmp_path: Path) -> None:
    file = part(tmp_path / "x.tsv")
    away = [
        file.model_copy(update={"path": str(tmp_path / name)}) for name in ("xx.tsv", "other.tsv")
    ]
    with pytest.raises(
        InputError, match=r"lacks xx\.tsv; did you mean 'x\.tsv'\?, other\.tsv; found: x\.tsv$"
    ):
        mood(away[0], away[1]).load()


def test_a_path_is_no_pattern(tmp_path: Path) -> None:
    part(tmp_path / "ab.tsv", ROWS.replace("fine", "wrong"))
    file = part(tmp_path / "a[b].tsv")
    stars = part(tmp_path / "a*.tsv", ROWS.replace("day", "dog"))
    examples = mood(file, stars).load()
    assert examples.splits["mood"]["train"]["sentence1"][0] == "A fine day"
    assert examples.splits["mood"]["dev"]["sentence1"][0] == "A fine dog"


@pytest.mark.parametrize(
    ("ids", "compared"),
    [
        (("0", "1"), False),  # GLUE's numbers of rows
        (("1", "2"), False),
        (("1", "30"), True),
        (("7", "8"), True),
        (("a", "b"), True),
        (("2", "1"), True),
    ],
)
def test_numbers_of_rows_are_no_common_ids(
    ids: tuple[str, str], compared: bool, tmp_path: Path
) -> None:
    parts = [
        part(
            tmp_path / name,
            f"id\ttext\tmood\n{ids[0]}\tA {name}\t1\n{ids[1]}\tB {name}\t0\n",
            id="id",
        )
        for name in ("x.tsv", "y.tsv")
    ]
    notes = mood(*parts).load().notes
    expected = (
        "mood: 2 of 2 dev examples are in train, too (0 with the same text, 2 with the same id)"
    )
    assert [note.split(";")[0] for note in notes] == ([expected] if compared else [])


def test_a_share_of_train_becomes_dev_and_a_note_says_so(tmp_path: Path) -> None:
    rows = "".join(f"Day {n}\t{n % 2}\n" for n in range(40))
    examples = mood(part(tmp_path / "x.tsv", "text\tmood\n" + rows), None).load()
    splits = examples.splits["mood"]
    assert len(splits["train"]) == 30
    assert splits["dev"]["label"][:].count(1.0) == 5
    (note,) = examples.notes
    assert note.startswith("mood: no dev set was given; 10 of the 40 train examples")


def test_the_label_of_test_is_not_read(tmp_path: Path) -> None:
    train, dev = part(tmp_path / "x.tsv"), part(tmp_path / "y.tsv", ROWS.replace("day", "dog"))
    test = part(tmp_path / "z.tsv", "text\tmood\nHm\tnonsense\n")
    own = TaskData(task=MOOD, train=train, dev=dev, test=test)
    found = TaskFiles(tasks=(own,)).load().splits["mood"]["test"]
    assert found[:] == {"id": ["0"], "sentence1": ["Hm"], "sentence2": [""]}


def test_tasks_that_share_a_file_share_its_notes(tmp_path: Path) -> None:
    train, dev = (
        part(tmp_path / "x.tsv", ROWS + "Hm\t\n"),
        part(tmp_path / "y.tsv", "text\tmood\nB\t1\nC\t0\n"),
    )
    own = TaskData(task=MOOD, train=train, dev=dev)
    other = own.model_copy(update={"task": Task(name="other", classes=("no", "yes"))})
    notes = TaskFiles(tasks=(own, other)).load().notes
    assert notes == ("x.tsv: 1 row without a label dropped",)


HUB = HubPart(repo="own/moods", revision="0" * 40, split="train", columns=COLUMNS)


def test_a_data_set_of_the_hub_is_read_by_its_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str | None, ...]] = []

    def download(*arguments: str | None) -> Dataset:
        asked.append(arguments)
        split = arguments[-1]
        return Dataset.from_dict(
            {"text": [f"A {split}", f"B {split}"], "mood": [3, 1], "n": [0, 0]}
        )

    monkeypatch.setattr(task_files, "download", download)
    dev = HUB.model_copy(update={"split": "validation", "config": "small"})
    own = TaskData(task=MOOD, labels={"1": 0, "3": 1}, train=HUB, dev=dev)
    splits = TaskFiles(tasks=(own,)).load().splits["mood"]
    assert asked == [
        ("own/moods", None, "0" * 40, "train"),
        ("own/moods", "small", "0" * 40, "validation"),
    ]
    assert splits["train"][0] == {"id": "0", "sentence1": "A train", "sentence2": "", "label": 1.0}
    assert splits["dev"]["label"][:] == [1.0, 0.0]
    wrong = HUB.model_copy(update={"columns": Columns(sentence1="txt", label="mood")})
    with pytest.raises(InputError, match=r"own/moods \(train\) has no column 'txt'; its columns: "):
        TaskFiles(tasks=(own.model_copy(update={"train": wrong}),)).load()


@pytest.fixture
def data() -> Path:
    folder = Path(os.environ.get("MTBERT_SHARED", Path(__file__).parents[4] / "shared")) / "data"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}; set MTBERT_SHARED to a folder with data/")
    return folder


def test_a_class_and_a_number_come_from_one_real_file(data: Path, tmp_path: Path) -> None:
    path = data / "sick" / "SICK_trial.txt"
    text = "tasks:"
    for name, column, labels in (
        ("entailment", "entailment_judgment", "labels: [CONTRADICTION, NEUTRAL, ENTAILMENT]"),
        ("likeness", "relatedness_score", "range: [1, 5]"),
    ):
        text += f"""
  {name}:
    train: {path}
    format: tsv
    columns: {{id: pair_ID, sentence1: sentence_A, sentence2: sentence_B, label: {column}}}
    {labels}
"""
    (tmp_path / "sick.yaml").write_text(text)
    examples = read_tasks(str(tmp_path / "sick.yaml")).load()
    with path.open(encoding="utf-8", newline="") as lines:
        rows = {row["pair_ID"]: row for row in csv.DictReader(lines, delimiter="\t")}
    seen = []
    for split in ("train", "dev"):
        for own in examples.splits["entailment"][split]:
            row = rows[own["id"]]
            names = ("CONTRADICTION", "NEUTRAL", "ENTAILMENT")
            assert row["entailment_judgment"] == names[int(own["label"])]
            assert (own["sentence1"], own["sentence2"]) == (
                row["sentence_A"].strip(),
                row["sentence_B"].strip(),
            )
            seen.append(own["id"])
    assert sorted(seen) == sorted(rows)
    assert {len(examples.splits[name]["dev"]) for name in examples.tasks} <= {49, 50, 51}


@pytest.mark.slow
def test_the_course_s_table_reads_what_the_course_s_source_reads(data: Path) -> None:
    folder = data / "cs224n"
    own, course = read_tasks("course", folder).load(), Cs224nData(dir=str(folder)).load()
    assert (own.fingerprint, own.notes, own.tasks) == (
        course.fingerprint,
        course.notes,
        course.tasks,
    )
    assert own.fingerprint == "bef664b944588226"  # as it was before there were task files
    reviews = read_tasks("course-cfimdb:cfimdb", folder).load().splits["cfimdb"]
    assert {split: len(rows) for split, rows in reviews.items()} == {"train": 1707, "dev": 245}
