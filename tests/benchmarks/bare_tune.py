"""Measure what a trial costs the driver in Ray Tune alone, as a baseline for `scale.py`.

    python tests/benchmarks/bare_tune.py [--trials 100 300 1000]

As in `scale.py`, trials do no work and run one at a time in an actor that is reused. Random search
and ASHA are Ray's; there is no model, no event log, no checkpoint and no TensorBoard. The table
gives milliseconds for each of the last hundred trials: elapsed time, and CPU time of the driver.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Imports must find the repository, not this folder; the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import ray
import tyro
from ray import tune
from ray.tune.schedulers import ASHAScheduler

from search.cluster.connect import connect

_WINDOW = 100
_PARAMS = 60  # a configuration of the space `full` has about as many
_UNITS = 9


@dataclass(frozen=True)
class Options:
    """Measure what trials cost Ray Tune."""

    trials: tuple[int, ...] = (100, 300, 1000)
    """Where to measure; the last one is the size of the search."""


class NoWork(tune.Trainable):
    """A trial whose units take no time."""

    def step(self) -> dict[str, Any]:
        unit = self.iteration + 1
        return {"score": self.config["p0"] * (1 - 0.6**unit), "done": unit == _UNITS}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return True


class Marks(tune.Callback):
    """Notes elapsed and CPU seconds of the driver when each trial begins."""

    def __init__(self) -> None:
        self.began = [_now()]

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.began.append(_now())


def _now() -> tuple[float, float]:
    return time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_utime


def main(options: Options) -> None:
    """Run a search, and print a line for each number of trials."""
    connect("local")
    marks = Marks()
    with tempfile.TemporaryDirectory() as folder:
        tune.run(
            NoWork,
            config={f"p{k}": tune.uniform(0.0, 1.0) for k in range(_PARAMS)},
            num_samples=options.trials[-1],
            max_concurrent_trials=1,
            scheduler=ASHAScheduler(metric="score", mode="max", max_t=_UNITS, reduction_factor=3),
            reuse_actors=True,
            callbacks=[marks],
            resources_per_trial={"cpu": 1},
            storage_path=folder,
            verbose=0,
        )
    print("trials   wall,ms   user,ms")
    for n in options.trials:
        first = max(1, n - _WINDOW)  # the start of the actor is no cost of a trial
        wall, user = (
            1000 * (end - start) / (n - first)
            for start, end in zip(marks.began[first], marks.began[n], strict=True)
        )
        print(f"{n:6} {wall:9.1f} {user:9.1f}")
    ray.shutdown()


if __name__ == "__main__":
    main(tyro.cli(Options))
