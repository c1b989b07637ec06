"""Task files: what they mean, and one line for everything that is wrong with them."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainable.data.data_file import DataFile, HubPart
from trainable.data.read_tasks import READY_MADE, read_tasks
from trainable.data.task_files import TaskFiles
from trainable.errors import InputError
from trainable.run_config import RunConfig
from trainable.tasks import COURSE, Task

GOOD = """
tasks:
  mood:
    title: Moods
    train: train.tsv
    dev: dev.tsv
    columns: {id: id, sentence1: text, label: mood}
    labels: [bad, good]
"""
TRAIN = "id\ttext\tmood\na\tA fine day\tgood\nb\tA poor day\tbad\nc\tA fine cup\tgood\n"
DEV = "id\ttext\tmood\nd\tA fine dog\tgood\ne\tA poor dog\tbad\n"

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes the files, some of them replaced, and returns `--tasks`."""

    def write_files(text: str = GOOD, **contents: str | bytes) -> str:
        named: dict[str, str | bytes] = {"tasks.yaml": text, "train.tsv": TRAIN, "dev.tsv": DEV}
        named |= {name.replace("__", "."): content for name, content in contents.items()}
        for name, content in named.items():
            own = content.encode() if isinstance(content, str) else content
            (tmp_path / name).write_bytes(own)
        return str(tmp_path / "tasks.yaml")

    return write_files


def test_every_key_means_what_it_says(write: Write, tmp_path: Path) -> None:
    text = """
tasks:
  likeness:
    title: Similar sayings
    train: {file: own/train.csv.gz, quotes: false}
    dev: {file: /else/dev.jsonl, columns: {sentence1: one, sentence2: two, label: value}}
    test: {file: test.txt, format: tsv, header: false, columns: {sentence1: 2, sentence2: 3}}
    columns: {id: id, sentence1: a, sentence2: b, label: score}
    range: [-1, 1.5]
    metric: spearman
    weight: 2
    may_lack_text: true
"""
    (own,) = read_tasks(write(text)).tasks
    assert own.task == Task(
        name="likeness",
        title="Similar sayings",
        is_pair=True,
        low=-1,
        high=1.5,
        metric="spearman",
        weight=2,
    )
    assert own.labels is None
    assert own.may_lack_text
    train, dev, test = (own.parts[split] for split in ("train", "dev", "test"))
    assert isinstance(train, DataFile)
    assert train.path == str(tmp_path / "own" / "train.csv.gz")
    assert (train.format, train.quotes, train.header) == ("csv", False, True)
    assert isinstance(dev, DataFile)
    assert (dev.path, dev.format, dev.columns.id) == ("/else/dev.jsonl", "jsonl", None)
    assert isinstance(test, DataFile)
    assert (test.format, test.header, test.columns.label) == ("tsv", False, None)
    assert test.columns.sentence2 == "3"


@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [
        ("[bad, good]", ("bad", "good"), {"bad": 0, "good": 1}),
        ("[no, yes]", ("no", "yes"), {"no": 0, "yes": 1}),  # not YAML's false and true
        ("[0, 1, 2]", ("0", "1", "2"), None),
        ("{0: bad, 1: good}", ("bad", "good"), None),
        ("{0.0: bad, 1.0: good}", ("bad", "good"), None),
        ("{1: bad, 2: good}", ("bad", "good"), {"1": 0, "2": 1}),
        ("{1: bad, 2: bad, 3: good}", ("bad", "good"), {"1": 0, "2": 0, "3": 1}),
        ("{true: good, false: bad}", ("good", "bad"), {"true": 0, "false": 1}),
    ],
)
def test_labels_are_names_or_numbers(
    labels: str, classes: tuple[str, ...], numbers: dict[str, int] | None, write: Write
) -> None:
    (own,) = read_tasks(write(GOOD.replace("[bad, good]", labels))).tasks
    assert own.task.classes == classes
    assert own.labels == numbers


