from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from search.log.history import History
from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.report.page import live_page
from search.report.page.live_page import LivePage
from search.report.page.write_page import PAGE

MakeHistory = Callable[[Plan, list[TrialRecord]], History]


class Clock:
    """Stands still until it is set; a page takes some seconds to write."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> list[float]:
    """The times at which pages were written; each takes five seconds."""
    times: list[float] = []

    def write(search: object, folder: Path, uri: str) -> None:
        times.append(clock.now)
        clock.now += 5.0

    monkeypatch.setattr(live_page, "write_page", write)
    return times


def test_it_is_written_every_minute_but_never_for_more_than_a_twentieth_of_the_time(
    plan: Plan, ten: list[TrialRecord], history_of: MakeHistory, clock: Clock, written: list[float]
) -> None:
    page = LivePage(plan.folder, history_of(plan, ten), print, clock)
    page._script.join()
    for second in range(0, 400, 5):
        clock.now = max(clock.now, float(second))
        page.look()
    assert written == [0.0, 100.0, 200.0, 300.0]


def test_it_waits_for_the_first_trial(
    plan: Plan, ten: list[TrialRecord], history_of: MakeHistory, clock: Clock
) -> None:
    history = history_of(plan, [])
    page = LivePage(plan.folder, history, print, clock)
    page._script.join()
    page.look()
    assert not (plan.folder.local / PAGE).exists()
    history.trials[0] = ten[0]
    page.look()
    assert "search" in (plan.folder.local / PAGE).read_text(encoding="utf-8")


def test_an_error_is_said_once_and_the_search_goes_on(
    plan: Plan,
    ten: list[TrialRecord],
    history_of: MakeHistory,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcomes = [OSError("disk full"), OSError("disk full"), None, KeyError("x")]

    def write(search: object, folder: Path, uri: str) -> None:
        if error := outcomes.pop(0):
            raise error

    monkeypatch.setattr(live_page, "write_page", write)
    said: list[str] = []
    page = LivePage(plan.folder, history_of(plan, ten), said.append, clock)
    page._script.join()
    for minute in range(4):
        clock.now = 60.0 * minute
        page.look()
    assert not outcomes
    assert [line.split("(")[1].split(")")[0] for line in said] == [
        "OSError: disk full",
        "KeyError: 'x'",
    ]
