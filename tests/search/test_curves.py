from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)
from tensorboard.plugins.hparams import plugin_data_pb2  # type: ignore[import-untyped]

from search.curves import TensorBoard
from search.plan import Plan
from search.results import TrialRecord
from trainable.evaluation import SCORE_KEYS

MakePlan = Callable[..., Plan]
MakeTrial = Callable[..., TrialRecord]
LOSSES = ("sst_loss", "para_loss", "sts_loss")


def read(folder: Path, trial: int) -> EventAccumulator:
    files = EventAccumulator(str(folder / "tensorboard" / f"trial_{trial:04d}"))
    return files.Reload()


def curve(files: EventAccumulator, key: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in files.Scalars(key)]


def hparams(files: EventAccumulator) -> dict[str, Any]:
    """Return the values of a trial's line of the HParams page."""
    tags = files.summary_metadata
    content = tags["_hparams_/session_start_info"].plugin_data.content
    start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    return {key: getattr(value, value.WhichOneof("kind")) for key, value in start.hparams.items()}


def result(trial: TrialRecord, unit: int) -> dict[str, Any]:
    """Return what Tune hands to the callback: NaN for what is not known."""
    return {k: math.nan if v is None else v for k, v in trial.reports[unit].items()}


@pytest.fixture
def written(plan_of: MakePlan, trial_of: MakeTrial) -> tuple[Plan, list[TrialRecord]]:
    """Files of six trials over a space with params that only some trials have."""
    plan = plan_of(space="heads")
    trials = [trial_of(plan, n, {1: 0.1 + n / 10, 2: 0.2 + n / 10}) for n in range(6)]
    board = TensorBoard(plan.folder.local, plan.space.params())
    for trial in trials:
        board.start(trial.number, trial.params)
    for unit in (1, 2):
        for trial in trials:
            board.report(trial.number, result(trial, unit))
    board.end(0)
    board.close()
    return plan, trials


def test_every_trial_has_its_curves_over_tokens(
    written: tuple[Plan, list[TrialRecord]],
) -> None:
    plan, trials = written
    for trial in trials:
        files = read(plan.folder.local, trial.number)
        for key in SCORE_KEYS:
            expected = [(1000, trial.reports[1][key]), (2000, trial.reports[2][key])]
            assert [step for step, _ in curve(files, key)] == [1000, 2000]
            for (_, value), (_, wanted) in zip(curve(files, key), expected, strict=True):
                assert value == pytest.approx(wanted)


def test_numbers_that_are_not_known_leave_no_point(
    written: tuple[Plan, list[TrialRecord]],
) -> None:
    plan, _ = written
    tags = read(plan.folder.local, 0).Tags()["scalars"]
    assert set(SCORE_KEYS) <= set(tags)
    assert not set(LOSSES) & set(tags)


def test_all_trials_have_the_same_keys_on_the_hparams_page(
    written: tuple[Plan, list[TrialRecord]],
) -> None:
    plan, trials = written
    names = {param.name for param in plan.space.params()}
    assert len(names) > 10
    inactive = 0
    for trial in trials:
        values = hparams(read(plan.folder.local, trial.number))
        assert set(values) == names
        for name, value in values.items():
            if name in trial.params:
                assert value != "n/a"
            else:
                inactive += 1
                assert value == "n/a"
    assert inactive > 0


def test_a_key_has_one_type_in_all_trials(written: tuple[Plan, list[TrialRecord]]) -> None:
    plan, trials = written
    lines = [hparams(read(plan.folder.local, trial.number)) for trial in trials]
    for name in lines[0]:
        assert len({type(line[name]) for line in lines}) == 1


def test_params_are_shown_with_their_values(plan_of: MakePlan, trial_of: MakeTrial) -> None:
    plan = plan_of(space="full")
    trial = trial_of(plan, 0, {})
    board = TensorBoard(plan.folder.local, plan.space.params())
    board.start(0, trial.params)
    board.close()
    values = hparams(read(plan.folder.local, 0))
    lr = trial.params["multitask.optimization.lr"]
    assert values["multitask.optimization.lr"] == pytest.approx(lr)
    assert values["para.pair"] == trial.params["para.pair"]


def test_a_trial_that_starts_again_keeps_its_earlier_points(
    plan_of: MakePlan, trial_of: MakeTrial
) -> None:
    plan = plan_of(space="smoke")
    trial = trial_of(plan, 0, {1: 0.1, 2: 0.2})
    board = TensorBoard(plan.folder.local, plan.space.params())
    for unit in (1, 2):
        board.start(0, trial.params)  # a worker was lost in between
        board.report(0, result(trial, unit))
    board.close()
    assert [step for step, _ in curve(read(plan.folder.local, 0), "score")] == [1000, 2000]


def test_ending_a_trial_twice_or_one_that_never_began_is_harmless(plan_of: MakePlan) -> None:
    plan = plan_of(space="smoke")
    board = TensorBoard(plan.folder.local, plan.space.params())
    board.end(3)
    board.close()
    board.close()
