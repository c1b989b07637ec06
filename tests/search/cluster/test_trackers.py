from __future__ import annotations

import subprocess
import sys

import pytest

from search.cluster.trackers import shown_config, shown_metrics
from search.log.trial import TrialRecord


def test_what_is_shown_of_a_trial() -> None:
    numbers: dict[str, float | None] = {"score": 0.5, "confirm_score": 0.4, "x_loss": None}
    reports = {2: {**numbers, "unit": 2.0}}
    trial = TrialRecord(3, {"a.b": 1}, {}, 0.0, 0.0, origin="default", reports=reports)
    assert shown_config(trial) == {"trial": 3, "origin": "default", "a.b": 1}
    assert shown_metrics(trial, 2) == {"training_iteration": 2, "score": 0.5}


@pytest.mark.slow
def test_neither_is_imported_unless_it_is_asked_for() -> None:
    code = (
        "import sys, search.commands.run as run\n"
        "run.check_trackers(run.parse([]))\n"
        "sys.exit(', '.join({'mlflow', 'wandb'} & set(sys.modules)) or 0)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")
