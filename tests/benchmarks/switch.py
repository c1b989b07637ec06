"""How long an actor takes from the end of one trial to the first step of the next, warm and cold.

    python tests/benchmarks/switch.py --encoder DIR [--data-dir DIR] [--trials 12]

Both kinds run in one real Ray Tune search each, one actor at a time, with the project's trainable,
encoder and data; only the length of a trial is cut to one short unit without evaluation. Warm is
the project's way (`reuse_actors`); cold starts a process for every trial, as Tune does by default.

Times are wall-clock, taken inside the actors: from the moment the last `step()` of a trial returned
to the moment the next trial's first optimizer step begins. `start` is the part of it in which the
next trial's run is built: model, weights, optimizer (and, cold, encoder and data).
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

# This folder must not come first on the path, and the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import ray
import torch
import tyro
from ray import tune

from search.cluster import connect
from trainable.data.sources import Cs224nData, DataSource, SampleData
from trainable.encoder import EncoderConfig
from trainable.evaluation import SCORE_KEYS
from trainable.ray_trainable import MultitaskTrainable
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask


@dataclass(frozen=True)
class Options:
    """Measure the switch between trials."""

    encoder: str = "tiny"
    """`tiny`, a Hub id, or a Hugging Face folder."""

    data_dir: str | None = None
    """Folder of the course's files; without it the sample data."""

    trials: int = 12
    """Trials of each kind; there is one switch less."""

    out: Path | None = None
    """Also write the figures as JSON."""


class TimedTrainable(MultitaskTrainable):
    """The project's trainable, which also notes when things happened."""

    def step(self) -> dict[str, Any]:
        """One unit; adds when its first optimizer step began and when the unit was over."""
        began_at = time.time()
        assert self._run is not None
        # No part of a switch, and the longest part of so short a trial.
        nothing = dict.fromkeys((*SCORE_KEYS, "eval_seconds"), 0.0)
        self._run.evaluate = lambda split: dict(nothing)  # type: ignore[method-assign]
        report = super().step()
        return report | {"began_at": began_at, "ended_at": time.time()}


def switches(options: Options, warm: bool, folder: str) -> dict[str, list[float]]:
    """Run one search with one place; return the seconds of each switch, and of its `start`."""
    data: DataSource = SampleData()
    if options.data_dir is not None:
        data = Cs224nData(dir=str(Path(options.data_dir).absolute()))
    source = options.encoder
    if Path(source).is_dir():
        source = str(Path(source).absolute())
    stage = Multitask(budget_tokens=1000, units=1)
    configs = [
        RunConfig(seed=i, data=data, encoder=EncoderConfig(source=source), multitask=stage)
        for i in range(options.trials)
    ]
    result = tune.run(
        TimedTrainable,
        name="warm" if warm else "cold",
        storage_path=folder,
        config={"run_config": tune.grid_search([config.to_dict() for config in configs])},
        resources_per_trial={"cpu": 2},
        max_concurrent_trials=1,
        reuse_actors=warm,
        verbose=0,
    )
    reports = sorted((t.last_result for t in result.trials), key=lambda r: r["ended_at"])
    return {
        "switch": [b["began_at"] - a["ended_at"] for a, b in pairwise(reports)],
        "start": [report["start_seconds"] for report in reports[1:]],
    }


def main() -> None:
    """Print median, range and 95th percentile of both kinds, and their ratio."""
    options = tyro.cli(Options)
    # As in a search: no loggers and no tables of Tune's own.
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    print(f"torch {torch.__version__}, ray {ray.__version__}, {connect('local')}")
    with tempfile.TemporaryDirectory() as folder:
        found = {kind: switches(options, kind == "warm", folder) for kind in ("warm", "cold")}
    ray.shutdown()
    figures: dict[str, dict[str, float]] = {}
    for kind, seconds in found.items():
        ranked = sorted(seconds["switch"])
        figures[kind] = {
            "n": len(ranked),
            "median": statistics.median(ranked),
            "min": ranked[0],
            "max": ranked[-1],
            "p95": ranked[round(0.95 * (len(ranked) - 1))],
            "start": statistics.median(seconds["start"]),
        }
        print(kind, "  ".join(f"{name} {value:.3f}" for name, value in figures[kind].items()))
    ratio = figures["cold"]["median"] / figures["warm"]["median"]
    print(f"cold / warm, medians: {ratio:.1f}")
    if options.out:
        options.out.write_text(json.dumps({**figures, "ratio": ratio}, indent=2) + "\n")


if __name__ == "__main__":
    main()
