"""The halves of dev: stable, disjoint, independent of the order of the file."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainable.data.sentences import Sentences, TaskSplit
from trainable.data.split import is_confirm, split_dev, stratified_part
from trainable.errors import InputError
from trainable.tasks import COURSE


def dev_of(ids: list[str]) -> TaskSplit:
    tokens = Sentences(torch.arange(len(ids)).int(), torch.arange(len(ids) + 1))
    return TaskSplit(tuple(ids), tokens, None, torch.arange(len(ids)).float())


def test_hash_is_frozen() -> None:
    # Another hash would show the scheduler examples that published reports call unseen.
    assert [is_confirm("sst", str(i)) for i in range(8)] == [
        False,
        False,
        True,
        True,
        False,
        True,
        False,
        True,
    ]
    assert [is_confirm("sts", str(i)) for i in range(8)] == [
        False,
        True,
        True,
        False,
        False,
        False,
        False,
        True,
    ]


def test_halves_are_about_equal() -> None:
    select, confirm = split_dev(COURSE["para"], dev_of([f"id{i}" for i in range(2000)]))
    assert len(select) + len(confirm) == 2000
    assert 900 < len(confirm) < 1100


@given(st.permutations([f"x{i}" for i in range(30)]))
def test_halves_do_not_depend_on_the_order_of_the_file(ids: list[str]) -> None:
    select, confirm = split_dev(COURSE["sst"], dev_of(ids))
    assert set(confirm.ids) == {key for key in ids if is_confirm("sst", key)}
    assert set(select.ids) == set(ids) - set(confirm.ids)
    assert select.labels is not None
    assert [ids[int(label)] for label in select.labels] == list(select.ids)


@pytest.mark.parametrize(("confirm", "name"), [(True, "select"), (False, "confirm")])
def test_an_empty_half_is_refused(confirm: bool, name: str) -> None:
    ids = [str(i) for i in range(40) if is_confirm("sst", str(i)) == confirm]
    with pytest.raises(InputError, match=f"SST sentiment: none of the .* into the {name} half"):
        split_dev(COURSE["sst"], dev_of(ids))


def test_a_part_is_frozen_so_that_resumed_searches_compare_the_same_examples() -> None:
    ids = [str(i) for i in range(12)]
    assert stratified_part("sst", ids, torch.arange(12) % 3, 6).tolist() == [1, 4, 5, 6, 9, 11]


@given(st.permutations(range(60)), st.integers(1, 80))
def test_a_part_keeps_the_shares_of_classes_in_any_order_of_the_file(
    order: list[int], n: int
) -> None:
    ids, labels = [f"x{i}" for i in order], torch.tensor([i % 10 // 7 for i in order]).float()
    part = stratified_part("para", ids, labels, n)
    assert part.tolist() == sorted(set(part.tolist()))
    assert len(part) == min(n, 60)
    in_order = stratified_part(
        "para", [f"x{i}" for i in range(60)], labels[torch.tensor(order).argsort()], n
    )
    assert {order[place] for place in part} == set(in_order.tolist())
    assert abs(float(labels[part].sum()) - 0.3 * len(part)) <= 1


@given(st.lists(st.floats(0, 5, width=32), min_size=20, max_size=60))
def test_a_part_keeps_the_quantiles_of_numbers(values: list[float]) -> None:
    labels = torch.tensor(values)
    part = stratified_part("sts", [str(i) for i in range(len(values))], labels, 10)
    ranks = torch.tensor([(labels.sort().values < v).sum() for v in labels[part].sort().values])
    assert all(rank <= (i + 1) * len(values) / 10 for i, rank in enumerate(ranks.tolist()))
