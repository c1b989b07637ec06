from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainable.seeds import ExampleOrder, ReplacementOrder, derive

ORDERS = pytest.mark.parametrize("order_type", [ExampleOrder, ReplacementOrder])


def test_derived_seeds_are_those_of_every_machine() -> None:
    first_bytes = 0xD2FD66AF947631B7  # printf 0:model | sha256sum
    assert derive(0, "model") == first_bytes >> 1
    assert derive(0, "model") != derive(1, "model")
    assert derive(0, "model") != derive(0, "batch_order")


@given(st.integers(0, 2**31), st.text(max_size=5))
def test_derived_seeds_fit_a_generator(seed: int, name: str) -> None:
    torch.Generator().manual_seed(derive(seed, name))
    assert 0 <= derive(seed, name) < 2**63


@given(st.integers(1, 20), st.lists(st.integers(1, 30), max_size=10), st.integers(0, 100))
def test_each_pass_has_every_example_once(n: int, sizes: list[int], seed: int) -> None:
    order = ExampleOrder(n, seed)
    taken = [number for size in sizes for number in order.take(size).tolist()]
    assert len(taken) == sum(sizes) == order.position
    for start in range(0, len(taken) - n + 1, n):
        assert sorted(taken[start : start + n]) == list(range(n))


@ORDERS
@given(st.integers(1, 20), st.integers(0, 60), st.integers(1, 30))
def test_order_goes_on_from_its_position(
    order_type: type[ExampleOrder], n: int, position: int, size: int
) -> None:
    walked = order_type(n, 7)
    if position:
        walked.take(position)
    jumped = order_type(n, 7)
    jumped.position = position
    assert torch.equal(walked.take(size), jumped.take(size))


@ORDERS
def test_passes_and_seeds_have_orders_of_their_own(order_type: type[ExampleOrder]) -> None:
    order = order_type(50, 0)
    first, second = order.take(50), order.take(50)
    assert not torch.equal(first, second)
    assert not torch.equal(first, order_type(50, 1).take(50))


def test_draws_with_replacement_are_uniform_and_independent() -> None:
    n, n_passes = 10, 2000
    passes = ReplacementOrder(n, 0).take(n * n_passes).view(n_passes, n)
    counts = passes.flatten().bincount(minlength=n).double()
    assert (counts - n_passes).abs().max() < 5 * (n_passes * (1 - 1 / n)) ** 0.5
    # Two draws of one pass are equal as often as any two, 1 / n; without replacement never.
    equal = (passes[:, 0] == passes[:, 1]).double().sum()
    assert abs(equal - n_passes / n) < 5 * (n_passes / n * (1 - 1 / n)) ** 0.5
