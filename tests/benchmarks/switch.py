"""Measure the time from the end of one trial to the first step of the next trial.

    python tests/benchmarks/switch.py --encoder DIR [--data-dir DIR] [--trials 12]

There are three kinds of switch. Each is measured in one real Ray Tune search with one actor at a
time, on the GPU if there is one, with the project's trainable, encoder and data. Only units are
short, and without evaluation:

    warm       this project: the next trial reuses the actor (`reuse_actors`)
    promoted   the same, and the next trial resumes from its checkpoint, as after a pause
    cold       Tune's default: a new process for every trial

Times are wall-clock times inside the actors, from the return of a trial's last `step()` to the
start of the next trial's first optimizer step; every trial saves its checkpoint in between. `start`
is the part of it in which the next run is built: model, weights and optimizer, and for a cold start
encoder and data.

Warm and cold trials are the same runs, so their losses must be equal, bit for bit. The growth of
the warm actor's memory at each switch is the slope of a line through the later half of the switches
(`--trials 201` gives 200 switches).
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

# Imports must find the repository, not this folder; the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import ray
import torch
import tyro
from ray import tune

from search.cluster.connect import connect
from tests.course import SCORE_KEYS
from trainable.data.sources import Cs224nData, DataSource, SampleData
from trainable.model.encoder import EncoderConfig
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask
from trainable.training import checkpoint
from trainable.training.inputs import open_inputs
from trainable.training.loop import Run
from trainable.worker.ray_trainable import MultitaskTrainable

_GPUS = int(torch.cuda.is_available())  # of a trial
_LOSSES = ("sst_loss", "para_loss", "sts_loss")


@dataclass(frozen=True)
class Options:
    """Measure the switch between trials."""

    encoder: str = "tiny"
    """`tiny`, a Hub id, or a Hugging Face folder."""

    data_dir: str | None = None
    """Folder of the course's files; without it the sample data."""

    trials: int = 12
    """Trials of the kinds warm and promoted; there is one switch less."""

    cold_trials: int = 6
    """Trials of the cold kind."""

    out: Path | None = None
    """Also write the figures as JSON."""


class TimedTrainable(MultitaskTrainable):
    """The project's trainable, which also reports times and its resident memory."""

    def _start(self, config: dict[str, Any]) -> None:
        super()._start(config["own"])  # the one axis of Tune's grid

    def step(self) -> dict[str, Any]:
        """Train a unit; add `began_at` and `ended_at` (Unix seconds) and `memory_bytes`."""
        began_at = time.time()
        assert self._run is not None
        # Evaluation is not part of a switch, and would take most of the time of so short a trial.
        self._run.probabilities = lambda split, part=None: {}  # type: ignore[method-assign]
        self._run.score = lambda split, found, part=None: dict.fromkeys(SCORE_KEYS, 0.0)  # type: ignore[method-assign]
        self._run.learning = lambda *arguments: {}  # type: ignore[method-assign]
        report = super().step()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        times = {"began_at": began_at, "ended_at": time.time()}
        return report | times | {"memory_bytes": pages * os.sysconf("SC_PAGE_SIZE")}


class Deleting(tune.Callback):
    """Deletes the checkpoint of a trial that has ended, as a search does."""

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Delete the trial's last checkpoint; Tune calls it."""
        shutil.rmtree(trial.checkpoint.path)


def configurations(options: Options) -> list[RunConfig]:
    """Return the run of each trial; it has two units."""
    data: DataSource = SampleData()
    if options.data_dir is not None:
        data = Cs224nData(dir=str(Path(options.data_dir).absolute()))
    source = options.encoder
    if Path(source).is_dir():
        source = str(Path(source).absolute())
    stage = Multitask(budget_tokens=2000, units=2)
    encoder = EncoderConfig(source=source)
    return [
        RunConfig(seed=seed, data=data, encoder=encoder, multitask=stage)
        for seed in range(options.trials)
    ]


