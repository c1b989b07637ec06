"""A trainable that trains nothing: the contract of `MultitaskTrainable` in milliseconds.

What it reports is a function of its configuration and of the unit, so that two searches that
suggest the same get the same results, however often one of them is interrupted. What it does is
appended to a file, which knows better than the event log what was done twice.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import tune

from tests.course import SCORE_KEYS, WORST_SCORE
from trainable.tasks import COURSE
from trainable.worker.ray_trainable import report_keys
from trainable.worker.tune_storage import save_in_place

UNITS_FILE, CHECKPOINT_FILE = "units.jsonl", "unit.json"
HOLD_FILE = "hold"  # no unit ends while it is there


@dataclass(frozen=True)
class Faults:
    """How stubs behave.

    Attributes:
        folder: Where they write down what they do.
        seconds: That a unit takes.
        failing: Share of configurations whose loss is no number in their second unit.
        unknown: Share of configurations whose score is NaN in their first unit.
        start_errors: Trial -> how many of its starts fail.
        silent: Trials whose reports lack the metric.
        checkpoint_bytes: Size of a checkpoint.
    """

    folder: str
    seconds: float = 0.05
    failing: float = 0.0
    unknown: float = 0.0
    start_errors: dict[str, int] = field(default_factory=dict)
    silent: tuple[int, ...] = ()
    checkpoint_bytes: int = 100


def report_of(faults: Faults, run_config: dict[str, Any], unit: int) -> dict[str, Any]:
    """Return what a trial reports after a unit: all of `NUMBERS`, and `failure`."""
    config = json.dumps(run_config, sort_keys=True)
    quality, luck = _chance(config, "quality"), _chance(config, "luck")
    score = min(1.0, quality * (1 - 0.6**unit) + 0.1 * _chance(config, f"noise {unit}"))
    failure = ""
    if luck < faults.failing and unit == 2:
        score, failure = WORST_SCORE, f"RunFailed: the loss is nan in unit {unit}"
    elif luck > 1 - faults.unknown and unit == 1:
        score = math.nan
    seconds = {"train_seconds": faults.seconds, "eval_seconds": 0.0}
    known = {"unit": unit, "tokens": 1000 * unit, "steps": 10 * unit, **seconds}
    scores = dict.fromkeys(SCORE_KEYS, score)
    return dict.fromkeys(report_keys(COURSE), math.nan) | scores | known | {"failure": failure}


def _chance(config: str, name: str) -> float:
    """Return a number in [0, 1) that depends on both."""
    return int.from_bytes(hashlib.sha256((name + config).encode()).digest()[:6], "big") / 2**48


class StubTrainable(tune.Trainable):
    """Config and result keys of `MultitaskTrainable`; a unit is a sleep.

    Attributes:
        faults: Set in a subclass, which goes to the workers by value.
    """

    faults: Faults

    def setup(self, config: dict[str, Any]) -> None:
        """Start the first trial of this actor."""
        self._start(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start another trial in this actor."""
        self._start(new_config)
        return True

    def _start(self, config: dict[str, Any]) -> None:
        self._trial, self._run_config = config["trial"], json.loads(config["run_config"])
        self._unit, self._lost = 0, []
        self._fails = self._must_fail()
        for path in config["checkpoints"]:
            try:
                folder = config["storage"].removeprefix("file://")
                text = (Path(folder) / path / CHECKPOINT_FILE).read_text()
                self._unit = json.loads(text.rstrip("."))["unit"]
                break
            except (OSError, ValueError) as error:
                self._lost.append((path, str(error)))
        self._note("start")

    def _must_fail(self) -> bool:
        n_failing = self.faults.start_errors.get(str(self._trial), 0)
        if not n_failing:  # what all trials did is long, in a long search
            return False
        starts = [line for line in units(Path(self.faults.folder)) if line["what"] == "start"]
        n_starts: int = sum(line["trial"] == self._trial for line in starts)
        return n_starts < n_failing

    def _note(self, what: str) -> None:
        line = {"what": what, "trial": self._trial, "unit": self._unit, "pid": os.getpid()}
        line |= {"time": time.time()}
        with (Path(self.faults.folder) / UNITS_FILE).open("a") as file:
            file.write(json.dumps(line) + "\n")

    def step(self) -> dict[str, Any]:
        """Sleep, and report."""
        if self._fails:
            raise RuntimeError("CUDA error: device-side assert triggered")
        self._unit += 1
        self._note("begun")
        time.sleep(self.faults.seconds)
        while (Path(self.faults.folder) / HOLD_FILE).exists():
            time.sleep(0.02)
        self._note("finished")
        report = report_of(self.faults, self._run_config, self._unit)
        report |= {"lost": self._lost, "leaving": ""}
        self._lost = []
        if self._trial in self.faults.silent:
            del report["score"]
        return report

    def save(self, checkpoint_dir: str | None = None) -> Any:
        """As `MultitaskTrainable` does."""
        saved = save_in_place(self) if checkpoint_dir is None else None
        return super().save(checkpoint_dir) if saved is None else saved

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the unit, and filling."""
        text = json.dumps({"unit": self._unit})
        filling = "." * (self.faults.checkpoint_bytes - len(text))
        (Path(checkpoint_dir) / CHECKPOINT_FILE).write_text(text + filling)

    def load_checkpoint(self, checkpoint_dir: str) -> None:  # type: ignore[override]
        """Tune's way to go on, which the project does not use."""
        text = (Path(checkpoint_dir) / CHECKPOINT_FILE).read_text()
        self._unit = json.loads(text.rstrip("."))["unit"]


def units(folder: Path) -> list[dict[str, Any]]:
    """Return what stubs did, in order; each line has what, trial, unit, pid and time."""
    path = folder / UNITS_FILE
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]
