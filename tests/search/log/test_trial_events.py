"""What each event of the log changes in the record of its trial."""

from __future__ import annotations

import pytest

from search.log.events import Event
from search.log.history import History
from search.log.trial import Status, TrialRecord
from tests.search.log_lines import ended, event, reported, suggested


def folded(*later: Event) -> TrialRecord:
    """Return what is known of one trial."""
    return History([suggested(0), *later]).trials[0]


@pytest.mark.parametrize(
    ("later", "status", "is_open"),
    [
        ([], "running", True),
        ([event("paused", trial=0, unit=1)], "paused", False),
        ([event("paused", trial=0, unit=1), event("promoted", trial=0, unit=1)], "running", True),
        ([event("stopped", trial=0, unit=1)], "stopped", False),
        ([ended(0, 1.0, "interrupted")], "interrupted", True),
        ([ended(0, 1.0, "interrupted"), event("started", trial=0, id="b")], "running", True),
        ([ended(0, 1.0, "failed", "nan")], "failed", False),
    ],
)
def test_status_follows_the_last_event(later: list[Event], status: Status, is_open: bool) -> None:
    trial = folded(*later)
    assert (trial.status, trial.is_open) == (status, is_open)


def test_attempts_that_failed_are_counted_until_a_report() -> None:
    failed = [event("failed", trial=0, error=f"lost {k}") for k in range(2)]
    trial = folded(*failed)
    assert (trial.failures, trial.last_failure, trial.status) == (2, "lost 1", "running")
    trial = folded(*failed, reported(0, 1.0, 1, 0.5))
    assert (trial.failures, trial.last_failure) == (0, "lost 1")


def test_what_a_run_failed_with_is_its_error_until_it_starts_again() -> None:
    failed = reported(0, 1.0, 1, -1 / 3, "RunFailed: the loss is nan")
    assert folded(failed).error == "RunFailed: the loss is nan"
    assert folded(failed, event("started", trial=0, id="b")).error is None
    assert folded(failed, reported(0, 2.0, 1, 0.5)).error is None


def test_a_unit_that_fails_when_it_is_repeated_keeps_its_first_report() -> None:
    """Its worker was lost before the checkpoint came, and the rung was decided by then."""
    trial = folded(reported(0, 1.0, 1, 0.9), reported(0, 2.0, 1, -1 / 3, "out of memory"))
    assert (trial.score_at(1), trial.error) == (0.9, "out of memory")
    assert folded(reported(0, 1.0, 1, -1 / 3, "out of memory")).score_at(1) == -1 / 3


@pytest.mark.parametrize("kind", ["deleted", "lost"])
def test_a_checkpoint_that_was_saved_anew_is_not_forgotten_with_the_old_one(kind: str) -> None:
    saved = [event("saved", trial=0, unit=1, path=path) for path in ("a/1", "b/1")]
    assert folded(*saved, event(kind, trial=0, unit=1, path="a/1")).checkpoints == {1: "b/1"}
    assert folded(*saved, event(kind, trial=0, unit=1, path="b/1")).checkpoints == {}
    assert folded(*saved, event(kind, trial=0, unit=0, path="?")).checkpoints == {1: "b/1"}


def test_pauses_count_as_elapsed_and_not_as_time_in_a_slot() -> None:
    """Nor does either count what happens to its checkpoint long after it ended."""

    def cost(time: float, seconds: float) -> Event:
        return event("cost", time, trial=0, seconds=seconds, cpus=4.0, gpus=2.0, node="n")

    trial = folded(
        event("started", 10.0, trial=0, id="a", unit=0),
        reported(0, 40.0, 1, 0.5),
        event("saved", 41.0, trial=0, unit=1, path="a/1"),
        cost(41.0, 31.0),
        event("paused", 41.0, trial=0, unit=1),
        event("promoted", 1000.0, trial=0, unit=1, rank=1, among=3),
        event("started", 1002.0, trial=0, id="b", unit=1),
        reported(0, 1022.0, 2, 0.6),
        cost(1022.0, 20.0),
        ended(0, 1022.0, "done"),
        event("deleted", 5000.0, trial=0, unit=1, path="a/1"),
    )
    assert (trial.slot_seconds, trial.device_seconds) == (51.0, 102.0)
    assert (trial.ended, trial.elapsed_seconds) == (1022.0, 1022.0)


def test_a_trial_that_starts_again_is_open_again() -> None:
    """So that a driver that is killed between its stop and its end leaves it to be ended."""
    again = [ended(0, 1.0, "interrupted"), event("started", trial=0, id="b")]
    assert folded(*again[:1]).is_closed
    assert not folded(*again).is_closed
    assert not folded(*again, event("stopped", trial=0, unit=1)).is_closed


def test_a_unit_that_was_trained_again_is_reported_when_it_was_last() -> None:
    trial = folded(reported(0, 1.0, 1, 0.5), reported(0, 7.0, 1, 0.5))
    assert trial.reported == {1: 7.0}


@pytest.mark.parametrize("status", ["done", "failed"])
def test_a_trial_of_another_search_comes_as_it_ended_there(status: Status) -> None:
    fields = {"params": {}, "run_config": {}, "reports": {"2": {"score": 0.5}}, "status": status}
    (trial,) = History([event("imported", 3.0, **fields)]).imported
    assert (trial.status, trial.reports) == (status, {2: {"score": 0.5}})
