"""What a search found stays readable where Ray and Optuna are not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from search.log.events import VERSION, begin_log, new_event
from tests.course import SCORE_KEYS
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask

_ROOT = Path(__file__).resolve().parents[2]
_READ = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("ray", "optuna"):
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Refuse())
from pathlib import Path
from search.log.events import read_events
from search.log.history import History
from search.report.result_files import result_files

history = History(read_events(Path(sys.argv[1])))
print(*result_files("s", history))
"""


@pytest.mark.slow
def test_history_and_results_need_neither_ray_nor_optuna(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    config = RunConfig(multitask=Multitask(budget_tokens=4000, units=1)).to_dict()
    chosen = {"params": {"lr": 0.1}, "run_config": config, "bracket": 0, "origin": "default"}
    metrics = dict.fromkeys(SCORE_KEYS, 0.5)
    first = {"version": VERSION, "n_trials": 1, "space": {"lr": {}}, "options": {}}
    first |= {"versions": {"python": "3.11"}}
    events = [
        new_event("search", data_fingerprint="0123", units=1, **first),
        new_event("suggested", trial=0, **chosen),
        new_event("reported", trial=0, unit=1, metrics=metrics, failure=""),
        new_event("ended", trial=0, status="done", error=None),
    ]
    begin_log(log, events)
    command = [sys.executable, "-c", _READ, str(log)]
    found = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == ["trials.csv", "best.json"]
