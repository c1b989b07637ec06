from __future__ import annotations

import json
import math
import random
from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from trainable.component import Choice, Domain, FloatRange, IntRange, Value, domain_from_json

SEEDS = st.integers(0, 2**31 - 1)


def float_range(a: float, b: float, log: bool) -> FloatRange:
    return FloatRange(min(a, b), max(a, b), log)


def int_range(a: int, b: int) -> IntRange:
    return IntRange(min(a, b), max(a, b))


LINEAR = st.builds(float_range, st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.just(False))
LOGARITHMIC = st.builds(float_range, st.floats(1e-9, 1e9), st.floats(1e-9, 1e9), st.just(True))
WHOLE = st.builds(int_range, st.integers(-1000, 1000), st.integers(-1000, 1000))
VALUES = st.one_of(
    st.lists(st.text(max_size=5), min_size=1, max_size=5, unique=True),
    st.lists(st.integers(-1000, 1000), min_size=1, max_size=5, unique=True),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5),
    st.just([False, True]),
)
CHOICES = st.builds(Choice, VALUES.map(tuple))
DOMAINS = st.one_of(LINEAR, LOGARITHMIC, WHOLE, CHOICES)


@given(domain=DOMAINS, seed=SEEDS)
def test_draws_are_contained_and_repeat_themselves(domain: Domain, seed: int) -> None:
    value = domain.draw(random.Random(seed))
    assert domain.contains(value)
    again = domain.draw(random.Random(seed))
    assert (type(again), again) == (type(value), value)


@given(domain=st.one_of(LINEAR, LOGARITHMIC), seed=SEEDS)
def test_draws_of_a_float_range_are_floats_within_its_bounds(domain: FloatRange, seed: int) -> None:
    value = domain.draw(random.Random(seed))
    assert type(value) is float
    assert domain.low <= value <= domain.high


@given(domain=WHOLE, seed=SEEDS)
def test_draws_of_an_int_range_are_whole_numbers_within_its_bounds(
    domain: IntRange, seed: int
) -> None:
    value = domain.draw(random.Random(seed))
    assert type(value) is int
    assert domain.low <= value <= domain.high


@given(domain=DOMAINS)
def test_a_domain_is_read_back_from_json_as_it_was(domain: Domain) -> None:
    fields = domain.to_json()
    assert json.loads(json.dumps(fields)) == fields
    found = domain_from_json(json.loads(json.dumps(fields)))
    assert (type(found), found) == (type(domain), domain)


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        (
            FloatRange(1e-5, 1e-3, log=True),
            '{"type": "float", "low": 1e-05, "high": 0.001, "log": true}',
        ),
        (IntRange(1, 4), '{"type": "int", "low": 1, "high": 4}'),
        (Choice(("cls", "mean")), '{"type": "categorical", "values": ["cls", "mean"]}'),
    ],
)
def test_logs_of_earlier_searches_have_this_json(domain: Domain, text: str) -> None:
    assert json.dumps(domain.to_json()) == text
    assert domain_from_json(json.loads(text)) == domain


def test_a_log_with_parents_beside_the_range_is_read() -> None:
    fields = {"type": "int", "low": 1, "high": 4, "parents": [["sst.pooling", "layers"]]}
    assert domain_from_json(fields) == IntRange(1, 4)


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(ValueError, match="'complex': known are float, int and categorical"):
        domain_from_json({"type": "complex", "low": 0, "high": 1})


@given(domain=st.one_of(LINEAR, LOGARITHMIC))
def test_bounds_of_a_float_range_are_inside_and_what_is_beyond_is_not(domain: FloatRange) -> None:
    assert domain.contains(domain.low)
    assert domain.contains(domain.high)
    assert not domain.contains(math.nextafter(domain.low, -math.inf))
    assert not domain.contains(math.nextafter(domain.high, math.inf))


@given(domain=WHOLE)
def test_bounds_of_an_int_range_are_inside_and_what_is_beyond_is_not(domain: IntRange) -> None:
    assert domain.contains(domain.low)
    assert domain.contains(float(domain.high))
    assert not domain.contains(domain.low - 1)
    assert not domain.contains(domain.high + 1)
    assert not domain.contains(domain.low + 0.5)


@given(domain=CHOICES, other=st.text(max_size=5))
def test_a_choice_contains_its_values_alone(domain: Choice, other: str) -> None:
    assume(other not in domain.values)
    assert all(domain.contains(value) for value in domain.values)
    assert not domain.contains(other)


@pytest.mark.parametrize("value", ["0.5", "joint", math.nan, math.inf, -math.inf])
def test_what_is_no_number_of_a_range_is_not_in_it(value: Value) -> None:
    assert not FloatRange(0.0, 1.0).contains(value)
    assert not IntRange(0, 1).contains(value)


def test_draws_are_spread_evenly() -> None:
    """On the range's own scale, by a Kolmogorov-Smirnov test of a fixed seed."""
    generator = random.Random(0)
    linear = [FloatRange(2.0, 5.0).draw(generator) for _ in range(1000)]
    assert stats.kstest(linear, stats.uniform(2.0, 3.0).cdf).pvalue > 0.01
    logarithmic = [FloatRange(1e-5, 1e-2, log=True).draw(generator) for _ in range(1000)]
    assert stats.kstest(logarithmic, stats.loguniform(1e-5, 1e-2).cdf).pvalue > 0.01
    for domain in (IntRange(3, 5), Choice(("a", "b", "c"))):
        counts = Counter(domain.draw(generator) for _ in range(900))
        assert len(counts) == 3
        assert stats.chisquare(list(counts.values())).pvalue > 0.01
