from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.course import TASK_NAMES
from tests.trainable.gradients.drawn import as_losses, factors_of
from trainable.gradients.uncertainty import LearnedUncertainty


@given(st.lists(st.floats(0.05, 5), min_size=1, max_size=3))
def test_uncertainty_settles_at_half_the_inverse_of_each_loss(values: list[float]) -> None:
    tasks = TASK_NAMES[: len(values)]
    weighting = LearnedUncertainty(tasks)
    logs = [weighting.log_variances[task] for task in tasks]
    with torch.no_grad():
        for log, value in zip(logs, values, strict=True):
            log.fill_(value).log_()
    losses = as_losses(values)
    factors = factors_of(losses, weighting.total(losses))
    torch.testing.assert_close(factors, 1 / (2 * torch.tensor(values)))
    for log in logs:  # the total is smallest there
        assert float(log.grad) == pytest.approx(0, abs=1e-6)


@given(st.tuples(*[st.floats(0.01, 10)] * 3), st.tuples(*[st.floats(-3, 3)] * 3))
def test_uncertainty_agrees_with_torchjd(
    values: tuple[float, ...], logs: tuple[float, ...]
) -> None:
    scalarization = pytest.importorskip("torchjd.scalarization")
    theirs = scalarization.UW(3)
    ours = LearnedUncertainty(TASK_NAMES)
    with torch.no_grad():
        next(iter(theirs.parameters())).copy_(torch.tensor(logs))
        for task, log in zip(TASK_NAMES, logs, strict=True):
            ours.log_variances[task].fill_(log)
    torch.testing.assert_close(ours.total(as_losses(values)), theirs(torch.tensor(values)))


def test_uncertainty_of_a_task_without_a_loss_has_no_gradient() -> None:
    weighting = LearnedUncertainty(TASK_NAMES)
    weighting.total({"para": torch.tensor(3.0)}).backward()  # type: ignore[no-untyped-call]
    trained = {task for task, log in weighting.log_variances.items() if log.grad is not None}
    assert trained == {"para"}
