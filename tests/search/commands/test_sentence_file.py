from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.commands.sentence_file import lines_of, read_sentences
from trainable.errors import InputError

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r\n")).filter(str.strip)


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("suffix", [".tsv", ".csv", ".jsonl"])
@given(rows=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
def test_what_was_written_is_read(
    suffix: str, rows: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("file") / f"x{suffix}"
    if suffix == ".jsonl":
        lines = [{"id": i, "sentence1": a, "sentence2": b} for i, (a, b) in enumerate(rows)]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    else:
        file = io.StringIO()
        writer = csv.writer(file, delimiter="\t" if suffix == ".tsv" else ",")
        writer.writerow(["id", "sentence1", "sentence2", "label"])
        writer.writerows((i, a, b, "") for i, (a, b) in enumerate(rows))
        path.write_text(file.getvalue(), encoding="utf-8", newline="")
    read = read_sentences(path)
    assert read.sentences(is_pair=True) == rows
    assert [int(i) for i in read.ids] == list(range(len(rows)))


def test_rows_without_ids_are_numbered_from_zero(tmp_path: Path) -> None:
    read = read_sentences(write(tmp_path, "x.csv", "text,label\na,1\n\nb,2\n"))
    assert read.ids == [0, 1]
    assert read.sentences(is_pair=False) == ["a", "b"]


def test_a_csv_file_may_be_tab_separated(tmp_path: Path) -> None:
    read = read_sentences(write(tmp_path, "x.csv", "\ufeff\tid\tsentence\n0\tf1\ta, b\n"))
    assert (read.ids, read.sentences(is_pair=False)) == (["f1"], ["a, b"])


def test_a_line_break_within_quotes_of_a_csv_file_is_text(tmp_path: Path) -> None:
    read = read_sentences(write(tmp_path, "x.csv", 'text\n"a, b\nc"\n'))
    assert read.sentences(is_pair=False) == ["a, b\nc"]


def test_the_first_of_a_pair_is_not_the_one_sentence(tmp_path: Path) -> None:
    alone = read_sentences(write(tmp_path, "a.tsv", "sentence1\na\n"))
    assert alone.has_single
    assert not alone.has_pairs
    pair = read_sentences(write(tmp_path, "b.tsv", "sentence1\tsentence2\na\tb\n"))
    assert pair.has_pairs
    assert not pair.has_single


@pytest.mark.parametrize(
    ("name", "content", "fragment"),
    [
        ("x.txt", "a", "the suffix '.txt' is not known; allowed are .tsv, .csv, .jsonl"),
        ("x.tsv", "", "is empty"),
        ("x.jsonl", "\n", "is empty"),
        ("x.tsv", "sentence\n", "has a header but no rows"),
        ("x.tsv", "id\tsentense\n1\ta\n", "no column of sentences"),
        ("x.tsv", "id\tsentense\n1\ta\n", "did you mean 'sentence'?"),
        ("x.tsv", b"sentence\n\xff\n", "is not UTF-8 text"),
        ("x.tsv", 'sentence\n"a\nb\n', "opens a field in data row 1"),
        ("x.tsv", 'id\tsentence\n1\ta\n2\t"b\n3\tc"\n', "opens a field in data row 2"),
        ("x.tsv", "id\tsentence\n1\ta\n2\n", "data row 2 has 1 of the 2 fields"),
        ("x.jsonl", '{"text": "a"}\n{"text"\n', "line 2 is not JSON"),
        ("x.jsonl", '{"text": "a"}\n[]\n', "line 2 is '[]', not an object"),
        ("x.jsonl", '{"text": "a"}\n{"txt": "a"}\n', "line 2 has no 'text'"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, name: str, content: str | bytes, fragment: str
) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(InputError) as caught:
        read_sentences(path)
    assert fragment in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "is_pair", "fragment"),
    [
        ('{"text": "a"}\n{"text": 3}\n', False, "text in data row 2 is 3, not a string"),
        ('{"text": " "}\n', False, "text in data row 1 is empty"),
        ('{"text": "a"}\n', True, "needs the columns sentence1 and sentence2"),
        ('{"sentence1": "a", "sentence2": "b"}\n', False, "needs the column sentence or text"),
    ],
)
def test_columns_that_do_not_fit_are_named(
    tmp_path: Path, content: str, is_pair: bool, fragment: str
) -> None:
    read = read_sentences(write(tmp_path, "x.jsonl", content))
    with pytest.raises(InputError, match=fragment):
        read.sentences(is_pair)


def test_predictions_are_written_by_suffix() -> None:
    rows = [
        {"id": "a\tb", "prediction": "yes, so", "probabilities": {"no": 0.25, "yes, so": 0.75}},
        {"id": "c", "prediction": "no", "probabilities": {"no": 1e-08, "yes, so": 1.0}},
    ]
    found = list(csv.reader(io.StringIO(lines_of(rows, ".tsv")), delimiter="\t"))
    assert found[0] == ["id", "prediction", "probability no", "probability yes, so"]
    assert found[1] == ["a\tb", "yes, so", "0.25", "0.75"]
    assert found[2] == ["c", "no", "1e-08", "1.0"]
    assert list(csv.reader(io.StringIO(lines_of(rows, ".csv")))) == found
    assert [json.loads(line) for line in lines_of(rows, ".jsonl").splitlines()] == rows
    assert lines_of(rows, ".tsv", header=False).count("\n") == 2
    assert lines_of([{"id": 1, "prediction": 2.5}], ".csv") == "id,prediction\n1,2.5\n"


@pytest.mark.parametrize(("suffix", "delimiter"), [(".tsv", "\t"), (".csv", ",")])
@pytest.mark.parametrize("id", ["a\rb", "a\nb", "a\r\nb", "\r"])
def test_an_id_with_a_line_break_stays_one_field(suffix: str, delimiter: str, id: str) -> None:
    text = lines_of([{"id": id, "prediction": 1}, {"id": "c", "prediction": 2}], suffix)
    found = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    assert found == [["id", "prediction"], [id, "1"], ["c", "2"]]
