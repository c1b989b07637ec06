"""A finished run, its record, and where its checkpoint is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from search.log.leaderboard import TrialRecord
from tests.course import TASK_NAMES
from trainable.model.pairs import DecisionCosine
from trainable.run_config import RunConfig
from trainable.task_config import PairDecision
from trainable.tasks import TaskName
from trainable.training.loop import Run
from trainable.training.predictions import PREDICTIONS, Found

CONFIG = RunConfig(tasks={"para": PairDecision(pair=DecisionCosine(threshold=0.7))})


@dataclass(frozen=True)
class Finished:
    """A run that is over, and what it said."""

    run: Run
    found: Found

    @property
    def labels(self) -> dict[TaskName, Tensor]:
        splits = self.run.inputs.corpus.splits["select"]
        return {task: splits[task].labels for task in TASK_NAMES}


def trial(config: RunConfig = CONFIG, units: int = CONFIG.units) -> TrialRecord:
    record = TrialRecord(3, {}, config.to_dict(), 0.0, 1.0)
    record.reports = {unit: {"score": 0.5} for unit in range(1, units + 1)}
    record.checkpoints = {units: f"trial_id3/checkpoint_{9:06d}"}
    return record


def checkpoint(folder: Path, number: int) -> Path:
    path = folder / "trial_id3" / f"checkpoint_{number:06d}"
    path.mkdir(parents=True)
    return path / PREDICTIONS
