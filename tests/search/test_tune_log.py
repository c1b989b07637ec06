"""What of Ray Tune's log is kept from people, and what is not."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from ray.exceptions import RayTaskError
from ray.tune.experiment import Trial
from ray.tune.utils.callback import _create_default_callbacks

from search.tune_log import NoTuneProgress, quieten_tune
from trainable.ray_trainable import NodeLeaving


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    logger = logging.getLogger("ray.tune")
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.WARNING, logger="ray.tune")  # whatever another test set
    quieten_tune()
    yield caplog
    logger.removeHandler(caplog.handler)


def test_a_trial_that_leaves_and_unfinished_legs_are_not_spoken_of(
    log: pytest.LogCaptureFixture,
) -> None:
    controller = logging.getLogger("ray.tune.execution.tune_controller")
    # As Ray hands it over: an error of both classes.
    left = RayTaskError("step", "", NodeLeaving("it left")).as_instanceof_cause()
    controller.error("Trial task failed for trial a", exc_info=left)
    logging.getLogger("ray.tune.tune").error("Trials did not complete: %s", ["a"])
    assert not log.records


def test_other_errors_are(log: pytest.LogCaptureFixture) -> None:
    controller = logging.getLogger("ray.tune.execution.tune_controller")
    controller.error("Trial task failed for trial a", exc_info=ValueError("no such head"))
    controller.warning("Trial controller checkpointing failed")
    assert {record.levelname for record in log.records} == {"ERROR", "WARNING"}


def test_tunes_own_progress_prints_nothing_and_keeps_no_trial(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    given = NoTuneProgress()
    assert _create_default_callbacks([given]) == [given]  # Tune adds none of its own
    trial, before = Trial("trainable", stub=True), repr(vars(given))
    trial.run_metadata.last_result = {"score": 0.5, "done": True, "training_iteration": 1}
    given.on_trial_result(0, [trial], trial, trial.last_result)
    given.on_trial_complete(0, [trial], trial)
    given.on_trial_error(0, [trial], trial)
    assert repr(vars(given)) == before
    assert capsys.readouterr().out == ""
