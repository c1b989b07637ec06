from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from search.searchers.base import draw_params
from spaces.catalogue import make_space
from tests.benchmarks import record
from tests.benchmarks.neighbours import neighbour
from tests.benchmarks.recorded import read_table
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask
from trainable.training.inputs import RunInputs
from trainable.training.loop import Run

CONFIG = RunConfig(multitask=Multitask(budget_tokens=900, units=2))
CURVE = {"scores": [0.1, 0.2], "worth": 0.4}


def options(folder: Path, **changes: Any) -> record.Options:
    """Return options whose encoder and data are never opened."""
    tables = {"recorded": folder / "recorded.jsonl.gz", "near": folder / "near.jsonl.gz"}
    return record.Options("MINILM", folder, folder / "out", jobs=1, **tables, **changes)


def keep(own: record.Options, found: dict[tuple[int, int], dict[str, Any]]) -> None:
    """Write files of all runs: `found` by trial and seed, and CURVE for all others."""
    own.out.mkdir()
    for run in record.wanted_runs(record.space_of(own), own.trials):
        curve = found.get((run.trial, run.seed), CURVE)
        record.file_of(own.out, run).write_text(json.dumps(curve))


def test_the_same_runs_are_wanted_every_time(tmp_path: Path) -> None:
    space = record.space_of(options(tmp_path))
    wanted = list(record.wanted_runs(space, 4))
    assert wanted == list(record.wanted_runs(space, 6))[: len(wanted)]
    assert [(run.trial, run.seed) for run in wanted[:5]] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    assert wanted[0].params == wanted[1].params != wanted[3].params
    assert wanted[2].params == neighbour(space.params(), wanted[0].params, 0)


def test_a_run_that_has_a_file_is_not_run_again(tmp_path: Path) -> None:
    own = options(tmp_path, trials=3)
    other = {"scores": [0.3, 0.4], "worth": 0.5}
    keep(own, {(1, 1): other, (2, 2): other})
    record.main(own)
    wanted = list(record.wanted_runs(record.space_of(own), 3))
    rows = read_table(own.recorded)
    assert [row["params"] for row in rows] == [run.params for run in wanted if run.seed == 0]
    assert [row["runs"] for row in rows] == [[CURVE, CURVE], [CURVE, other], [CURVE, CURVE]]
    beside = [run.params for run in wanted if run.seed == 2]
    near = [{"of": 0, "params": beside[0], **CURVE}, {"of": 2, "params": beside[1], **other}]
    assert read_table(own.near) == near


def test_a_configuration_of_which_a_run_failed_is_left_out(tmp_path: Path) -> None:
    own = options(tmp_path, trials=5)
    failure = {"failure": "not finite in unit 1"}
    keep(own, {(0, 1): failure, (2, 2): failure})
    record.main(own)
    wanted = list(record.wanted_runs(record.space_of(own), 5))
    kept = [run.params for run in wanted if run.seed == 0 and run.trial != 0]
    assert [row["params"] for row in read_table(own.recorded)] == kept
    # `of` counts the rows of the table of recorded configurations.
    (near,) = read_table(own.near)
    assert (near["of"], near["params"]) == (3, wanted[-1].params)


def test_a_run_that_is_not_scored_at_its_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"--score-at \(1, 3\): a run ends with unit 9; name it"):
        record.main(options(tmp_path, score_at=(1, 3)))


@pytest.mark.slow
def test_a_run_is_trained_to_its_end(tmp_path: Path, inputs: RunInputs) -> None:
    path = tmp_path / "trial.json"
    record.run_one(CONFIG, (2,), path)
    run = Run(CONFIG, inputs)
    while not run.done:
        run.train_unit()
    last = run.score("select", run.probabilities("select"))
    worth = run.score("confirm", run.probabilities("confirm"))
    found = json.loads(path.read_text())
    assert list(found["tasks"]) == ["sst_acc", "para_acc", "sts_corr"]
    for metric, own in (("score", found), *found["tasks"].items()):
        assert own["scores"] == [None, pytest.approx(last[metric], abs=1e-5)]
        assert own["worth"] == pytest.approx(worth[metric], abs=1e-5)


def test_a_run_that_diverges_writes_its_failure(tmp_path: Path) -> None:
    assert CONFIG.multitask is not None
    rate = CONFIG.multitask.optimization.model_copy(update={"lr": 1e30, "head_lr": 1e30})
    stage = CONFIG.multitask.model_copy(update={"optimization": rate})
    record.run_one(CONFIG.model_copy(update={"multitask": stage}), (2,), tmp_path / "trial.json")
    found = json.loads((tmp_path / "trial.json").read_text())
    assert "not finite in unit" in found["failure"]


@pytest.mark.slow  # a process of its own trains
def test_runs_in_another_process_fill_both_tables(tmp_path: Path) -> None:
    own = options(tmp_path, trials=1)
    wanted = list(record.wanted_runs(record.space_of(own), 1))
    space = make_space("full", CONFIG)
    drawn = [run._replace(params=draw_params(space.params(), Random(4))) for run in wanted]
    record.run_missing(space, drawn, own)
    (row,), (near,) = record.rows(drawn, own.out)
    assert row["params"] == near["params"] == drawn[0].params
    for run in (*row["runs"], near):
        assert len(run["scores"]) == 2
        assert -1 / 3 <= run["worth"] <= 1
    assert row["runs"][0] != row["runs"][1]  # another seed
