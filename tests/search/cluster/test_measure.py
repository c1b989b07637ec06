from __future__ import annotations

import math
from dataclasses import astuple

import pytest

import search.cluster.measure
from search.cluster.measure import time_parts
from search.cluster.slots import Resources
from trainable.data.sources import SampleData
from trainable.defaults import default_run
from trainable.model.encoder import EncoderConfig
from trainable.stages.multitask import Multitask


@pytest.mark.slow
def test_every_part_takes_some_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search.cluster.measure, "_STEP_SECONDS", 0.1)
    config = default_run(EncoderConfig(), SampleData(), 0, Multitask(budget_tokens=100_000))
    cost = time_parts(config.to_dict(), Resources(1.0, 0.0, 1), optimizer=True)
    assert all(math.isfinite(part) and part > 0 for part in astuple(cost))
    assert cost.whole_seconds == pytest.approx(2 * cost.part_seconds, rel=0.1)  # equal halves
