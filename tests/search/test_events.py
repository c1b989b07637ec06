from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.events import EventLog, read_events

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


def without_time(path: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in event.items() if k != "time"} for event in read_events(path)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_events_come_back_in_order(path: Path) -> None:
    log = EventLog(path)
    log.append("search", options={"trials": 2}, rungs=(1, 3))
    log.append("reported", trial=0, metrics={"score": 0.5})
    log.close()
    assert without_time(path) == [
        {"event": "search", "options": {"trials": 2}, "rungs": [1, 3]},
        {"event": "reported", "trial": 0, "metrics": {"score": 0.5}},
    ]
    times = [event["time"] for event in read_events(path)]
    assert times == sorted(times)


def test_an_event_is_in_the_file_before_append_returns(path: Path) -> None:
    log = EventLog(path)
    for number in range(3):
        log.append("reported", trial=number)
        assert len(read_events(path)) == number + 1
    log.close()


def test_a_second_driver_appends(path: Path) -> None:
    for name in ("search", "resumed"):
        log = EventLog(path)
        log.append(name)
        log.close()
    assert [event["event"] for event in read_events(path)] == ["search", "resumed"]


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_torn_last_line_costs_that_event_only(path: Path, cut: int) -> None:
    log = EventLog(path)
    log.append("search")
    log.append("reported", trial=0, text="never read")
    log.close()
    path.write_bytes(path.read_bytes()[:-cut])
    survived = without_time(path)
    # Without its line break alone, the event is whole.
    assert len(survived) == (2 if cut == 1 else 1)
    log = EventLog(path)
    log.append("resumed")
    log.close()
    assert without_time(path) == [*survived, {"event": "resumed"}]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_becomes_null(path: Path, value: float) -> None:
    log = EventLog(path)
    log.append("reported", metrics={"score": value, "all": [value, 1.0]}, other=value)
    log.close()
    assert without_time(path)[0]["metrics"] == {"score": None, "all": [None, 1.0]}
    assert without_time(path)[0]["other"] is None


@given(st.dictionaries(st.text("abc", min_size=1), VALUES, max_size=3))
def test_every_event_is_one_line_of_strict_json(
    tmp_path_factory: pytest.TempPathFactory, fields: dict[str, Any]
) -> None:
    def refuse(name: str) -> None:
        pytest.fail(f"{name} is no JSON")

    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    log = EventLog(path)
    log.append("first", **fields)
    log.append("second")
    log.close()
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b""
    decoded = [json.loads(line, parse_constant=refuse) for line in lines]
    assert [event["event"] for event in decoded] == ["first", "second"]
    assert decoded == read_events(path)
