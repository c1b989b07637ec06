from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.planning.amounts import (
    budget_tokens,
    clock,
    numbers,
    price_per_hour,
    seconds,
    span,
)
from trainable.errors import InputError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("2h", 7200),
        ("1.5h", 5400),
        ("0.5s", 0.5),
        ("1h30m", 5400),
        ("1h30m15s", 5415),
        ("2m30s", 150),
        ("0h1m", 60),
        ("87600h", 10 * 365 * 24 * 3600),
    ],
)
def test_seconds_of_a_time_limit(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (75, "1:15"), (3700, "1:01:40")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "30",
            "m",
            "-1m",
            "0h",
            "0.0s",
            "1d",
            "30 m",
            "1e2s",
            "1h30",
            "30m1h",
            "1h1h",
            "0h0m",
        ),
        *("87600h1s", "9" * 39 + "h"),
    ],
)
def test_a_wrong_time_limit_is_refused_by_value(text: str) -> None:
    with pytest.raises(InputError, match=r"--time-limit .* such as 30m") as caught:
        seconds(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("800000", 800_000),
        ("800_000", 800_000),
        ("1_000_000", 1_000_000),
        ("3ep", 3000),
        ("0.5ep", 500),
        ("2.5ep", 2500),
        ("1e6", 1_000_000),
        ("8.5e5", 850_000),
        ("600k", 600_000),
        ("600K", 600_000),
        ("1.5M", 1_500_000),
        ("1.5m", 1_500_000),
        ("1e3k", 1_000_000),
        ("1", 1),
        ("1e15", 10**15),
        ("1000000000000ep", 10**15),
    ],
)
def test_tokens_of_a_budget(text: str, expected: int) -> None:
    assert budget_tokens(text, tokens_per_epoch=1000) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "0",
            "0ep",
            "0.0001ep",
            "-5",
            "ep",
            "3 ep",
            "3epochs",
            "nan",
            "_1",
            "k",
            "1e",
            "1e-6",
        ),
        *("1ke6", "1G", "1kep", "1000000000000001", "1.1e15", "1e16", "1e400", "1000000000001ep"),
    ],
)
def test_a_wrong_budget_is_refused_by_value(text: str) -> None:
    with pytest.raises(InputError, match=r"--budget .*one is 1,000 tokens here") as caught:
        budget_tokens(text, tokens_per_epoch=1000)
    assert repr(text) in str(caught.value)


@given(st.integers(1, 10**12), st.integers(1, 10**7))
def test_a_number_of_tokens_is_taken_as_it_is(tokens: int, tokens_per_epoch: int) -> None:
    assert budget_tokens(str(tokens), tokens_per_epoch) == tokens
    assert budget_tokens(f"{tokens:_}", tokens_per_epoch) == tokens


@pytest.mark.parametrize("refused", [seconds, lambda text: budget_tokens(text, 1000)])
@pytest.mark.parametrize("end", ["", "h", "ep"])
def test_a_number_of_400_digits_is_refused_in_a_short_line(
    refused: Callable[[str], float], end: str
) -> None:
    with pytest.raises(InputError, match=r"'9{40}'\.\.\.: give") as caught:
        refused("9" * 400 + end)
    assert len(str(caught.value)) < 250
    assert "\n" not in str(caught.value)


@given(st.text("0123456789.e_kKmMp", max_size=8), st.integers(1, 10**7))
def test_any_text_is_a_budget_or_refused(text: str, tokens_per_epoch: int) -> None:
    try:
        assert budget_tokens(text, tokens_per_epoch) >= 1
    except InputError:
        return


@given(st.text("0123456789.hms", max_size=8))
def test_any_text_is_a_time_limit_or_refused(text: str) -> None:
    try:
        assert 0 < seconds(text) < math.inf
    except InputError:
        return


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (40, 90, "40 - 90 s"),
        (60.2, 59.9, "60 s"),
        (150, 599, "150 - 599 s"),
        (150, 660, "2 - 11 min"),
        (720, 1140, "12 - 19 min"),
        (3600, 11_000, "1.0 - 3.1 h"),
    ],
)
def test_an_interval_of_time(low: float, high: float, text: str) -> None:
    assert span(low, high) == text


def test_an_interval_of_numbers_has_two_digits() -> None:
    assert numbers(0.314, 0.428) == "0.31 - 0.43"
    assert numbers(9.96, 1234.5) == "10 - 1,234"
    assert numbers(1.0, 1.001) == "1"


@pytest.mark.parametrize(
    ("text", "price"), [("1.2/h", 1.2), ("1.2", 1.2), ("3/h", 3), ("0.05", 0.05)]
)
def test_a_price(text: str, price: float) -> None:
    assert price_per_hour(text) == price


@pytest.mark.parametrize(
    "text", ["0", "0/h", "-1", "1,2", "1.2/min", "$1", "nan", "1e7", "2000000", ""]
)
def test_what_is_no_price_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError, match=r"--price .*such as 1\.2/h or 1\.2$") as caught:
        price_per_hour(text)
    assert "\n" not in str(caught.value)
