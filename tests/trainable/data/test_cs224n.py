"""The course's files: what is read, what is dropped and said, what is refused."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainable.data.cs224n import load_cs224n
from trainable.data.sources import Cs224nData
from trainable.errors import InputError

SST = ("", "id", "sentence", "sentiment")
QUORA = ("", "id", "sentence1", "sentence2", "is_duplicate")


@pytest.mark.slow
def test_every_split_has_the_schema(write_course: Any) -> None:
    folder = write_course(sts_test_student=[QUORA[:4], ("0", "t9", "One.", "Two.")])
    examples = Cs224nData(dir=str(folder)).load()
    for task, by_name in examples.splits.items():
        for split, dataset in by_name.items():
            types = {name: feature.dtype for name, feature in dataset.features.items()}
            expected = dict.fromkeys(("id", "sentence1", "sentence2"), "string")
            assert types == expected | ({} if split == "test" else {"label": "float32"})
        assert set(by_name) == {"train", "dev"} | ({"test"} if task == "sts" else set())
    assert examples.notes == ()


def test_words_that_look_like_missing_values_stay_text(write_course: Any) -> None:
    splits = load_cs224n(write_course()).splits
    assert splits["sst"]["train"]["sentence1"][:3] == ["A fine film .", "null", 'He said "no" .']
    assert splits["sst"]["train"]["sentence2"][:] == [""] * 5
    assert splits["sst"]["dev"]["sentence1"][1] == "n/a"
    assert splits["para"]["train"]["sentence1"][1] == "NaN"
    assert splits["para"]["dev"][1] == {
        "id": "q2-dev",
        "sentence1": "NA",
        "sentence2": "None",
        "label": 0.0,
    }


def test_quoted_line_breaks_and_tabs_stay_inside_a_sentence(write_course: Any) -> None:
    text = 'a\tb\n"c"'
    content = '\tid\tsentence\tsentiment\n0\tx\t"a\tb\n""c"""\t3\n'
    examples = load_cs224n(write_course(ids_sst_dev=content))
    assert examples.splits["sst"]["dev"][0] == {
        "id": "x",
        "sentence1": text,
        "sentence2": "",
        "label": 3.0,
    }
    assert examples.notes == (
        "ids-sst-dev.csv: 1 row with line breaks inside a sentence, first in line 2; check that "
        "they are whole",
    )


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_byte_order_mark_and_ends_of_lines_of_windows_are_no_text(
    end: str, write_course: Any
) -> None:
    content = "\ufeffid\tsentence\tsentiment\na\tGood .\t3\n\nb\tBad .\t1"
    examples = load_cs224n(write_course(ids_sst_dev=content.replace("\n", end)))
    dev = examples.splits["sst"]["dev"]
    assert dev["id"][:] == ["a", "b"]
    assert dev["sentence1"][:] == ["Good .", "Bad ."]
    assert dev["label"][:] == [3.0, 1.0]
    assert examples.notes == ()


def test_a_row_that_ends_early_has_no_label(write_course: Any) -> None:
    content = "\tid\tsentence\tsentiment\n0\ta\tGood .\t3\n1\tb\tBad .\n2\tc\n"
    examples = load_cs224n(write_course(ids_sst_dev=content))
    assert examples.splits["sst"]["dev"]["id"][:] == ["a"]
    assert examples.notes == ("ids-sst-dev.csv: 2 rows without a label dropped",)


def test_columns_are_found_by_name(write_course: Any) -> None:
    rows = [("0", "", "sentence", "id"), ("1", "0.0", "Good .", "a")]
    test = load_cs224n(write_course(ids_sst_test_student=rows)).splits["sst"]["test"]
    assert test[0] == {"id": "a", "sentence1": "Good .", "sentence2": ""}


def test_rows_without_label_text_or_novelty_are_dropped_and_said(write_course: Any) -> None:
    rows = [
        QUORA,
        ("0", "a", "Why?", "How?", "1.0"),
        ("1", "b", "Why?", "", ""),
        ("2", "c", "Why?", "", "0.0"),
        ("3", "a", "Why?", "How?", "1.0"),
        ("4", "d", "Why?", "Who?", "0.0"),
    ]
    examples = load_cs224n(write_course(quora_train=rows))
    assert examples.splits["para"]["train"]["id"][:] == ["a", "d"]
    assert examples.notes == (
        "quora-train.csv: 1 row without a label dropped",
        "quora-train.csv: 1 row without one of the sentences dropped",
        "quora-train.csv: 1 row that repeated an id dropped",
    )


def test_a_quora_test_pair_without_text_stays(write_course: Any) -> None:
    rows = [QUORA[:4], ("0", "a", "Why?", "")]
    test = load_cs224n(write_course(quora_test_student=rows)).splits["para"]["test"]
    assert test["id"][:] == ["a"]


def test_a_dev_example_with_the_id_of_a_train_example_is_counted(write_course: Any) -> None:
    rows = [QUORA, ("0", "q1-train", "Who?", "Which person?", "1.0"), ("1", "d", "a", "b", "0.0")]
    (note,) = load_cs224n(write_course(quora_dev=rows)).notes
    assert note.startswith("para: 1 of 2 dev examples are in train, too (0 with the same text, 1 ")


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no folder .*nowhere"):
        load_cs224n(tmp_path / "nowhere")


