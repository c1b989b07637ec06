from __future__ import annotations

import json
import math
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.log.events import Event, EventLog, begin_log, new_event, read_events
from trainable.errors import InputError

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
    synced: list[list[Event]] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(read_events(path)))
    log = EventLog(path)
    events = [new_event("reported", trial=number) for number in range(3)]
    for n, event in enumerate(events, start=1):
        log.append(event)
        assert synced[n - 1 :] == [events[:n]]  # one fsync, of a file that had the event
    log.close()


def test_a_log_begins_with_all_its_first_events_or_not_at_all(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [new_event("search", name="Zoë"), new_event("imported", search="a")]

    def fail(self: Path, target: Path) -> None:
        assert (self.parent, target) == (path.parent, path)
        assert not path.exists()
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(OSError, match="no space"):
            begin_log(path, events)
    assert not path.exists()
    begin_log(path, events)
    write(path, new_event("closed"))  # a checksum is on every line, the first ones too
    assert read_events(path)[:2] == events
    assert len(re.findall(rb', "crc": "[0-9a-f]{8}"}\n', path.read_bytes())) == 3
    assert [file.name for file in path.parent.iterdir() if file.suffix != ".tmp"] == [path.name]


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


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_events(path)
    return str(caught.value)


OLD = [b'{"event": "search"}\n', b'{"event": "reported", "trial": 7}\n', b'{"event": "closed"}\n']


@pytest.mark.parametrize(
    "line", [b"\xff\xfe", b'{"event": "repo', b"[1, 2]", b"7", b'{"trial": 0}', b"", b"\0" * 40]
)
@pytest.mark.parametrize("is_old", [True, False])
def test_a_line_that_is_no_event_is_refused_with_its_number(
    path: Path, line: bytes, is_old: bool
) -> None:
    write(path, *(new_event(kind) for kind in ("search", "reported", "closed")))
    lines = OLD if is_old else path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + line + b"\n" + lines[2])
    message = refused(path)
    assert message.startswith(f"{path}: line 2")
    assert f"sed -i.damaged '2d' {path}" in message
    path.write_bytes(lines[0] + lines[1] + line + b"\n")  # though it is the last: it is not torn
    assert refused(path).startswith(f"{path}: line 3")


def test_damage_to_any_byte_is_found_also_where_it_is_json_still(path: Path) -> None:
    first, last = new_event("search"), new_event("closed")
    write(path, first, new_event("reported", trial=7, unit=1, metrics={"score": 0.25}), last)
    lines = path.read_bytes().splitlines(keepends=True)
    for at in range(len(lines[1]) - 1):
        for byte in {lines[1][at] ^ 1, ord("0"), ord(" ")} - {lines[1][at], 0x0A}:
            changed = lines[1][:at] + bytes([byte]) + lines[1][at + 1 :]
            path.write_bytes(lines[0] + changed + lines[2])
            assert "line 2" in refused(path), changed
    score = lines[1].replace(b"0.25", b"0.75")
    path.write_bytes(lines[0] + score + lines[2])
    assert "line 2 (`reported` of trial 7) is damaged: its checksum does not match" in refused(path)


def test_the_command_that_is_named_goes_on_without_what_is_damaged(path: Path) -> None:
    events = [new_event(kind) for kind in ("search", "a", "b", "c", "d")]
    write(path, *events)
    damaged = path.read_bytes().replace(b'"b"', b'"x"').replace(b'"d"', b"d")
    path.write_bytes(damaged)
    message = refused(path)
    assert (
        "line 3 (`x`) is damaged: its checksum does not match; the same goes for line 5;" in message
    )
    command = message[message.index("sed -i") :]
    subprocess.run(command, shell=True, check=True)
    assert read_events(path) == [events[0], events[1], events[3]]
    assert path.with_name("events.jsonl.damaged").read_bytes() == damaged


def test_a_search_cannot_go_on_without_its_first_line(path: Path) -> None:
    write(path, new_event("search"), new_event("closed"))
    path.write_bytes(path.read_bytes().replace(b"search", b"sea_ch"))
    assert "cannot go on without its first line" in refused(path)
    assert "sed" not in refused(path)


def test_logs_from_before_there_were_checksums_are_read_and_gone_on_with(path: Path) -> None:
    path.write_bytes(b"".join(OLD))
    later = new_event("resumed")
    write(path, later)
    assert read_events(path) == [*map(json.loads, OLD), later]
    path.write_bytes(path.read_bytes() + OLD[1])  # an event whose checksum is gone
    assert "line 5 (`reported` of trial 7) is damaged: it has no checksum" in refused(path)


@pytest.mark.parametrize("torn", [b"{", b'{"event": "reported", "tri'])
def test_what_older_drivers_left_torn_is_told_from_damage_by_what_follows(
    path: Path, torn: bytes
) -> None:
    resumed = b'{"event": "resumed"}\n'
    path.write_bytes(OLD[0] + torn + b"\n" + torn + b"\n" + resumed + OLD[1])
    assert read_events(path) == [json.loads(line) for line in (OLD[0], resumed, OLD[1])]
    path.write_bytes(OLD[0] + torn + b"\n" + OLD[1] + resumed)
    assert refused(path).startswith(f"{path}: line 2")
    path.write_bytes(OLD[0] + b"\xff" + torn + b"\n" + resumed)  # no beginning of an event
    assert refused(path).startswith(f"{path}: line 2")


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
    found = [json.loads(line, parse_constant=refuse) for line in lines]
    assert all(re.fullmatch("[0-9a-f]{8}", event.pop("crc")) for event in found)
    assert found == events
    assert read_events(path) == events
