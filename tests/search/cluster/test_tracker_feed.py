from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import pytest

from search.cluster import tracker_feed
from search.cluster.tracker_feed import Feed, one_line
from search.log.trial import TrialRecord


def record(number: int, **reports: dict[str, float | None]) -> TrialRecord:
    """Return a trial; `unit1={...}` is what it reported after unit 1."""
    known = {int(key.removeprefix("unit")): metrics for key, metrics in reports.items()}
    return TrialRecord(number, {"a.b": 1}, {}, 0.0, 0.0, origin="default", reports=known)


class Kept:
    """Remembers what is written; `fails` says for which number of a call it raises."""

    def __init__(self, fails: Callable[[int], bool] = lambda call: False) -> None:
        self.fails, self.calls, self.is_closed = fails, 0, False
        self.written: list[tuple[int, int]] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def write(self, trial: TrialRecord) -> None:
        self.calls += 1
        self.may_go_on.wait()
        if self.fails(self.calls):
            raise ConnectionError("no server at http://me:secret@host\nand more")
        self.written.append((trial.number, len(trial.reports)))

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker_feed, "RETRY_SECONDS", 0.01)


def test_the_newest_record_of_each_trial_is_written_and_the_end_waits_for_it() -> None:
    kept, said = Kept(), list[str]()
    kept.may_go_on.clear()  # the tracker is slow
    feed = Feed("kept", kept, said.append)
    changing = record(0, unit1={"score": 0.5})
    feed.write(changing)
    changing.reports[2] = {"score": 0.6}
    for trial in (changing, record(1), changing):
        feed.write(trial)
    kept.may_go_on.set()
    feed.close()
    feed.close()
    assert kept.written[-2:] in ([(0, 2), (1, 0)], [(1, 0), (0, 2)])
    assert len(kept.written) <= 3
    assert kept.is_closed
    assert said == []


def test_what_fails_is_said_once_and_tried_again() -> None:
    kept, said = Kept(lambda call: call <= 3), list[str]()
    feed = Feed("kept", kept, said.append)
    for number in range(3):
        feed.write(record(number))
    while kept.calls < 6:
        threading.Event().wait(0.005)
    feed.close()
    assert sorted(kept.written) == [(0, 0), (1, 0), (2, 0)]
    assert said == ["warning: --log kept: no server at http://host; the search goes on"]


def test_trials_that_cannot_be_written_are_named_at_the_end() -> None:
    kept, said = Kept(lambda call: True), list[str]()
    feed = Feed("kept", kept, said.append)
    for number in (2, 0):
        feed.write(record(number))
    feed.close()
    assert len(said) == 2
    assert said[1] == "warning: --log kept: trials 0, 2 may be incomplete there"


def test_a_tracker_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker_feed, "CLOSE_SECONDS", 0.05)
    kept, said = Kept(), list[str]()
    kept.may_go_on.clear()
    feed = Feed("kept", kept, said.append)
    feed.write(record(7))
    feed.close()
    assert said == ["warning: --log kept: trial 7 may be incomplete there"]
    kept.may_go_on.set()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "str"),
        ("one\ntwo", "one"),
        ("postgresql://me:pass@host/db failed", "postgresql://host/db failed"),
        ("sqlite:///a@b", "sqlite:///a@b"),
        ("x" * 400, "x" * 200 + "..."),
        (math.nan, "nan"),
    ],
)
def test_one_line_without_a_password(text: Any, line: str) -> None:
    assert one_line(text) == line