def test_missing_files_are_named_with_those_found(write_course: Any) -> None:
    folder = write_course(sts_dev=None, quora_train=None)
    with pytest.raises(InputError, match=r"lacks quora-train\.csv.*sts-dev\.csv.*found: ids-sst"):
        load_cs224n(folder)


REFUSED = {
    "commas": ("id,sentence,sentiment\n0,a,1\n", "is it comma-separated"),
    "two columns of a name": ("id\tid\tsentence\tsentiment\n0\t0\ta\t1\n", "two columns 'id'"),
    "quote never closed in the last line": ('\tid\tsentence\tsentiment\n0\ta\tb\t"1', "in line 2"),
    "quote never closed in the header": ('\tid\tsentence\t"sentiment\n0\ta\tb\t1\n', "in line 1"),
    "column missing": ([("", "id", "sentence", "sentimnt"), ("0", "a", "b", "1")], "did you mean"),
    "no header": ("", "is empty; expected a header with id, sentence, sentiment"),
    "no rows": ([SST], "a header but no rows"),
    "not UTF-8": (b"\tid\tsentence\tsentiment\n0\ta\t\xff\xfe\t1\n", "UTF-8"),
    "label no number": ([SST, ("0", "a", "b", "1"), ("1", "c", "d", "x")], "data row 2 is 'x'"),
    "label out of range": ([SST, ("0", "a", "b", "5")], "is '5'.*integer from 0 to 4"),
    "label no integer": ([SST, ("0", "a", "b", "1.5")], "is '1.5'.*integer from 0 to 4"),
    "label NaN": ([SST, ("0", "a", "b", "nan")], "is 'nan'"),
    "only unlabelled": ([SST, ("0", "a", "b", "")], "no usable rows"),
    "empty sentence": ([SST, ("0", "a", " ", "1")], "sentence1 is empty in 1 rows.*data row 1"),
    "empty id": ([SST, ("0", "", "b", "1")], "id is empty"),
    "two rows for an id": (
        [SST, ("0", "a", "b", "1"), ("1", "a", "c", "1")],
        "'a' stands for two different examples, the second in data row 2",
    ),
    "bare tab in a sentence": ([SST, ("0", "a", "b", "c", "1")], "data row 1 is 'c'"),
    "header without the index": ([SST[1:], ("0", "a", "b", "1")], "data row 1 is 'b'"),
    "quote never closed": ('\tid\tsentence\tsentiment\n0\ta\t"b\t1\n', "cannot read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_file_is_refused_by_name(case: str, write_course: Any) -> None:
    content, message = REFUSED[case]
    with pytest.raises(InputError, match=message) as caught:
        load_cs224n(write_course(ids_sst_train=content))
    assert "ids-sst-train.csv" in str(caught.value)


def open_quote(first: int, last: int, column: int = 2, to_column: int = 2) -> str:
    """22 rows; a quote opens a field of row `first`, and one closes a field of row `last`."""
    rows = [[str(n), f"id{n}", f"a sentence {n}", str(n % 5)] for n in range(22)]
    rows[first][column] = f'"{rows[first][column]}'
    rows[last][to_column] = f'{rows[last][to_column]}"'
    return "".join("\t".join(row) + "\n" for row in [list(SST), *rows])


@pytest.mark.parametrize(
    ("first", "last", "column", "to_column"),
    [(5, 15, 2, 2), (5, 6, 2, 2), (0, 21, 1, 2), (5, 15, 2, 1), (3, 4, 1, 3)],
)
def test_rows_that_an_open_quote_swallows_are_not_lost(
    first: int, last: int, column: int, to_column: int, write_course: Any
) -> None:
    content = open_quote(first, last, column, to_column)
    with pytest.raises(InputError, match=rf"lines {first + 2} to {last + 2} are one row") as caught:
        load_cs224n(write_course(ids_sst_train=content))
    assert "ids-sst-train.csv" in str(caught.value)


def test_blank_lines_between_swallowed_rows_do_not_hide_them(write_course: Any) -> None:
    content = open_quote(5, 15).replace("\n9\t", "\n\n\n\n\n9\t")
    with pytest.raises(InputError, match="lines 7 to 21 are one row"):
        load_cs224n(write_course(ids_sst_train=content))


def test_rows_with_too_many_fields_are_counted(write_course: Any) -> None:
    rows = [SST, ("0", "a", "b", "1"), ("1", "c", "d", "1", "2"), ("2", "e", "f", "1", "")]
    notes = load_cs224n(write_course(ids_sst_dev=rows)).notes
    assert any("1 row with more fields than the header" in note for note in notes)
    assert any("first in line 3" in note for note in notes)


@pytest.mark.parametrize("names", [("run1", "run2", "run*", "run?"), ("b1", "b[1]"), ("a[1]",)])
def test_a_folder_s_name_is_no_pattern(
    names: tuple[str, ...], write_course: Any, tmp_path: Path
) -> None:
    for number, name in enumerate(names):
        rows = [SST, *((str(label), f"{name}-{label}", "word", str(label)) for label in range(5))]
        rows += [("5", f"extra{n}", f"{name} {n}", "1") for n in range(number)]
        write_course(ids_sst_train=rows).rename(tmp_path / name)
    for number, name in enumerate(names):
        found = Cs224nData(dir=str(tmp_path / name)).load().splits["sst"]["train"]["id"][:]
        assert found[0] == f"{name}-0"
        assert len(found) == 5 + number


@pytest.mark.parametrize("name", ["a::b", "zip:", "hf:", "~x", "%41", "a b", "s3:"])
def test_a_folder_s_name_is_no_address(name: str, write_course: Any, tmp_path: Path) -> None:
    write_course().rename(tmp_path / name)
    assert len(Cs224nData(dir=str(tmp_path / name)).load().splits["sst"]["train"]) == 5


def test_a_file_that_is_replaced_with_the_same_time_is_read_again(write_course: Any) -> None:
    folder = write_course()
    path = folder / "ids-sst-train.csv"
    before, status = load_cs224n(folder), path.stat()
    path.write_bytes(path.read_bytes().replace(b"fine", b"poor"))  # the same size
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = load_cs224n(folder)
    assert after.splits["sst"]["train"]["sentence1"][0] == "A poor film ."
    assert after.fingerprint != before.fingerprint


def spoil_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere.csv")


def spoil_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def spoil_long_field(path: Path) -> None:
    header = path.read_text().splitlines()[0]
    path.write_text(header + "\n0\ta\t" + "x" * 131_073 + "\t1\n")


def spoil_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_link, r"cannot read .* \(a link to nowhere\.csv\): No such file"),
        (spoil_loop, r"cannot read .* \(a link to .*\): Too many levels"),
        (spoil_folder, "cannot read .*: Is a directory; check"),
        (spoil_long_field, "in the row from line 2: field larger than field limit"),
    ],
)
@pytest.mark.parametrize("name", ["ids-sst-train", "quora-test-student"])
def test_a_file_that_cannot_be_read_is_an_input_error(
    spoil: Callable[[Path], None], message: str, name: str, write_course: Any
) -> None:
    folder = write_course(quora_test_student=[QUORA[:4], ("0", "a", "b", "c")])
    spoil(folder / f"{name}.csv")
    with pytest.raises(InputError, match=message) as caught:
        load_cs224n(folder)
    assert f"{name}.csv" in str(caught.value)


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "I/O")])
def test_a_file_that_may_not_be_read_is_an_input_error(
    error: OSError, write_course: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests may run as root, who may read all."""
    folder = write_course()

    real_open = Path.open

    def refuse(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self.is_relative_to(folder):
            raise error
        return real_open(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=rf"cannot read .*\.csv: {error.strerror}; check"):
        load_cs224n(folder)
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(InputError, match=rf"cannot read .*course: {error.strerror}; check"):
        load_cs224n(folder)


def test_an_unknown_user_s_home_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"~nobody-here/data.*without ~"):
        Cs224nData(dir="~nobody-here/data").load()


def test_similarity_beyond_five_is_refused(write_course: Any) -> None:
    rows = [(*QUORA[:4], "similarity"), ("0", "a", "b", "c", "5.2")]
    with pytest.raises(InputError, match=r"sts-dev\.csv.*'5\.2'.*a number from 0 to 5"):
        load_cs224n(write_course(sts_dev=rows))


@pytest.mark.slow
def test_fingerprint_follows_the_contents(write_course: Any, tmp_path: Path) -> None:
    first = load_cs224n(write_course())
    (tmp_path / "course").rename(tmp_path / "moved")
    assert load_cs224n(tmp_path / "moved").fingerprint == first.fingerprint
    changed = [SST, ("0", "s1-dev", "A fine film .", "3")]
    assert load_cs224n(write_course(ids_sst_dev=changed)).fingerprint != first.fingerprint


@pytest.mark.slow
def test_real_files_are_read_as_the_csv_module_reads_them(real_course: Path) -> None:
    examples = load_cs224n(real_course)
    for name, task, split in (
        ("ids-sst-train", "sst", "train"),
        ("quora-train", "para", "train"),
        ("quora-dev", "para", "dev"),
        ("sts-test-student", "sts", "test"),
    ):
        with (real_course / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines, delimiter="\t"))
        label = {"sst": "sentiment", "para": "is_duplicate"}.get(task)
        rows = [row for row in rows if label is None or row[label]]
        dataset = examples.splits[task][split]  # type: ignore[index]
        first = "sentence" if task == "sst" else "sentence1"
        assert dataset["id"][:] == [row["id"] for row in rows]
        assert dataset["sentence1"][:] == [row[first].strip() for row in rows]
        if label:
            assert dataset["label"][:] == [float(row[label]) for row in rows]
    assert "quora-train.csv: 1 row without a label dropped" in examples.notes
    assert "quora-dev.csv: 1 row without a label dropped" in examples.notes