def test_relative_paths_begin_at_the_file_or_at_the_folder_of_data(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write()
    monkeypatch.chdir("/")
    for folder, expected in ((None, tmp_path), (Path("/data"), Path("/data"))):
        train = read_tasks(source, folder).tasks[0].train
        assert isinstance(train, DataFile)
        assert train.path == str(expected / "train.tsv")


def test_a_source_survives_json_in_a_run_config(write: Write) -> None:
    both = GOOD + GOOD.removeprefix("\ntasks:").replace("mood:", "other:", 1)
    source = read_tasks(write(both.replace("    dev: dev.tsv\n", "", 1)))
    assert [own.dev_share for own in source.tasks] == [0.1, None]
    config = RunConfig(data=source)
    again = RunConfig.from_dict(json.loads(json.dumps(config.to_dict())), "a test")
    assert again == config
    assert isinstance(again.data, TaskFiles)
    assert again.data.table == source.table


def test_a_few_tasks_of_a_file_or_a_table(write: Write, tmp_path: Path) -> None:
    assert list(read_tasks("glue:rte,cola", tmp_path).table) == ["cola", "rte"]
    source = write(GOOD + GOOD.removeprefix("\ntasks:").replace("mood:", "other:", 1))
    assert list(read_tasks(f"{source}:other").table) == ["other"]
    odd = tmp_path / "a:b.yaml"  # a file that is there is taken whole
    odd.write_text(GOOD)
    assert list(read_tasks(str(odd)).table) == ["mood"]
    assert list(read_tasks(f"{odd}:mood").table) == ["mood"]


@pytest.mark.parametrize("name", READY_MADE)
def test_tables_that_come_with_the_project_are_sound(name: str, tmp_path: Path) -> None:
    source = read_tasks(name, tmp_path)
    hub = name == "glue-hub"
    for own in source.tasks:
        kinds = {type(part) for part in own.parts.values()}
        assert kinds == {HubPart if hub else DataFile}
        assert set(own.parts) == ({"train", "dev", "test"} if hub else {"train", "dev"})
    names = {"course": list(COURSE), "course-cfimdb": [*COURSE, "cfimdb"]}
    glue = ["cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "qnli", "rte"]
    assert list(source.table) == names.get(name, glue)


def test_the_course_s_table_is_that_of_the_papers(tmp_path: Path) -> None:
    assert read_tasks("course", tmp_path).table == COURSE
    table = read_tasks("course-cfimdb", tmp_path).table
    assert {name: table[name] for name in COURSE} == COURSE
    assert read_tasks("glue", tmp_path).table == read_tasks("glue-hub").table


def test_the_example_of_the_document_is_read(repository: Path, tmp_path: Path) -> None:
    text = (repository / "trainable" / "docs" / "tasks.md").read_text()
    (example,) = re.findall("```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "tasks.yaml").write_text(example)
    table = read_tasks(str(tmp_path / "tasks.yaml")).table
    kinds = {name: task.kind for name, task in table.items()}
    assert kinds == {
        "entailment": "pair_classes",
        "likeness": "pair_number",
        "mood": "single_classes",
        "grammar": "single_classes",
        "rte": "pair_decision",
    }
    for name in READY_MADE:
        assert f"`{name}`" in text
        for task in read_tasks(name, tmp_path).table:
            assert f"`{task}`" in text


def packed(text: str) -> bytes:
    return gzip.compress(text.encode())


def parquet(**columns: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def twice(content: bytes) -> bytes:
    """Return a Parquet file with one more column `text`."""
    table = pq.read_table(pa.BufferReader(content))
    sink = pa.BufferOutputStream()
    pq.write_table(table.append_column("text", table["text"]), sink)
    doubled: bytes = sink.getvalue().to_pybytes()
    return doubled


def change(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def with_lines(name: str) -> str:
    return change("train: train.tsv", f"train: {name}")


NO_TEXT = pa.array([b"bad", b"go\xff\xfe"]).view(pa.string())
ROWS = {"id": ["a", "b"], "text": ["A fine day", "A poor day"]}
HUB = "hub: {repo: a/b, revision: REVISION, splits: {train: train}}"
NUMBERS = change("labels: [bad, good]", "range: [0, 5]")

# name -> task file, other files, what the message must have in it
WRONG: dict[str, tuple[str, dict[str, str | bytes], tuple[str, ...]]] = {
    "no YAML": ("tasks: [", {}, ("tasks.yaml, line 1",)),
    "nothing": ("", {}, ("tasks.yaml: the file is empty; give tasks, a mapping",)),
    "only a comment": ("# mine\n", {}, ("tasks.yaml: the file is empty",)),
    "other top key": (GOOD.replace("tasks:", "task:"), {}, ("'task'", "did you mean 'tasks'?")),
    "no tasks": ("tasks: mood", {}, ("tasks is 'mood'", "a mapping from the name")),
    "two of one name": (
        GOOD + GOOD.removeprefix("\ntasks:"),
        {},
        ("line 10", "'mood' is given twice"),
    ),
    "eleven tasks": (
        "tasks:"
        + "".join(GOOD.removeprefix("\ntasks:").replace("mood:", f"t{n}:", 1) for n in range(11)),
        {},
        ("tasks.yaml: 11 tasks; give 1 to 10",),
    ),
    "name": (change("mood:", "Mood:"), {}, ("tasks.Mood", "'Mood' cannot be", "lower-case")),
    "reserved name": (change("mood:", "data:"), {}, ("tasks.data", "'data' cannot be the name")),
    "unknown key": (change("columns", "colums"), {}, ("'colums'", "did you mean 'columns'?")),
    "key without value": (change("dev: dev.tsv", "dev:"), {}, ("tasks.mood: dev is empty",)),
    "unknown column key": (
        change("sentence1", "sentence"),
        {},
        ("tasks.mood.train.columns", "'sentence'", "say sentence1"),
    ),
    "other column key": (
        change("label: mood", "lable: mood"),
        {},
        ("tasks.mood.train.columns", "'lable'", "did you mean 'label'?"),
    ),
    "no label column": (
        change(", label: mood", ""),
        {},
        ("tasks.mood.train.columns lacks label",),
    ),
    "neither labels nor range": (
        change("    labels: [bad, good]\n", ""),
        {},
        ("tasks.mood has neither labels nor range", "range: [LOW, HIGH]"),
    ),
    "one class": (change("[bad, good]", "[bad]"), {}, ("labels", "only one class, 'bad'")),
    "label twice, as text": (
        change("[bad, good]", "[bad, good, bad]"),
        {},
        ("tasks.mood.labels: 'bad' is given twice; remove one",),
    ),
    "label twice": (change("[bad, good]", "[1, 1.0]"), {}, ("'1.0' is given twice",)),
    "range": (NUMBERS.replace("[0, 5]", "[5, 0]"), {}, ("labels from 5 to 0 are no range",)),
    "half a range": (NUMBERS.replace("[0, 5]", "[0]"), {}, ("range is ['0']", "[LOW, HIGH]")),
    "no number": (NUMBERS.replace("[0, 5]", "[0, five]"), {}, ("'five'", "give a number")),
    "unknown metric": (
        change("title: Moods", "metric: acuracy"),
        {},
        ("tasks.mood.metric is 'acuracy'", "macro_f1", "did you mean 'accuracy'?"),
    ),
    "metric of numbers": (
        change("title: Moods", "metric: pearson"),
        {},
        ("pearson is no metric for classes", "accuracy, macro_f1, matthews"),
    ),
    "weight": (change("title: Moods", "weight: -1"), {}, ("weight is '-1'", "at least 0")),
    "share": (
        change("dev: dev.tsv", "dev_share: 0.9"),
        {},
        ("tasks.mood.dev_share is '0.9'", "from 0.001 to 0.5"),
    ),
    "share and dev": (change("title: Moods", "dev_share: 0.1"), {}, ("there is a dev set, too",)),
    "unknown format": (
        with_lines("train.txt"),
        {},
        ("tasks.mood.train", "'train.txt'", "format: tsv, csv, jsonl or parquet"),
    ),
    "header": (
        change("title: Moods", "header: maybe"),
        {},
        ("header is 'maybe'", "allowed: true, false"),
    ),
    "names without a header": (
        change("title: Moods", "header: false"),
        {},
        ("column 'id' of a file without a header", "counted from 1"),
    ),
    "quotes in JSON": (
        change("train: train.tsv", "train: {file: train.jsonl, quotes: false}"),
        {},
        ("quotes is for tsv and csv", "train.jsonl is jsonl"),
    ),
    "hub and file": (change("title: Moods", HUB), {}, ("tasks.mood has both train and hub",)),
    "hub without commit": (
        change("train: train.tsv\n    dev: dev.tsv", HUB.replace("REVISION", "main")),
        {},
        ("tasks.mood.hub.revision is 'main'", "40 hex digits"),
    ),
    "a pair in one split only": (
        change(
            "dev: dev.tsv",
            "dev: {file: dev.tsv, columns: {sentence1: text, sentence2: id, label: mood}}",
        ),
        {},
        ("tasks.yaml: mood: an example has one sentence, but not in dev",),
    ),
    # What is wrong in the files themselves.
    "no such file": (
        with_lines("trian.tsv"),
        {},
        ("lacks trian.tsv", "did you mean 'train.tsv'?", "found: dev.tsv, train.tsv"),
    ),
    "no such column": (
        change("sentence1: text", "sentence1: txt"),
        {},
        ("train.tsv has no column 'txt'", "id, text, mood", "did you mean 'text'?"),
    ),
    "label": (
        GOOD,
        {"train__tsv": TRAIN + "x\tHm\tgod\n"},
        ("train.tsv: the label in data row 4 is 'god'", "Moods: bad, good", "mean 'good'?"),
    ),
    "one of many labels": (
        change("[bad, good]", f"[{', '.join(f'class{n}' for n in range(77))}]"),
        {},
        ("train.tsv: the label in data row 1 is 'good'", "class19 and 57 more"),
    ),
    "label of dev": (
        GOOD,
        {"dev__tsv": DEV.replace("bad", "2")},
        ("dev.tsv: the label in data row 2 is '2'", "bad, good"),
    ),
    "number": (
        NUMBERS,
        {"train__tsv": "id\ttext\tmood\na\tHm\t5.5\n"},
        ("train.tsv: the label in data row 1 is '5.5'", "a number from 0 to 5"),
    ),
    "no text": (
        GOOD,
        {"train__tsv": TRAIN.replace("A poor day", "")},
        ("train.tsv: sentence1 is empty in 1 rows, first in data row 2",),
    ),
    "one id for two": (
        GOOD,
        {"train__tsv": TRAIN.replace("b\t", "a\t")},
        ("train.tsv: id 'a' stands for two", "data row 2"),
    ),
    "an open quote": (
        GOOD,
        {"train__tsv": TRAIN.replace("A poor", '"A poor')},
        ("train.tsv", "line 3 is not closed"),
    ),
    "commas for tabs": (
        GOOD,
        {"train__tsv": TRAIN.replace("\t", ",")},
        ("train.tsv has no tab", "comma-separated", "format: csv"),
    ),
    "a comma in a sentence": (
        with_lines("train.csv"),
        {"train__csv": "id,text,mood\na,Well, fine,good\n"},
        ("train.csv has 4 fields in line 2, and 3 in its first row", "in quotes"),
    ),
    "text behind a quote": (
        with_lines("train.csv"),
        {"train__csv": 'id,text,mood\na,"Well" fine,good\n'},
        ("train.csv", "row from line 2", "expected after"),
    ),
    "column number": (
        change("{id: id, sentence1: text, label: mood}", "{sentence1: 2, label: 4}").replace(
            "title: Moods", "header: false"
        ),
        {},
        ("train.tsv has no column 4", "columns 1 to 3"),
    ),
    "no JSON": (
        with_lines("train.jsonl"),
        {"train__jsonl": '{"id": 1, "text": "Hm", "mood": "bad"}\n{"id": 2,\n'},
        ("train.jsonl, line 2: not valid JSON",),
    ),
    "no JSON object": (
        with_lines("train.jsonl"),
        {"train__jsonl": '["a", "Hm", "bad"]\n'},
        ("train.jsonl, line 1:", "is no object"),
    ),
    "JSON key twice": (
        with_lines("train.jsonl"),
        {"train__jsonl": '\n{"id": 1, "text": "Hm", "text": "Oh", "mood": "bad"}\n'},
        ("train.jsonl, line 2: not valid JSON ('text' is given twice, remove one",),
    ),
    "nested JSON": (
        with_lines("train.jsonl"),
        {"train__jsonl": '{"id": 1, "text": ["Hm"], "mood": "bad"}\n'},
        ("train.jsonl, line 1: 'text' is", '["Hm"]', "give text or a number"),
    ),
    "half of a letter": (
        with_lines("train.jsonl"),
        {"train__jsonl": '{"id": 1, "text": "Hm \\ud83d", "mood": "bad"}\n'},
        ("train.jsonl, line 1: 'text' is", "a lone surrogate"),
    ),
    "two columns of a name": (
        with_lines("train.parquet"),
        {"train__parquet": twice(parquet(**ROWS, mood=["bad", "good"]))},
        ("train.parquet has two columns 'text'",),
    ),
    "JSON key": (
        with_lines("train.jsonl"),
        {"train__jsonl": '{"id": 1, "txt": "Hm", "mood": "bad"}\n'},
        ("train.jsonl has no column 'text'", "id, txt, mood", "did you mean 'txt'?"),
    ),
    "not compressed": (
        with_lines("train.tsv.gz"),
        {"train__tsv__gz": TRAIN},
        ("train.tsv.gz is no whole gzip file",),
    ),
    "half of a compressed file": (
        with_lines("train.tsv.gz"),
        {"train__tsv__gz": packed(TRAIN)[:-9]},
        ("train.tsv.gz is no whole gzip file",),
    ),
    "no Parquet": (
        with_lines("train.parquet"),
        {"train__parquet": TRAIN},
        ("cannot read", "train.parquet as Parquet"),
    ),
    "half of a Parquet file": (
        with_lines("train.parquet"),
        {"train__parquet": parquet(**ROWS, mood=["bad", "good"])[90:]},
        ("cannot read", "train.parquet as Parquet"),
    ),
    "Parquet with text that is not UTF-8": (
        with_lines("train.parquet"),
        {"train__parquet": parquet(**ROWS, mood=NO_TEXT)},
        ("cannot read", "train.parquet as Parquet", "UTF8"),
    ),
    "Parquet of lists": (
        with_lines("train.parquet"),
        {"train__parquet": parquet(**ROWS, mood=[["bad"], ["good"]])},
        ("train.parquet: column 'mood' has the type list", "text or numbers"),
    ),
    "no UTF-8": (GOOD, {"train__tsv": TRAIN.encode("utf-16")}, ("train.tsv is not UTF-8 text",)),
    "empty": (GOOD, {"train__tsv": ""}, ("train.tsv is empty", "a header with id, text, mood")),
    "header only": (GOOD, {"dev__tsv": DEV[:13]}, ("dev.tsv has a header but no rows",)),
    "too few for dev": (
        change("    dev: dev.tsv\n", ""),
        {"train__tsv": "id\ttext\tmood\na\tHm\tbad\nb\tOh\tgood\n"},
        ("Moods: 2 train examples are too few", "give a dev file"),
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_each_mistake_is_answered_in_one_line(case: str, write: Write, tmp_path: Path) -> None:
    text, contents, parts = WRONG[case]
    with pytest.raises(InputError) as caught:
        read_tasks(write(text, **contents)).load()
    message = str(caught.value).replace(str(tmp_path), "")
    assert "\n" not in message
    assert len(message) < 400
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.yaml", "nowhere.yaml: no such file; give a task file"),
        ("glu", "did you mean 'glue'?"),
        ("glue", "--tasks glue needs --data-dir"),
        ("glue-hub:rtee", "no task 'rtee'; allowed: cola, .*did you mean 'rte'?"),
        ("glue-hub:", "no task ''; allowed"),
    ],
)
def test_what_is_no_source_is_refused(source: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_tasks(source)
    assert "\n" not in str(caught.value)
