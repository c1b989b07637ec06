"""What of Ray Tune's log is kept from people, and what is not."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from ray.exceptions import RayTaskError

from search.tune_log import quieten_tune
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
