"""One trial, as the events of the log make it."""

from __future__ import annotations

import math

import pytest

from search.log.events import Event
from search.log.history import History
from search.log.trial import Status, TrialRecord
from tests.search.log_lines import ended, event, reported, suggested
from trainable.errors import InputError


def folded(*later: Event) -> TrialRecord:
    """Return what is known of one trial."""
    return History([suggested(0), *later]).trials[0]


def test_a_trial_without_a_report_has_no_score() -> None:
    trial = folded()
    assert (trial.units, trial.last, trial.score) == (0, {}, -math.inf)
    assert folded(reported(0, 1.0, 1, None)).score == -math.inf


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


@pytest.mark.parametrize("kind", ["deleted", "lost"])
def test_a_checkpoint_that_was_saved_anew_is_not_forgotten_with_the_old_one(kind: str) -> None:
    saved = [event("saved", trial=0, unit=1, path=path) for path in ("a/1", "b/1")]
    assert folded(*saved, event(kind, trial=0, unit=1, path="a/1")).checkpoints == {1: "b/1"}
    assert folded(*saved, event(kind, trial=0, unit=1, path="b/1")).checkpoints == {}
    assert folded(*saved, event(kind, trial=0, unit=0, path="?")).checkpoints == {1: "b/1"}


def test_a_config_of_another_program_is_refused_when_somebody_asks_for_it() -> None:
    line = suggested(7)
    line["run_config"] = {**line["run_config"], "unheard_of": 1}
    history = History([line])
    with pytest.raises(InputError, match=r"trial 7.*unheard_of"):
        assert history.trials[7].config
