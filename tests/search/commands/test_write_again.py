from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import pytest

from search.commands.write_again import main
from search.log.events import EventLog, read_events
from search.log.folder import EVENTS
from search.log.history import History, Journal
from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.planning.resume import header
from search.report.write import write_results
from tests.course import SCORE_KEYS

MakePlan = Callable[..., Plan]
MakeTrial = Callable[..., TrialRecord]


@pytest.fixture
def write_log(trial_of: MakeTrial) -> Callable[..., None]:
    """Return a function that writes a log of trials; its first event has these changes."""

    def write(plan: Plan, scores: Sequence[float] = (0.4, 0.6), **changes: Any) -> None:
        log = plan.folder.local / EVENTS
        log.unlink(missing_ok=True)
        journal = Journal(History(), EventLog(log))
        journal.write("search", slots=1, **header(plan) | changes)
        for number, score in enumerate(scores):
            trial = trial_of(plan, number, {})
            own = {"params": trial.params, "run_config": trial.config.to_dict(), "bracket": 0}
            journal.write("suggested", trial=number, origin="default", **own)
            journal.write("started", trial=number, id="ab", unit=0)
            metrics = {**dict.fromkeys(SCORE_KEYS, score), "tokens": 10000}
            journal.write("reported", trial=number, unit=1, metrics=metrics, failure="")
            journal.write("ended", trial=number, status="stopped", error=None)

    return write


@pytest.fixture
def finished(plan_of: MakePlan, write_log: Callable[..., None]) -> Plan:
    """A search of two trials, whose results are there."""
    plan = plan_of(space="smoke", trials=2)
    write_log(plan)
    write_results(plan, History(read_events(plan.folder.local / EVENTS)))
    return plan


@pytest.mark.slow
def test_the_report_is_that_of_the_search(
    finished: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    report = finished.folder.local / "report.md"
    before, page = report.read_text(), finished.folder.local / "report.html"
    assert "## " in before
    report.unlink()
    page.unlink()
    assert main([str(finished.folder.local)]) == 0
    assert report.read_text() == before
    assert "ended after 1 of 9 units" in page.read_text()
    assert str(finished.folder.local) in capsys.readouterr().out
    assert main([finished.folder.name, "--storage", finished.folder.storage]) == 0


def test_what_it_cannot_be_written_from_is_refused(
    finished: Plan, write_log: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = finished.folder
    assert main(["serch", "--storage", folder.storage]) == 2
    assert "there is no search 'serch'" in capsys.readouterr().err
    changes: tuple[tuple[dict[str, Any], str], ...] = (
        ({"data_fingerprint": "0123"}, "the data have changed since the search"),
        ({"scores": ()}, "has no trial yet"),
        ({"options": {"dta": "sample"}}, "of another version of the project"),
    )
    for change, fragment in changes:
        write_log(finished, **change)
        assert main([str(folder.local)]) == 2
        assert fragment in capsys.readouterr().err


@pytest.mark.slow
def test_a_search_that_learned_from_another_needs_it_no_more(
    finished: Plan, write_log: Callable[..., None]
) -> None:
    write_log(finished, options={**asdict(finished.options), "warm_start": "gone"})
    assert main([str(finished.folder.local)]) == 0
