from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainable.model.dropout import Dropout, keep_mask


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("threshold", [1, 26, 128, 255])
def test_elements_are_kept_at_the_stated_rate_at_every_byte_of_a_word(threshold: int) -> None:
    n = 200_000
    kept = keep_mask(torch.Size([n]), threshold, generator()).double()
    expected = 1 - threshold / 256
    for sample in (kept, *kept.view(-1, 8).T):
        deviation = math.sqrt(expected * (1 - expected) / len(sample))
        assert abs(float(sample.mean()) - expected) < 5 * deviation


def test_neighbours_are_dropped_independently() -> None:
    kept = keep_mask(torch.Size([200_000]), 128, generator()).double()
    for lag in (1, 2, 4, 8, 16):
        both = float((kept[:-lag] * kept[lag:]).mean())
        assert abs(both - 0.25) < 5 * math.sqrt(0.25 * 0.75 / len(kept))


@given(st.integers(1, 40), st.integers(0, 256))
def test_mask_has_the_shape_asked_for(n: int, threshold: int) -> None:
    mask = keep_mask(torch.Size([n, 3]), threshold, generator())
    assert mask.shape == (n, 3)
    assert mask.dtype == torch.bool


@pytest.mark.parametrize("p", [0.1, 0.3, 0.5])
def test_expectation_is_the_input(p: float) -> None:
    y = Dropout(p, generator())(torch.ones(400_000))
    assert abs(float(y.double().mean()) - 1) < 5 * math.sqrt(p / (1 - p) / len(y))
    assert len(y.unique()) == 2


def test_gradient_is_scaled_where_kept_and_zero_where_dropped() -> None:
    x = torch.ones(100, requires_grad=True)
    y = Dropout(0.5, generator())(x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, y)


def test_equal_generators_give_equal_bits_and_the_next_draw_differs() -> None:
    x = torch.ones(1000)
    first, second = Dropout(0.5, generator(1)), Dropout(0.5, generator(1))
    torch.manual_seed(2)  # the global generator has no say
    drawn = first(x)
    torch.manual_seed(3)
    assert torch.equal(drawn, second(x))
    assert not torch.equal(drawn, first(x))
    assert not torch.equal(drawn, Dropout(0.5, generator(2))(x))


def test_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    Dropout(0.5, generator())(torch.ones(10))
    assert torch.equal(torch.get_rng_state(), before)


def test_no_dropout_is_the_identity_and_draws_nothing() -> None:
    x, source = torch.randn(10), generator()
    before = source.get_state()
    assert Dropout(0.0, source)(x) is x
    assert Dropout(0.5, source).eval()(x) is x
    assert torch.equal(source.get_state(), before)


@pytest.mark.parametrize("p", [0.0, 0.1, 0.99, 0.997, 0.999, 1 - 1e-9])
def test_every_probability_below_one_gives_numbers(p: float) -> None:
    assert torch.isfinite(Dropout(p, generator())(torch.ones(1000))).all()


@pytest.mark.parametrize(
    ("p", "scale"),
    [(0.5, 2), (0.1, 256 / 230), (0.99, 256 / 3), (0.997, 256), (0.999, 256), (1 - 1e-9, 256)],
)
def test_what_is_kept_is_scaled_by_the_inverse_of_the_rounded_probability(
    p: float, scale: float
) -> None:
    kept = Dropout(p, generator())(torch.ones(10_000, dtype=torch.float64)).unique().tolist()
    assert kept == [0.0, scale]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_dtype_is_kept(dtype: torch.dtype) -> None:
    assert Dropout(0.1, generator())(torch.ones(10, dtype=dtype)).dtype == dtype
