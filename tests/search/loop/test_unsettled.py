from __future__ import annotations

import pytest

from search.log.events import Event
from search.log.history import History
from search.log.trial import TrialRecord
from search.loop.unsettled import jobs_to_close
from search.schedulers.base import Decision
from tests.search.log_lines import event, reported, suggested

UNITS = 3
FAILED = event("failed", trial=0, error="no worker")


def decided(unit: int, action: str) -> Event:
    return event("decided", trial=0, unit=unit, decision=action, rank=1, among=1)


def saved(unit: int) -> Event:
    return event("saved", trial=0, unit=unit, path=f"a/{unit}")


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        ([], None),  # nothing was heard of it
        ([reported(0, 1.0, 1, 0.5), decided(1, "pause")], ("pause", "")),
        ([reported(0, 1.0, 1, 0.5), decided(1, "stop")], ("stop", "")),
        ([reported(0, 1.0, 1, 0.5), decided(1, "continue")], None),
        (
            [
                reported(0, 1.0, 1, 0.5),
                decided(1, "pause"),
                event("paused", trial=0, unit=1),
                event("promoted", trial=0, unit=1, rank=1, among=1),
            ],
            None,
        ),
        ([reported(0, 1.0, 2, -1 / 3, "RunFailed: nan")], (None, "RunFailed: nan")),
        ([FAILED, FAILED], None),
        ([FAILED, FAILED, FAILED], (None, "no worker")),
        ([reported(0, 1.0, UNITS, 0.5)], None),  # its last checkpoint is missing
        ([reported(0, 1.0, UNITS, 0.5), saved(UNITS)], (None, "")),
    ],
)
def test_what_an_earlier_driver_heard_of_is_closed(
    later: list[Event], expected: tuple[str | None, str] | None
) -> None:
    """And what needs another job is not."""
    trials = History([suggested(0), *later]).trials.values()
    asked: list[int] = []

    def decide(trial: TrialRecord, unit: int) -> Decision | None:
        asked.append(unit)
        return None

    jobs = list(jobs_to_close(trials, UNITS, decide))
    found = [(job.verdict.action if job.verdict else None, job.failure) for job in jobs]
    assert found == ([] if expected is None else [expected])
    was_decided = any(e["event"] == "decided" for e in later)
    failed = any(e.get("failure") for e in later)
    n_reports = sum(e["event"] == "reported" for e in later)
    assert len(asked) == (n_reports and not was_decided and not failed)


def test_what_was_reported_and_not_decided_is_decided_now() -> None:
    history = History([suggested(0), reported(0, 1.0, 2, 0.5)])
    verdicts = [Decision("stop", 2, 2), Decision("continue", 1, 1)]
    (job,) = jobs_to_close(history.trials.values(), UNITS, lambda trial, unit: verdicts[0])
    assert (job.trial, job.unit, job.verdict) == (history.trials[0], 2, verdicts[0])
    assert not list(jobs_to_close(history.trials.values(), UNITS, lambda t, u: verdicts[1]))
