"""The table of GLUE's tasks reads files as GLUE's archives have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainable.data.read_tasks import read_tasks
from trainable.errors import InputError

QUOTE = '" A quote is a letter , and "opens nothing'
_PARSES = ("sentence1_binary_parse", "sentence2_binary_parse", "sentence1_parse", "sentence2_parse")
# Folder -> header of train, and of test; CoLA's train has none.
HEADERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "CoLA": ((), ("index", "sentence")),
    "SST-2": (("sentence", "label"), ("index", "sentence")),
    "MRPC": (
        ("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"),
        ("index", "#1 ID", "#2 ID", "#1 String", "#2 String"),
    ),
    "STS-B": (
        (
            "index",
            "genre",
            "filename",
            "year",
            "old_index",
            "source1",
            "source2",
            "sentence1",
            "sentence2",
            "score",
        ),
        (
            "index",
            "genre",
            "filename",
            "year",
            "old_index",
            "source1",
            "source2",
            "sentence1",
            "sentence2",
        ),
    ),
    "QQP": (
        ("id", "qid1", "qid2", "question1", "question2", "is_duplicate"),
        ("id", "question1", "question2"),
    ),
    "MNLI": (
        ("index", "promptID", "pairID", "genre", *_PARSES, "sentence1", "sentence2", "gold_label"),
        ("index", "promptID", "pairID", "genre", *_PARSES, "sentence1", "sentence2"),
    ),
    "QNLI": (("index", "question", "sentence", "label"), ("index", "question", "sentence")),
    "RTE": (("index", "sentence1", "sentence2", "label"), ("index", "sentence1", "sentence2")),
}
LABELS = {
    "STS-B": ("5.000", "0.250"),
    "MNLI": ("contradiction", "entailment"),
    "QNLI": ("not_entailment", "entailment"),
    "RTE": ("not_entailment", "entailment"),
}
FIRST = {"CoLA": 1.0, "SST-2": 1.0, "MRPC": 1.0, "STS-B": 5.0, "MNLI": 2.0}
_FIRST_SENTENCES = ("sentence1", "#1 String", "question1", "question")


def field(folder: str, split: str, row: int, column: str) -> str:
    """Return what stands in a column of a row."""
    if column in ("label", "Quality", "is_duplicate", "gold_label", "score"):
        return LABELS.get(folder, ("1", "0"))[row]
    if column in ("index", "id"):
        return str(row)
    is_first = column in _FIRST_SENTENCES or (column == "sentence" and folder != "QNLI")
    if is_first:
        return f"{QUOTE} in {split} {row}"
    return f"{column} {split} {row}"


def write(root: Path, folder: str) -> None:
    """Write train, dev and test of two rows each."""
    (root / folder).mkdir()
    train, test = HEADERS[folder]
    for split, header in (("train", train), ("dev", train), ("test", test)):
        name = f"{split}_matched" if folder == "MNLI" and split != "train" else split
        lines = [header] if header else []
        for row in range(2):
            own = tuple(field(folder, split, row, column) for column in header)
            lines.append(own or ("gj04", str(1 - row), "*", f"{QUOTE} in {split} {row}"))
        content = "".join("\t".join(line) + "\n" for line in lines)
        (root / folder / f"{name}.tsv").write_text(content)


@pytest.mark.slow
def test_all_eight_tasks_are_read(tmp_path: Path) -> None:
    for folder in HEADERS:
        write(tmp_path, folder)
    source = read_tasks("glue", tmp_path)
    examples = source.load()
    # Two rows have two of three labels. Numbers of rows are no ids that train and dev share.
    assert [note.split(":")[0] for note in examples.notes] == ["mnli-train"]
    assert [task.metric for task in source.table.values()] == [
        *("matthews", "accuracy", "accuracy", "pearson"),
        *("accuracy",) * 4,
    ]
    for name, folder in zip(source.table, HEADERS, strict=True):
        for split, rows in examples.splits[name].items():
            assert rows["id"][:] == ["0", "1"]
            assert rows["sentence1"][:] == [f"{QUOTE} in {split} {row}" for row in range(2)]
            assert bool(rows["sentence2"][0]) == source.table[name].is_pair
            if split == "test":
                assert "label" not in rows.column_names
            else:
                first = FIRST.get(folder, 1.0)
                assert rows["label"][:] == [first, 0.25 if folder == "STS-B" else 0.0]


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    write(tmp_path, "RTE")
    assert set(read_tasks("glue:rte", tmp_path).load().splits) == {"rte"}
    with pytest.raises(
        InputError, match=r"no folder .*CoLA; give the one with train\.tsv, dev\.tsv"
    ):
        read_tasks("glue:rte,cola", tmp_path).load()
