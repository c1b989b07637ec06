from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from search.events import VERSION, EventLog
from search.history import History, Journal
from search.storage import EVENTS
from tests.benchmarks import record
from tests.benchmarks.recorded import read_table
from trainable.loop import Run
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask
from trainable.workbench import Workbench

CONFIG = RunConfig(multitask=Multitask(budget_tokens=900, units=2))
FIRST = {"scores": [0.1, 0.2], "worth": 0.4}


def write_log(folder: Path, statuses: list[str]) -> Path:
    """Write the log of a search with trials that ended so; all had FIRST."""
    log = EventLog(folder / EVENTS)
    journal = Journal(History(), log)
    journal.write("search", version=VERSION, units=2, n_trials=len(statuses))
    begun: dict[str, Any] = {"run_config": CONFIG.to_dict(), "bracket": 0, "origin": "random"}
    for number, status in enumerate(statuses):
        journal.write("suggested", trial=number, params={"a": number}, **begun)
        for unit, score in enumerate(FIRST["scores"], 1):  # type: ignore[arg-type]
            metrics = {"score": score, "confirm_score": 0.4}
            journal.write("reported", trial=number, unit=unit, metrics=metrics, failure="")
        journal.write("ended", trial=number, status=status, error=None)
    log.close()
    return folder / EVENTS


def options(folder: Path, statuses: list[str], **changes: Any) -> record.Options:
    log = write_log(folder, statuses)
    return record.Options(log, folder / "out", jobs=1, table=folder / "t.jsonl.gz", **changes)


@pytest.mark.slow  # a process of its own trains
def test_a_trial_is_trained_again_with_another_seed(tmp_path: Path, workbench: Workbench) -> None:
    own = options(tmp_path, ["done", "failed"], seed=5)
    record.main(own)
    (row,) = read_table(own.table)
    run = Run(CONFIG.model_copy(update={"seed": 5}), workbench)
    scores = []
    while not run.done:
        run.train_unit()
        scores.append(run.score("select", run.probabilities("select"))["score"])
    worth = run.score("confirm", run.probabilities("confirm"))["score"]
    assert row == {"params": {"a": 0}, "runs": [FIRST, record.curve(scores, worth)]}


def test_what_was_run_is_not_run_again_and_failures_are_left_out(tmp_path: Path) -> None:
    own = options(tmp_path, ["done", "done", "stopped"])
    own.out.mkdir()
    kept = {"scores": [0.3, 0.4], "worth": 0.5}
    for number, found in enumerate([{"failure": "not finite in unit 1"}, kept]):
        (own.out / f"trial_{number}.json").write_text(json.dumps(found))
    record.main(own)
    assert read_table(own.table) == [{"params": {"a": 1}, "runs": [FIRST, kept]}]


def test_a_second_run_needs_a_seed_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="--seed 0 is that of the search; give another"):
        record.main(options(tmp_path, ["done"], seed=0))


def test_a_run_that_breaks_says_so(tmp_path: Path) -> None:
    assert CONFIG.multitask is not None
    rate = CONFIG.multitask.optimization.model_copy(update={"lr": 1e30, "head_lr": 1e30})
    stage = CONFIG.multitask.model_copy(update={"optimization": rate})
    record.run_again(CONFIG.model_copy(update={"multitask": stage}), tmp_path / "trial_0.json")
    found = json.loads((tmp_path / "trial_0.json").read_text())
    assert "not finite in unit" in found["failure"]
