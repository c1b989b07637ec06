"""A dev set that is cut from train: a part of it, stratified, stable."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from trainable.data.check_splits import overlap
from trainable.data.cut_dev import cut_dev
from trainable.data.schema import to_schema
from trainable.errors import InputError
from trainable.tasks import Task

CLASSES = Task(name="mood", classes=("bad", "so so", "good"))
NUMBERS = Task(name="likeness", high=5)
Row = tuple[str, float]  # text, label


def dataset(task: Task, rows: list[Row]) -> Dataset:
    table = pa.table(
        {
            "id": [str(number) for number in range(len(rows))],
            "sentence1": [text for text, _ in rows],
            "label": [label for _, label in rows],
        }
    )
    return to_schema(table, task, "train", "a test")[0]


def texts(part: Dataset) -> list[str]:
    found: list[str] = part["sentence1"][:]
    return found


many = st.lists(st.tuples(st.text("abc", min_size=1, max_size=4), st.integers(0, 2)), min_size=12)


@pytest.mark.slow
@settings(max_examples=20)
@given(many, st.floats(0.05, 0.5), st.randoms(use_true_random=False))
def test_the_parts_make_up_the_whole_and_share_no_text(
    rows: list[Row], share: float, order: random.Random
) -> None:
    whole = dataset(CLASSES, rows)
    try:
        train, dev, _ = cut_dev(CLASSES, whole, share)
    except InputError:
        return  # few texts
    assert sorted([*train["id"][:], *dev["id"][:]]) == sorted(whole["id"][:])
    assert not set(texts(train)) & set(texts(dev))
    assert overlap("mood", train, dev, compare_ids=True) == []
    order.shuffle(rows)
    assert sorted(texts(cut_dev(CLASSES, dataset(CLASSES, rows), share)[1])) == sorted(texts(dev))


def test_every_class_gives_its_share() -> None:
    rows = [(f"text {n}", float(n % 10 > 1) + float(n % 10 > 8)) for n in range(1000)]
    train, dev, note = cut_dev(CLASSES, dataset(CLASSES, rows), 0.15)
    assert np.bincount(np.array(dev["label"][:], int)).tolist() == [30, 105, 15]
    assert len(train) == 850
    assert note == (
        "mood: no dev set was given; 150 of the 1,000 train examples are its dev set (15.0%), "
        "chosen within each class by a hash of their text"
    )


def test_a_rare_class_is_on_both_sides() -> None:
    rows = [(f"text {n}", 2.0 if n < 2 else float(n % 2)) for n in range(200)]
    train, dev, _ = cut_dev(CLASSES, dataset(CLASSES, rows), 0.1)
    assert train["label"][:].count(2.0) == dev["label"][:].count(2.0) == 1


def test_numbers_give_their_share_of_each_tenth() -> None:
    labels = np.sort(np.random.default_rng(0).beta(1, 3, 1000) * 5).astype(np.float32)
    rows = [(f"text {n}", float(label)) for n, label in enumerate(labels)]
    _, dev, note = cut_dev(NUMBERS, dataset(NUMBERS, rows), 0.2)
    tenths = np.searchsorted(labels[::100], np.array(dev["label"][:]), side="right")
    assert np.bincount(tenths)[1:].tolist() == [20] * 10
    assert "within each tenth of the labels" in note


def test_few_examples_change_sides_when_the_file_grows() -> None:
    rows = [(f"text {n}", float(n % 3)) for n in range(1100)]
    before = set(texts(cut_dev(CLASSES, dataset(CLASSES, rows[:1000]), 0.1)[1]))
    after = set(texts(cut_dev(CLASSES, dataset(CLASSES, rows), 0.1)[1]))
    old = {text for text, _ in rows[:1000]}
    assert len(before ^ (after & old)) <= 15


def test_the_hash_is_frozen() -> None:
    # Another hash would train on examples that earlier results were scored on.
    rows = [(f"text {n}", float(n % 2)) for n in range(40)]
    assert texts(cut_dev(CLASSES, dataset(CLASSES, rows), 0.1)[1]) == [
        "text 0",
        "text 17",
        "text 32",
        "text 33",
    ]


@pytest.mark.parametrize("rows", [[("a", 0.0)], [("a", 0.0), ("b", 1.0)], [("a", 0.0), ("a", 1.0)]])
def test_too_few_examples_are_refused(rows: list[Row]) -> None:
    with pytest.raises(InputError, match="too few to cut a dev set from; give a dev file"):
        cut_dev(CLASSES, dataset(CLASSES, rows), 0.1)
