"""Every format gives the same examples, and those that other readers give."""

from __future__ import annotations

import csv
import gzip
import io
import json
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainable.data.data_file import Columns, DataFile, Format
from trainable.data.read_columns import read_columns
from trainable.errors import InputError

COLUMNS = Columns(id="key", sentence1="one", sentence2="two", label="y")
Row = dict[str, str]
word = st.text(st.sampled_from("ab \"',\té漢"), min_size=1, max_size=8).filter(str.strip)
rows = st.lists(
    st.fixed_dictionaries({"key": word, "one": word, "two": word, "y": st.sampled_from("01")}),
    min_size=1,
    max_size=8,
)


def write(path: Path, own: list[Row], kind: Format) -> DataFile:
    """Write rows in a format, compressed if the name says so."""
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(own), path)
    else:
        text = io.StringIO()
        if kind == "jsonl":
            text.writelines(json.dumps(row) + "\n" for row in own)
        else:
            writer = csv.DictWriter(
                text, list(own[0]), delimiter="\t" if kind == "tsv" else ",", lineterminator="\n"
            )
            writer.writeheader()
            writer.writerows(own)
        content = text.getvalue().encode()
        path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return DataFile(path=str(path), format=kind, columns=COLUMNS)


def read(file: DataFile) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = read_columns(file, labelled=True, origin="x")[0].to_pydict()
    return columns


@pytest.mark.slow
@settings(max_examples=20)
@given(rows)
def test_every_format_gives_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, own: list[Row]
) -> None:
    folder = tmp_path_factory.mktemp("formats")
    expected = {
        "id": [row["key"] for row in own],
        "sentence1": [row["one"] for row in own],
        "sentence2": [row["two"] for row in own],
        "label": [row["y"] for row in own],
    }
    for kind in ("tsv", "csv", "jsonl", "parquet"):
        for end in ("", ".gz"):
            if kind != "parquet" or not end:
                assert read(write(folder / f"rows.{kind}{end}", own, kind)) == expected


@pytest.mark.slow
@settings(max_examples=20)
@given(
    st.lists(st.lists(word.map(lambda t: t.replace("\t", " ")), min_size=3, max_size=3), min_size=1)
)
def test_without_quotes_and_header_every_letter_is_text(
    tmp_path_factory: pytest.TempPathFactory, own: list[list[str]]
) -> None:
    """The reference is pandas with quoting switched off."""
    path = tmp_path_factory.mktemp("plain") / "rows.tsv"
    path.write_text("".join("\t".join(row) + "\n" for row in own), encoding="utf-8")
    columns = Columns(sentence1="3", sentence2="1", label="2")
    file = DataFile(path=str(path), format="tsv", quotes=False, header=False, columns=columns)
    expected = pd.read_csv(
        path, sep="\t", header=None, quoting=csv.QUOTE_NONE, dtype=str, keep_default_na=False
    )
    found = read(file)
    assert found["sentence1"] == expected[2].to_list() == [row[2] for row in own]
    assert found["sentence2"] == expected[0].to_list()
    assert found["label"] == expected[1].to_list()
    assert found["id"] == [str(number) for number in range(len(own))]


def test_numbers_truth_and_gaps_of_json_and_parquet_become_text(tmp_path: Path) -> None:
    own: list[dict[str, Any]] = [
        {"key": 1, "one": "a", "two": 2.5, "y": True},
        {"key": 12345678901234567, "one": "b", "two": None, "y": None},
    ]
    expected = {
        "id": ["1", "12345678901234567"],
        "sentence1": ["a", "b"],
        "sentence2": ["2.5", ""],
        "label": ["true", ""],
    }
    assert read(write(tmp_path / "x.jsonl", own, "jsonl")) == expected
    found = read(write(tmp_path / "x.parquet", own, "parquet"))
    assert {name: [v or "" for v in values] for name, values in found.items()} == expected


def test_a_category_and_a_name_with_a_point_are_read_from_parquet(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    labels = pa.array(["no", "yes", "no"]).dictionary_encode()
    pq.write_table(pa.table({"a.b": ["x", "y", "z"], "label": labels, "a": [1, 2, 3]}), path)
    columns = Columns(sentence1="a.b", label="label")
    found = read(DataFile(path=str(path), format="parquet", columns=columns))
    assert found["sentence1"] == ["x", "y", "z"]
    assert found["label"] == ["no", "yes", "no"]


def test_one_column_may_have_two_parts(tmp_path: Path) -> None:
    own = [{"text": "a"}, {"text": "b"}]
    columns = Columns(id="text", sentence1="text")
    for kind in ("tsv", "jsonl", "parquet"):
        file = write(tmp_path / f"x.{kind}", own, kind)  # type: ignore[arg-type]
        found, _ = read_columns(
            file.model_copy(update={"columns": columns}), labelled=False, origin="x"
        )
        assert found.to_pydict() == {"id": ["a", "b"], "sentence1": ["a", "b"]}


def test_a_csv_sentence_may_have_commas_quotes_and_lines(tmp_path: Path) -> None:
    text = 'Well, "fine", he said.\nBut, no, not he.'
    own = [{"key": "a", "one": text, "two": text, "y": "1"}]
    file = write(tmp_path / "x.csv", own, "csv")
    found, notes = read_columns(file, labelled=True, origin="x.csv")
    assert found["sentence1"].to_pylist() == [text]
    (note,) = notes
    assert note.startswith("x.csv: 1 row with line breaks inside a sentence, first in line 2;")
    with warnings.catch_warnings(action="error"):
        assert pd.read_csv(file.path)["one"].to_list() == [text]


def test_a_sentence_of_a_single_column_may_have_several_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text('text\n"first line\nsecond line"\nplain\n')
    file = DataFile(path=str(path), format="tsv", columns=Columns(sentence1="text"))
    found, (note,) = read_columns(file, labelled=False, origin="x.tsv")
    assert found["sentence1"].to_pylist() == ["first line\nsecond line", "plain"]
    assert note.startswith("x.tsv: 1 row with line breaks inside a sentence, first in line 2;")


def test_a_field_that_is_too_long_is_no_matter_of_quotes_where_these_are_letters(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("text\n" + "word " * 30_000 + "\n")
    columns = Columns(sentence1="text")
    file = DataFile(path=str(path), format="tsv", quotes=False, columns=columns)
    with pytest.raises(InputError, match=r"line 2: .*more than 131,072 characters") as caught:
        read_columns(file, labelled=False, origin="x")
    assert "quote" not in str(caught.value)


def test_blank_lines_of_json_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson"
    path.write_text('\ufeff{"t": "a"}\n\n  \n{"t": "b", "u": 1}', encoding="utf-8")
    columns = Columns(sentence1="t", sentence2="u")
    file = DataFile(path=str(path), format="jsonl", columns=columns)
    found, _ = read_columns(file, labelled=False, origin="x")
    assert found.to_pydict() == {"sentence1": ["a", "b"], "sentence2": ["", "1"], "id": ["0", "1"]}
