from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from search.log.history import History, Journal
from search.loop.dispatcher import Dispatcher
from search.loop.progress import Progress
from search.planning.plan import Plan
from search.schedulers.promotion_asha import PromotionASHA
from search.searchers.random_search import RandomSearch

MakePlan = Callable[..., Plan]


class Shown:
    """What a person sees of a search that a test drives.

    Attributes:
        now: Seconds.
    """

    def __init__(self, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        time = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr("search.loop.progress.time", time)
        journal = Journal(History([{"event": "search", "time": 0.0, "version": 2, "n_trials": 9}]))
        scheduler = PromotionASHA(journal.history, 9, 3, 9, 1, 0)
        searcher = RandomSearch(plan.space, 0)
        self.dispatcher = Dispatcher(
            journal, scheduler, searcher, plan.space, [], 9, time.monotonic
        )
        self.out = StringIO()
        console = Console(file=self.out, width=200)
        self.options = plan.options
        self.progress = Progress(self.dispatcher, plan.options, console)

    def line(self) -> str:
        """Return the status line that is due half an hour later."""
        self.now += 1800
        return self.lines()[-1]

    def counts(self) -> str:
        """Return that line up to the time."""
        return self.line().rpartition(" elapsed")[0].rpartition(", ")[0]

    def lines(self) -> list[str]:
        """Return all lines so far."""
        self.progress.look()
        return self.out.getvalue().splitlines()

    def report(self, id: str, unit: int, score: float) -> bool:
        """Report a unit of ten minutes; returns whether the job goes on."""
        metrics = {"score": score, "train_seconds": 500.0, "eval_seconds": 100.0}
        return self.dispatcher.reported(id, unit, metrics)


@pytest.fixture
def shown(plan_of: MakePlan, monkeypatch: pytest.MonkeyPatch) -> Shown:
    return Shown(plan_of(space="smoke"), monkeypatch)


def test_only_trials_that_have_a_slot_are_said_to_run(shown: Shown) -> None:
    assert shown.counts() == "starting"
    shown.dispatcher.next_job("a")
    shown.dispatcher.next_job("b")
    assert shown.counts() == "2 waiting for a slot"
    shown.dispatcher.started("a")
    assert shown.counts() == "1 running, 1 waiting for a slot"
    shown.dispatcher.started("b")
    assert shown.counts() == "2 running"


def test_paused_trials_and_the_best_one_are_shown(shown: Shown) -> None:
    shown.dispatcher.next_job("a")
    shown.dispatcher.started("a")
    assert not shown.report("a", 1, 0.25)
    shown.dispatcher.left("a", 1.0, 0.0)
    assert shown.counts() == "1 paused, best of trials at unit 1/9: 0.2500 (trial 0)"


def test_the_forecast_ends_the_status(shown: Shown) -> None:
    shown.progress.forecast = lambda: "12 - 19 min left"
    assert shown.line() == "starting, 30:00 elapsed, 12 - 19 min left"


def test_status_lines_get_rarer(shown: Shown) -> None:
    times, written = [0.0], 0
    for _ in range(4 * 3600):
        shown.now += 1
        shown.progress.look()
        if shown.out.tell() > written:
            times.append(shown.now)
            written = shown.out.tell()
    gaps = [later - time for time, later in pairwise(times)]
    assert gaps == sorted(gaps)
    assert (gaps[0], gaps[-1]) == (15, 300)


def test_the_best_is_said_to_be_of_those_that_went_as_far(shown: Shown) -> None:
    """A full run with a lower score takes over from a trial that was paused early."""
    dispatcher = shown.dispatcher
    dispatcher.next_job("a")
    assert not shown.report("a", 1, 0.5)
    dispatcher.left("a", 1.0, 0.0)
    assert "best of trials at unit 1/9: 0.5000 (trial 0)" in shown.line()
    dispatcher.next_job("b")
    for unit in range(1, 10):
        metrics = {"score": 0.25, "train_seconds": 500.0, "eval_seconds": 100.0}
        dispatcher.journal.write("reported", trial=1, unit=unit, metrics=metrics, failure="")
    assert "best of full runs: 0.2500 (trial 1)" in shown.line()


def test_a_job_that_failed_says_why_the_trial_needs_another_slot(shown: Shown) -> None:
    """As where a worker's disk is full and no checkpoint can be saved."""
    shown.dispatcher.on_left = shown.progress.left
    shown.dispatcher.next_job("a")
    shown.dispatcher.left("a", 1.0, 0.0, "OSError: No space left on device")
    assert shown.lines()[-1].endswith("its job failed: OSError: No space left on device")
    shown.dispatcher.next_job("b")
    shown.report("b", 1, 0.25)
    shown.dispatcher.left("b", 1.0, 0.0)
    assert shown.lines()[-1].endswith("trial 0 paused after unit 1/9, score 0.2500")


@pytest.mark.parametrize("width", [40, 80])
def test_a_status_on_a_terminal_is_wrapped_and_not_cut(
    plan_of: MakePlan, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    shown = Shown(plan_of(space="smoke"), monkeypatch)
    console = Console(
        file=shown.out, width=width, force_terminal=True, soft_wrap=True, highlight=False
    )
    progress = Progress(shown.dispatcher, replace(shown.options, quiet=False), console)
    progress.forecast = lambda: "12 - 19 min left"
    for id in ("a", "b"):
        shown.dispatcher.next_job(id)
        shown.dispatcher.started(id)
    shown.report("a", 1, 0.25)
    shown.dispatcher.left("a", 1.0, 0.0)
    shown.now += 3600
    progress.look()
    progress.close()
    last = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", shown.out.getvalue()).replace("\n", " ")
    said = (
        "1 running, 1 paused, best of trials at unit 1/9: 0.2500 (trial 0), 1:00:00 elapsed, 12 -"
    )
    assert said in last
    lines = re.split(r"[\n\r]", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.out.getvalue()))
    assert max(map(len, lines)) <= width


def test_the_count_goes_through_every_number_to_the_end(
    played: Any, outcomes: Any, plan_of: MakePlan
) -> None:
    """Every trial that is over has its line, those too that are stopped while they are paused."""
    for seed in range(5):
        search, out = played(outcomes(seed, 0.1, 0.1), n_trials=12, units=9, eta=3), StringIO()
        console = Console(file=out, width=200)
        progress = Progress(search.dispatcher, plan_of(space="smoke").options, console)
        search.dispatcher.on_left = search.dispatcher.on_stopped = progress.left
        search.play(3, seed)
        lines = out.getvalue().splitlines()
        counts = [int(line[1:].partition("/")[0]) for line in lines]
        assert sorted(set(counts) - {0}) == list(range(1, 13))
        assert counts == sorted(counts)
        assert lines[-1].startswith("[12/12] trial ")
        over = [re.search(r"trial (\d+) (?:stopped|done|failed)", line) for line in lines]
        assert sorted(int(found[1]) for found in over if found) == list(range(12))
