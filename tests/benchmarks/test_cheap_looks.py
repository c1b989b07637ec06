from __future__ import annotations

import numpy as np
import pytest

from tests.benchmarks.cheap_looks import candidates, interval
from trainable.data.sources import SampleData
from trainable.defaults import default_run
from trainable.model.encoder import EncoderConfig
from trainable.partial_config import merged
from trainable.run_config import RunConfig


def test_candidates_are_different_configurations() -> None:
    base = default_run(EncoderConfig(source="bert"), SampleData()).to_dict()
    configs = [
        RunConfig.from_part(merged(base, {"tasks": tasks}), name)
        for name, tasks in candidates().items()
    ]
    for task in ("sst", "para", "sts"):
        assert len({config.tasks[task].model_dump_json() for config in configs}) >= 6


def test_an_interval_has_the_correlation_and_is_narrow_only_for_clear_orders() -> None:
    x = np.arange(12.0)
    assert interval(np.stack([x, x**2], axis=1)) == pytest.approx((1, 1))
    low, high = interval(np.stack([x, np.random.default_rng(0).random(12)], axis=1))
    assert high - low > 0.5
