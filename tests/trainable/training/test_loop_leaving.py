"""A run that is left between two steps, and goes on as if nothing had happened."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trainable.batch_orders.all_tasks import LockStep
from trainable.cache.files import CACHE_VARIABLE
from trainable.errors import InputError
from trainable.gradients.pcgrad import PCGrad
from trainable.optim.adamw import Optimization
from trainable.run_config import RunConfig
from trainable.stages.head_tuning import CachedHeadTuning
from trainable.stages.language_modelling import MaskedLanguageModelling
from trainable.stages.multitask import Multitask
from trainable.training import checkpoint
from trainable.training.inputs import RunInputs
from trainable.training.loop import Run, RunLeft

CONFIG = RunConfig(
    seed=3,
    further_pretraining=MaskedLanguageModelling(budget_tokens=600, batch_size=4, lr=1e-3),
    multitask=Multitask(
        # Cosines of which some steps know nothing, so that metrics have counts of their own.
        batch_order=LockStep(batch_size=4, gradients=PCGrad()),
        optimization=Optimization(lr=1e-3),
        budget_tokens=1600,
        units=2,
    ),
    head_tuning=CachedHeadTuning(tasks="sst", epochs=1, batch_size=64),
)
Metrics = dict[str, float]


@pytest.fixture(scope="module")
def cut(cut_inputs: Callable[..., RunInputs]) -> RunInputs:
    return cut_inputs(scored=40, sst=60, para=60, sts=60)


@pytest.fixture(scope="module")
def whole(cut: RunInputs) -> tuple[Run, list[Metrics]]:
    """A run that was never left, and what its units reported."""
    run = Run(CONFIG, cut)
    return run, [run.train_unit() for _ in range(2)]


def leave_after(steps: int, stage: str = "training") -> Callable[[str, float], None]:
    """Return what leaves a run after so many steps of a stage."""
    seen = 0

    def on_progress(activity: str, fraction: float) -> None:
        nonlocal seen
        seen += activity == stage
        if seen == steps:
            raise RunLeft(f"{activity} after {steps} steps")

    return on_progress


def elsewhere(run: Run, folder: Path) -> Run:
    """Save a run; return one of another process that goes on with it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    checkpoint.save(run, folder)
    torch.manual_seed(99)
    other = Run(run.config, run.inputs)
    checkpoint.load(other, folder)
    return other


def assert_same(run: Run, metrics: list[Metrics], whole: tuple[Run, list[Metrics]]) -> None:
    """Compare weights, scores and what units reported, bit for bit; NaN equals NaN."""
    expected, reported = whole
    assert (run.steps, run.tokens, run.units) == (expected.steps, expected.tokens, 2)
    for name, tensor in expected.model.state_dict().items():
        assert torch.equal(run.model.state_dict()[name], tensor), name
    for mine, theirs in zip(metrics, reported, strict=True):
        assert mine.keys() == theirs.keys()
        for key in mine:
            if not key.endswith("_seconds"):
                equal = mine[key] == theirs[key]
                assert equal or (math.isnan(mine[key]) and math.isnan(theirs[key])), key
    scores = [one.evaluate("select") | {"eval_seconds": 0.0} for one in (run, expected)]
    assert scores[0] == scores[1]


def test_a_run_that_moves_after_every_step_equals_one_that_stays(
    cut: RunInputs, whole: tuple[Run, list[Metrics]], tmp_path: Path
) -> None:
    run, metrics, moves = Run(CONFIG, cut), [], 0
    while not run.done:
        try:
            metrics.append(run.train_unit(leave_after(1)))
        except RunLeft:
            units, steps = run.units, run.steps
            run, moves = elsewhere(run, tmp_path / "checkpoint"), moves + 1
            assert (run.units, run.steps) == (units, steps)
    assert moves == run.steps > 4
    assert_same(run, metrics, whole)


def test_a_run_that_is_left_in_a_stage_before_the_tasks_has_not_begun(
    cut: RunInputs,
    whole: tuple[Run, list[Metrics]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    run = Run(CONFIG, cut)
    with pytest.raises(RunLeft, match="mlm after 2 steps"):
        run.train_unit(leave_after(2, "mlm"))
    assert (run.units, run.steps) == (0, 0)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    run = elsewhere(run, tmp_path / "checkpoint")
    metrics = [run.train_unit() for _ in range(2)]
    assert_same(run, metrics, whole)


def test_files_of_two_moments_of_a_unit_are_refused(cut: RunInputs, tmp_path: Path) -> None:
    run = Run(CONFIG, cut)
    for name in ("first", "second"):
        with pytest.raises(RunLeft):
            run.train_unit(leave_after(1))
        (tmp_path / name).mkdir()
        checkpoint.save(run, tmp_path / name)
    shutil.copyfile(tmp_path / "first" / "state.json", tmp_path / "second" / "state.json")
    with pytest.raises(InputError, match="two files are of different steps"):
        checkpoint.load(Run(CONFIG, cut), tmp_path / "second")


def test_seconds_are_those_of_all_parts_of_a_unit(cut: RunInputs, tmp_path: Path) -> None:
    run = Run(CONFIG, cut)
    with pytest.raises(RunLeft):
        run.train_unit(leave_after(1))
    prefix, train = run.so_far.prefix_seconds, run.so_far.train_seconds
    assert prefix > 0
    assert train > 0
    run = elsewhere(run, tmp_path / "checkpoint")
    first, second = run.train_unit(), run.train_unit()
    assert first["prefix_seconds"] == prefix
    assert first["train_seconds"] > train
    assert second["prefix_seconds"] == 0
    assert run.so_far.counts == {}
