from __future__ import annotations

from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from search.dispatch import Dispatcher
from search.history import History, Journal
from search.plan import Plan
from search.progress import Progress, clock
from search.proposals import RandomProposer
from search.scheduler import PromotionASHA

MakePlan = Callable[..., Plan]


class Shown:
    """What a person sees of a search that a test drives."""

    def __init__(self, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("search.progress._STATUS_SECONDS", 0.0)
        journal = Journal(History([{"event": "search", "time": 0.0, "version": 2, "n_trials": 9}]))
        scheduler = PromotionASHA(journal.history, 9, 3, 9, 1, 0)
        proposer = RandomProposer(plan.space, 0)
        self.dispatcher = Dispatcher(journal, scheduler, proposer, plan.space, [], 9)
        self.out = StringIO()
        console = Console(file=self.out, width=200)
        self.progress = Progress(plan, self.dispatcher, console)

    def line(self) -> str:
        """Return the status line of now, up to the time."""
        self.progress.tick()
        return self.out.getvalue().splitlines()[-1].rpartition(" elapsed")[0].rpartition(", ")[0]


@pytest.fixture
def shown(plan_of: MakePlan, monkeypatch: pytest.MonkeyPatch) -> Shown:
    return Shown(plan_of(space="smoke"), monkeypatch)


def test_only_trials_that_have_a_place_are_said_to_run(shown: Shown) -> None:
    assert shown.line() == "starting"
    shown.dispatcher.next_leg("a")
    shown.dispatcher.next_leg("b")
    assert shown.line() == "2 waiting for a place"
    shown.dispatcher.started("a")
    assert shown.line() == "1 running, 1 waiting for a place"
    shown.dispatcher.started("b")
    assert shown.line() == "2 running"


def test_paused_trials_and_the_best_one_are_shown(shown: Shown) -> None:
    shown.dispatcher.next_leg("a")
    shown.dispatcher.started("a")
    metrics = {"score": 0.25, "train_seconds": 1.0, "eval_seconds": 0.0}
    assert not shown.dispatcher.reported("a", 1, metrics)
    shown.dispatcher.left("a", 1.0, 0.0)
    assert shown.line() == "1 paused, best 0.2500 (trial 0, unit 1)"


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (75, "1:15"), (3700, "1:01:40")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
