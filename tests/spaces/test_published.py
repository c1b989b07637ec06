"""The published rows against the papers' tables, and how their files are read."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from spaces.published import load_published, read_paper
from spaces.row import Row
from trainable.data.sources import Cs224nData
from trainable.errors import InputError
from trainable.model.encoder import EncoderConfig
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask

ROWS = {row.id: row for row in load_published()}
RUNNABLE = tuple(row.id for row in load_published() if not row.why_not)

# A search over the course's files, and one of a few steps on the sample.
SEARCH = RunConfig(
    seed=7,
    data=Cs224nData(dir="/data"),
    encoder=EncoderConfig(source="google-bert/bert-base-uncased", revision="abc"),
    multitask=Multitask(budget_tokens=123, units=3, precision="bf16"),
)
SHORT = RunConfig(multitask=Multitask(budget_tokens=1_500, units=1))


@pytest.fixture(scope="module")
def published(shared: Path) -> dict[str, dict[str, str]]:
    """Return id -> row of the table that was copied from the papers."""
    path = shared / "papers" / "published.csv"
    if not path.is_file():
        pytest.skip(f"no file {path}; it is what the published rows are compared with")
    with path.open(encoding="utf-8", newline="") as lines:
        return {row["id"]: row for row in csv.DictReader(lines)}


def test_every_published_row_is_there_with_its_scores(
    published: dict[str, dict[str, str]],
) -> None:
    assert len(published) == 95
    assert ROWS.keys() == published.keys()
    for name, row in ROWS.items():
        given = published[name]
        assert row.label == given["row"]
        assert (str(row.table), row.split) == (given["table"], given["split"])
        metrics = ("sst_acc", "para_acc", "sts_corr", "overall")
        assert row.scores == {key: float(given[key]) for key in metrics if given[key]}


def test_no_row_is_there_twice_and_papers_are_whole() -> None:
    assert len(load_published()) == len(ROWS) == 95
    papers = Counter(name.split("/")[0] for name in ROWS)
    assert papers == {"one-size": 15, "bertpp": 12, "mtbert": 9, "leave": 32, "college": 27}
    assert len({row.paper for row in ROWS.values()}) == 5


def is_sentence(text: str) -> bool:
    return text[0].isupper() and text.endswith(".") and len(text.split()) > 4


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_reasons_and_notes_are_sentences(row: Row) -> None:
    for text in (row.why_not, *row.notes):
        assert text is None or is_sentence(text), text
    assert row.method


def test_rows_differ_where_the_papers_trained_another_thing() -> None:
    equal: dict[str, set[str]] = {}
    for name in RUNNABLE:
        key = json.dumps(ROWS[name].config(SEARCH).to_dict(), sort_keys=True)
        equal.setdefault(key, set()).add(name)
    # What stands in a table of test scores was trained once.
    assert [names for names in equal.values() if len(names) > 1] == [
        {"bertpp/D", "bertpp/D-test"},
        {"bertpp/G", "bertpp/G-test"},
        {"bertpp/H", "bertpp/H-test"},
        {"college/quora-snli+frozen", "college/quora-snli+frozen-test"},
        {"leave/NLI+GSbd-ConcatB+AL", "leave/best-test"},
        {"mtbert/pretrain-mt-st", "mtbert/pretrain-mt-st-test"},
    ]


def test_epochs_are_inherited_added_to_and_forgotten() -> None:
    assert ROWS["one-size/sts-cosine-mean"].epochs == {"sst": 10, "para": 0.565, "sts": 10}
    assert ROWS["one-size/final"].epochs == {"sst": 10, "para": 10, "sts": 10}
    assert ROWS["one-size/pcgrad"].epochs == {}
    assert ROWS["mtbert/pretrain-mt-st"].epochs == {"text": 100, "sst": 10, "para": 10, "sts": 10}


# How a file is read, on a paper of its own.


def paper(rows: str) -> str:
    """Return a file with these rows; all of them have the same scores."""
    scores = "{table: 1, sst_acc: 0.5, para_acc: 0.5, sts_corr: 0.5}"
    lines = (f"  - {{dev: {scores}, label: L, {row}}}\n" for row in rows.split("\n"))
    return f"title: T\nauthors: A\nbaseline: {{sst: {{dropout: 0.2}}}}\nrows:\n{''.join(lines)}"


def test_a_row_comes_from_the_baseline_or_from_another_row_wherever_that_stands() -> None:
    text = paper(
        "id: p/c, from: p/b, change: {para: {dropout: 0.6}}\n"
        "id: p/b, change: {para: {dropout: 0.4}, sts: {dropout: 0.5}}"
    )
    child, parent = read_paper(text, "p.yaml")
    assert parent.differences["para"] == {"dropout": 0.4}
    config = child.config(RunConfig())
    assert (
        config.tasks["sst"].dropout,
        config.tasks["para"].dropout,
        config.tasks["sts"].dropout,
    ) == (0.2, 0.6, 0.5)
    assert child.method == "L"


def test_a_row_has_its_own_notes_before_those_of_the_paper_and_its_own_method() -> None:
    rows = "id: p/a, notes: [Own.], method: It is done.\nid: p/b"
    one, other = read_paper(f"notes: [Of the paper.]\n{paper(rows)}", "p.yaml")
    assert (one.notes, one.method) == (("Own.", "Of the paper."), "It is done.")
    assert (other.notes, other.method) == (("Of the paper.",), "L")


def test_a_reason_against_running_a_row_is_read_from_the_file() -> None:
    one, other = read_paper(paper("id: p/a, why_not: It needs a thing.\nid: p/b"), "p.yaml")
    assert (one.why_not, other.why_not) == ("It needs a thing.", None)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("id: p/a, chnage: {}", r"p\.yaml: .*\n.*chnage"),
        ("id: p/a\nid: p/b, from: p/aa", r"p\.yaml: row p/b .* 'p/aa'; did you mean 'p/a'\?"),
        ("id: p/a, from: p/b\nid: p/b, from: p/a", r"p\.yaml: row p/\w comes from itself"),
        (
            "id: p/a, from: p/b\nid: p/b, from: p/c\nid: p/c, from: p/b",
            r"p\.yaml: row p/a comes from itself, through 'p/b'",
        ),
        ("id: p/a\nid: p/a", r"p\.yaml: row p/a is there twice"),
        ("id: p/a, dev: null", r"p\.yaml: .*\n.*\n.*row p/a needs its scores under one of dev"),
    ],
)
def test_a_broken_file_is_refused_by_name(rows: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_paper(paper(rows), "p.yaml")
