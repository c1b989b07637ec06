"""Notes on data that can be read but may not be what the user means."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from trainable.data.check_splits import (
    LEVEL,
    check_splits,
    chi_squared_p_value,
    different_labels,
    ks_p_value,
    overlap,
    unused_labels,
)
from trainable.data.sample import generate_sample
from trainable.data.schema import to_schema
from trainable.tasks import COURSE

SST, STS = COURSE["sst"], COURSE["sts"]
labels = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(
    lambda own: np.array(own, np.float32)
)


@given(labels, labels)
def test_p_values_are_those_of_scipy(first: np.ndarray, second: np.ndarray) -> None:
    table = np.stack([np.bincount(own.astype(int), minlength=5) for own in (first, second)])
    table = table[:, table.sum(0) > 0]
    expected = stats.chi2_contingency(table, correction=False).pvalue
    assert chi_squared_p_value(first, second) == pytest.approx(expected)
    size = len(first) * len(second) / (len(first) + len(second))
    distance = stats.ks_2samp(first, second).statistic
    expected = stats.kstwobign.sf(np.sqrt(size) * distance)
    assert ks_p_value(first, second) == pytest.approx(expected)


def split_at_random(all_labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(seed).permutation(len(all_labels))
    return all_labels[order[:200]], all_labels[order[200:]]


@pytest.mark.parametrize("task", [SST, STS], ids=lambda task: task.name)
def test_files_that_were_cut_at_random_raise_no_alarm(task) -> None:
    rng = np.random.default_rng(0)
    weights = [0.13, 0.26, 0.19, 0.27, 0.15]
    drawn = rng.choice(5, 1000, p=weights).astype(np.float32)
    alarms = sum(bool(different_labels(task, *split_at_random(drawn, n))) for n in range(3000))
    assert alarms <= 10  # three are expected of the first task, and fewer of the second


@pytest.mark.parametrize("task", [SST, STS], ids=lambda task: task.name)
def test_a_file_that_was_sorted_and_cut_raises_the_alarm(task) -> None:
    drawn = np.sort(np.random.default_rng(0).integers(0, 5, 300)).astype(np.float32)
    (note,) = different_labels(task, drawn[:240], drawn[240:])
    assert note.startswith(f"WARNING: {task.name}: the labels of train and dev differ")
    assert "shuffle its rows" in note


def test_the_alarm_gives_both_distributions() -> None:
    train = np.repeat([0, 4], [70, 30]).astype(np.float32)
    dev = np.repeat([0, 4], [89, 11]).astype(np.float32)
    (note,) = different_labels(SST, train, dev)
    assert "chi-squared test, p = 0.0009" in note
    shares = [f"{n} % of 'very negative', {100 - n} % of 'very positive'" for n in (70.0, 89.0)]
    assert f"train has {shares[0]}; dev has {shares[1]}." in note
    assert chi_squared_p_value(train, dev) < LEVEL
    dev = np.repeat([0, 4], [88, 12]).astype(np.float32)
    assert chi_squared_p_value(train, dev) > LEVEL
    assert different_labels(SST, train, dev) == []


def test_the_alarm_gives_quartiles_of_numbers() -> None:
    train, dev = np.linspace(0, 5, 101), np.linspace(0, 2, 101)
    (note,) = different_labels(STS, train.astype(np.float32), dev.astype(np.float32))
    assert "Kolmogorov-Smirnov" in note
    assert "train has mean 2.50, quartiles 1.25, 2.50, 3.75; dev has mean 1.00, quartiles" in note


def test_classes_that_no_train_example_has_are_named() -> None:
    assert unused_labels(SST, np.arange(5, dtype=np.float32)) == []
    (note,) = unused_labels(SST, np.array([0, 1, 1], np.float32))
    unused, used = "'neutral' or 'positive' or 'very positive'", "'very negative' or 'negative'"
    assert note.startswith(f"sst-train: no example is of the class {unused}, all are of {used};")
    assert unused_labels(STS, np.array([0.5, 1.2], np.float32)) == []
    (note,) = unused_labels(STS, np.array([0.5, 1.0], np.float32))
    assert note.startswith("sts-train: no label is above 1, but labels go up to 5")


def dataset(rows: list[tuple[str, str, str]]) -> Dataset:
    names = ("id", "sentence1", "sentence2")
    table = pa.table({name: [row[i] for row in rows] for i, name in enumerate(names)})
    table = table.append_column("label", pa.array([1.0] * len(rows)))
    return to_schema(table, COURSE["para"], "dev", "x")[0]


TRAIN = dataset([("a", "Why not ?", "How ?"), ("b", "Who ?", "When ?"), ("c", "x", "y")])


@pytest.mark.parametrize(
    ("row", "counts"),
    [
        (("z", "Why not ?", "How ?"), "1 with the same text, 0 with the same id"),
        (("z", "why  NOT ?", "how ?"), "1 with the same text, 0 with the same id"),
        (("z", "How ?", "Why not ?"), "1 with the same text, 0 with the same id"),
        (("a", "new", "text"), "0 with the same text, 1 with the same id"),
        (("a", "Why not ?", "How ?"), "1 with the same text, 1 with the same id"),
        (("z", "Why not ?", "When ?"), ""),
        (("z", "Why not ? How ?", ""), ""),
    ],
)
def test_dev_examples_that_are_in_train_are_counted(row: tuple[str, str, str], counts: str) -> None:
    dev = dataset([row if row[2] else (*row[:2], "none"), ("other", "quite", "different")])
    notes = overlap("para", TRAIN, dev, compare_ids=True)
    assert [note.split("; ")[0] for note in notes] == (
        [f"para: 1 of 2 dev examples are in train, too ({counts})"] if counts else []
    )


def test_ids_that_are_numbers_of_rows_are_not_compared() -> None:
    dev = dataset([("a", "new", "text"), ("b", "How ?", "Why not ?")])
    (note,) = overlap("para", TRAIN, dev, compare_ids=False)
    assert note.startswith("para: 1 of 2 dev examples are in train, too (1 with the same text);")


def test_every_task_is_checked() -> None:
    splits = {
        task: {split: own.select(range(50)) for split, own in by_split.items()}
        for task, by_split in generate_sample(0).splits.items()
    }
    assert check_splits(COURSE, splits, compare_ids=COURSE) == ()
    swapped = {task: {**own, "dev": own["train"]} for task, own in splits.items()}
    notes = check_splits(COURSE, swapped, compare_ids=COURSE)
    assert [note.split(":")[0] for note in notes] == list(COURSE)
    assert all("50 of 50 dev examples" in note for note in notes)