def save_halves(configs: list[RunConfig], folder: str) -> list[str]:
    """Train and save the first unit of two runs; return a checkpoint for each configuration."""
    kept = []
    for config in configs[:2]:
        run = Run(config, open_inputs(config, torch.device("cuda" if _GPUS else "cpu")))
        run.train_unit()
        own = Path(folder) / f"half_{config.seed}"
        own.mkdir()
        checkpoint.save(run, own)
        kept.append(own.name)
    return [kept[i % 2] for i in range(len(configs))]


def search(trials: list[dict[str, Any]], folder: str, *, name: str) -> list[dict[str, Any]]:
    """Run one search with one slot; return the last report of each trial, in order of time."""
    result = tune.run(
        TimedTrainable,
        name=name,
        storage_path=folder,
        config={"own": tune.grid_search(trials)},
        stop=lambda trial_id, report: True,  # after one unit
        checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1, num_to_keep=1),
        resources_per_trial={"cpu": 2, "gpu": _GPUS},
        max_concurrent_trials=1,
        reuse_actors=name != "cold",
        callbacks=[Deleting()],
        verbose=0,
    )
    return sorted((t.last_result for t in result.trials), key=lambda r: float(r["ended_at"]))


def figures_of(reports: list[dict[str, Any]]) -> dict[str, float]:
    """Return statistics of the switches between trials: `n`, all others in seconds."""
    ranked = sorted(b["began_at"] - a["ended_at"] for a, b in pairwise(reports))
    return {
        "n": len(ranked),
        "median": statistics.median(ranked),
        "min": ranked[0],
        "max": ranked[-1],
        "p95": ranked[round(0.95 * (len(ranked) - 1))],
        "start": statistics.median(report["start_seconds"] for report in reports[1:]),
    }


def memory_slope(reports: list[dict[str, Any]]) -> float:
    """Return the growth of the actor's memory, in bytes a switch, over the later half."""
    sizes = [float(report["memory_bytes"]) for report in reports[len(reports) // 2 :]]
    return statistics.linear_regression(range(len(sizes)), sizes).slope


def main() -> None:
    """Measure all kinds, and print."""
    options = tyro.cli(Options)
    # A search lets idle threads sleep, and switches Tune's own loggers and tables off, too.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    device = torch.cuda.get_device_name() if _GPUS else "CPU"
    print(f"{device}, torch {torch.__version__}, ray {ray.__version__}, {connect('local')}")
    configs = configurations(options)
    plain = [{"run_config": config.to_dict()} for config in configs]
    with tempfile.TemporaryDirectory() as folder:
        halves = zip(configs, save_halves(configs, folder), strict=True)
        promoted = [
            # Runs alternate between two configurations, because a checkpoint belongs to one.
            {"run_config": configs[i % 2].to_dict(), "storage": folder, "checkpoints": [half]}
            for i, (_, half) in enumerate(halves)
        ]
        kinds: dict[str, list[dict[str, Any]]] = {
            "warm": plain,
            "promoted": promoted,
            "cold": plain[: options.cold_trials],
        }
        found: dict[str, list[dict[str, Any]]] = {}
        figures: dict[str, dict[str, float]] = {}
        for kind, trials in kinds.items():
            found[kind] = search(trials, folder, name=kind)
            own = figures[kind] = figures_of(found[kind])
            print(f"{kind:8}", "  ".join(f"{name} {value:.3f}" for name, value in own.items()))
    ray.shutdown()
    print(f"cold / warm, medians: {figures['cold']['median'] / figures['warm']['median']:.1f}")
    pairs = zip(found["warm"], found["cold"], strict=False)
    equal = all(repr(warm[key]) == repr(cold[key]) for warm, cold in pairs for key in _LOSSES)
    print(f"losses of warm and cold trials are equal: {equal}")
    print(f"memory gained by the warm actor: {memory_slope(found['warm']) / 1e6:.3f} MB a switch")
    if options.out:
        options.out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
