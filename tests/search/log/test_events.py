from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.log.events import Event, EventLog, new_event, read_events

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)
FIELDS = st.dictionaries(st.text("abc", min_size=1), VALUES, max_size=3)


def write(path: Path, *events: Event) -> None:
    log = EventLog(path)
    for event in events:
        log.append(event)
    log.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_events_come_back_in_order(path: Path) -> None:
    events = [
        new_event("search", options={"trials": 2}, rungs=(1, 3)),
        new_event("reported", trial=0, metrics={"score": 0.5}),
    ]
    write(path, *events)
    assert read_events(path) == events
    assert events[0]["rungs"] == [1, 3]
    assert events[0]["time"] <= events[1]["time"]


def test_an_event_is_on_the_disk_before_append_returns(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    log = EventLog(path)
    for number in range(3):
        log.append(new_event("reported", trial=number))
        assert len(read_events(path)) == len(synced) == number + 1
    log.close()


def test_a_second_driver_appends(path: Path) -> None:
    for name in ("search", "resumed"):
        write(path, new_event(name))
    assert [event["event"] for event in read_events(path)] == ["search", "resumed"]


def test_a_log_torn_anywhere_keeps_all_whole_events(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut at every byte of the last three lines, and go on behind the cut."""
    monkeypatch.setattr(os, "fsync", lambda file: None)  # hundreds of them take a while
    events = [new_event("saved", trial=n, path=f"Zoë\n{n}") for n in range(4)]
    write(path, *events)
    content, last = path.read_bytes(), new_event("resumed")
    lines = content.splitlines(keepends=True)
    for end in range(len(b"".join(lines[:-3])), len(content) + 1):
        path.write_bytes(content[:end])
        # Without its line break alone, an event is whole.
        n_whole = sum(len(b"".join(lines[: n + 1])) - 1 <= end for n in range(len(lines)))
        assert read_events(path) == events[:n_whole]
        write(path, last)
        assert read_events(path) == [*events[:n_whole], last]
        assert path.read_bytes().startswith(content[:end])


def test_bytes_that_are_no_text_cost_their_line_only(path: Path) -> None:
    event = new_event("search")
    path.write_bytes(b'\xff\xfe{"event"\n[1, 2]\n7\n{"trial": 0}\n')
    write(path, event)
    assert read_events(path) == [event]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_becomes_null(value: float) -> None:
    event = new_event("reported", metrics={"score": value, "all": (value, 1.0)}, other=value)
    assert event["metrics"] == {"score": None, "all": [None, 1.0]}
    assert event["other"] is None


@given(FIELDS)
def test_every_event_is_one_line_of_strict_json(
    tmp_path_factory: pytest.TempPathFactory, fields: dict[str, Any]
) -> None:
    def refuse(name: str) -> None:
        pytest.fail(f"{name} is no JSON")

    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    events = [new_event("first", **fields), new_event("second")]
    write(path, *events)
    lines = path.read_bytes().split(b"\n")
    assert lines.pop() == b""
    assert [json.loads(line, parse_constant=refuse) for line in lines] == events
    assert read_events(path) == events
