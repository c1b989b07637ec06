from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from trainable.batch_orders.all_tasks import LockStep, ProportionalBatches
from trainable.batch_orders.family import BatchOrderConfig
from trainable.component import Component
from trainable.errors import InputError
from trainable.gradients.dynamic_weight_average import DynamicWeightAverage
from trainable.gradients.gradvac import GradVac
from trainable.gradients.loss_improvement import LossImprovement
from trainable.gradients.pcgrad import PCGrad
from trainable.gradients.uncertainty import UncertaintyGradients
from trainable.model.encoder import EncoderConfig
from trainable.model.pairs import DensePairLayer
from trainable.model.pooling import AttentionPooling, WeightedPooling
from trainable.optim.adamw import Optimization
from trainable.optim.averaging import EmaAveraging, NoAveraging, SwaAveraging
from trainable.run_config import RunConfig
from trainable.stages.head_tuning import CachedHeadTuning
from trainable.stages.multitask import Multitask, RDrop
from trainable.task_config import PairNumber, SingleClasses, TaskConfig
from trainable.training import checkpoint
from trainable.training.inputs import RunInputs, open_inputs
from trainable.training.loop import Run, RunLeft
from trainable.training.step import MultitaskTraining

# Two windows in half a run, so that a checkpoint lies in the third.
WINDOWS = {DynamicWeightAverage: {"window": 1}}
# What leaves the default way of an order.
MORE_ORDERS: tuple[BatchOrderConfig, ...] = (
    LockStep(batch_size=4, wrap=False),
    LockStep(batch_size=4, replacement=True),
    LockStep(batch_size=4, wrap=False, replacement=True, gradients=GradVac(beta=0.5)),
    LockStep(batch_size=4, gradients=LossImprovement(standardised=True)),
    LockStep(batch_size=4, wrap=False, gradients=LossImprovement(standardised=True)),
)


def members(annotation: Any) -> tuple[type[Any], ...]:
    """Return the components of a family, as a RunConfig may hold them."""
    return get_args(get_args(annotation)[0]) or get_args(annotation)


def made(order: type[Any], gradients: type[Component]) -> BatchOrderConfig:
    small = {"largest": 6, "smallest": 2} if order is ProportionalBatches else {"batch_size": 4}
    if "cap" in order.model_fields:
        small["cap"] = 1
    own = gradients(**WINDOWS.get(gradients, {}))
    found: BatchOrderConfig = order(gradients=own, **small)
    return found


ORDER_GRADIENTS = tuple(
    made(order, gradients)
    for order in members(BatchOrderConfig)
    for gradients in get_args(order.model_fields["gradients"].annotation)
)
# Small train sets: most orders come to the end of one in a run of a few steps.
SIZES = {"sst": 20, "para": 30, "sts": 10}


def config_with(batch_order: BatchOrderConfig, **stage: Any) -> RunConfig:
    optimization = Optimization(lr=1e-3, head_lr=1e-2)
    settings = {"optimization": optimization, "budget_tokens": 1200, "units": 2} | stage
    return RunConfig(
        seed=5,
        encoder=EncoderConfig(dropout=0.2),
        multitask=Multitask(batch_order=batch_order, **settings),
    )


CONFIG = config_with(LockStep(batch_size=4))


def changed(**fields: Any) -> RunConfig:
    return CONFIG.model_copy(update=fields)


def with_tasks(**tasks: TaskConfig) -> RunConfig:
    return changed(tasks=CONFIG.tasks | tasks)


# Name -> a run with something in it that must survive, besides order and combination.
VARIANTS = {
    "plain": CONFIG,
    "attention dropout": changed(encoder=EncoderConfig(attention_dropout=0.5)),
    "an encoder for each task": changed(encoder=EncoderConfig(dropout=0.2, sharing="per_task")),
    "pair layer": changed(pair_layer=DensePairLayer(dropout=0.3)),
    "learned pooling": with_tasks(
        sst=SingleClasses(pooling=AttentionPooling()), sts=PairNumber(pooling=WeightedPooling())
    ),
    "exponential average": config_with(LockStep(batch_size=4), averaging=EmaAveraging(decay=0.9)),
    "exponential average and head tuning": config_with(
        LockStep(batch_size=4), averaging=EmaAveraging(decay=0.9)
    ).model_copy(
        update={"head_tuning": CachedHeadTuning(tasks="sst+sts", epochs=1, batch_size=16)}
    ),
    "average of the last part": config_with(
        LockStep(batch_size=4), averaging=SwaAveraging(start=0.2)
    ),
    "average that is yet to begin": config_with(
        LockStep(batch_size=4), averaging=SwaAveraging(start=0.7)
    ),
    "r-drop": config_with(LockStep(batch_size=4), regularization=RDrop(), budget_tokens=2400),
    "uncertainty and average": config_with(
        LockStep(batch_size=4, gradients=UncertaintyGradients()), averaging=EmaAveraging()
    ),
    "amsgrad and rates of tasks": config_with(
        LockStep(batch_size=4),
        optimization=Optimization(lr=1e-3, amsgrad=True, task_lr={"sst": 3.0}),
    ),
    "fewer tasks": config_with(LockStep(batch_size=4), tasks="para+sts"),
    "head tuning": changed(head_tuning=CachedHeadTuning(tasks="sst", epochs=1, batch_size=64)),
}


@pytest.fixture(scope="module")
def small(cut_inputs: Callable[..., RunInputs]) -> RunInputs:
    return cut_inputs(scored=60, **SIZES)


@pytest.fixture
def saved(inputs: RunInputs, tmp_path: Path) -> Path:
    run = Run(CONFIG, inputs)
    run.train_unit()
    checkpoint.save(run, tmp_path)
    return tmp_path


def training(run: Run) -> MultitaskTraining:
    assert run.training is not None
    return run.training


def assert_equal_state(one: Run, other: Run) -> None:
    """Compare, bit for bit, everything that a next step would depend on."""
    assert (one.tokens, one.steps, one.units) == (other.tokens, other.steps, other.units)
    assert torch.equal(one.generator.get_state(), other.generator.get_state())
    assert one.model.state_dict().keys() == other.model.state_dict().keys()
    for name, tensor in one.model.state_dict().items():
        assert torch.equal(tensor, other.model.state_dict()[name]), name
    assert_equal_training(training(one), training(other))


def assert_equal_training(one: MultitaskTraining, other: MultitaskTraining) -> None:
    assert one.order.state() == other.order.state()
    assert one.weighting.state() == other.weighting.state()
    assert torch.equal(one.gradient_generator.get_state(), other.gradient_generator.get_state())
    mine, theirs = optimized(one), optimized(other)
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        assert torch.equal(tensor, theirs[name]), name
    assert one.average.state() == other.average.state()
    for number, tensor in one.average.tensors().items():
        assert torch.equal(tensor, other.average.tensors()[number]), number
    for task, order in one.example_orders.items():
        assert torch.equal(order.take(20), other.example_orders[task].take(20)), task


def optimized(run: MultitaskTraining) -> dict[str, torch.Tensor]:
    """Return everything that the optimizer trains, and its moments, by number."""
    found = {}
    parameters = [p for group in run.optimizer.param_groups for p in group["params"]]
    for number, parameter in enumerate(parameters):
        found[str(number)] = parameter
        for key, value in run.optimizer.state.get(parameter, {}).items():
            found[f"{key} of {number}"] = value
    return found


def resumed_after_a_unit(
    config: RunConfig, inputs: RunInputs, folder: Path, evaluate: bool = False
) -> None:
    """Compare a run that is saved and loaded after its first unit with one that is not.

    It is left once more, after the first step of the second unit.
    """
    uninterrupted = Run(config, inputs)
    uninterrupted.train_unit()
    checkpoint.save(uninterrupted, folder)
    if evaluate:
        uninterrupted.evaluate("select")
    losses = uninterrupted.train_unit()
    assert uninterrupted.steps >= 4

    torch.manual_seed(99)  # another process
    left = Run(config, inputs)
    checkpoint.load(left, folder)
    with pytest.raises(RunLeft):
        left.train_unit(leave)
    checkpoint.save(left, folder)
    resumed = Run(config, inputs)
    checkpoint.load(resumed, folder)
    assert (resumed.units, resumed.steps) == (1, left.steps)
    again = resumed.train_unit()
    assert resumed.done
    seconds = {"prefix_seconds": 0, "train_seconds": 0}
    assert again | seconds == pytest.approx(losses | seconds, rel=0, abs=0, nan_ok=True)
    assert_equal_state(resumed, uninterrupted)
    if evaluate:
        assert_equal_predictions(resumed, uninterrupted)


def leave(what: str, share: float) -> None:
    raise RunLeft(f"{what} {share}")


def assert_equal_predictions(one: Run, other: Run) -> None:
    found = other.probabilities("select")
    for task, own in one.probabilities("select").items():
        assert torch.equal(own, found[task]), task


def test_every_order_and_combination_is_tested() -> None:
    kinds = {(order.kind, order.gradients.kind) for order in ORDER_GRADIENTS}
    assert len(kinds) == len(ORDER_GRADIENTS) >= 50
    assert len({kind for kind, _ in kinds}) == 8
    assert len({kind for _, kind in kinds}) == 13
    assert {
        ("proportional", "plain"),
        ("round_robin", "weighted"),
        ("stochastic", "dwa"),
        ("lock_step", "pcgrad"),
        ("proportional_batches", "nash_mtl"),
    } <= kinds


@pytest.mark.parametrize(
    "batch_order",
    [*ORDER_GRADIENTS, *MORE_ORDERS],
    ids=lambda order: f"{order.kind}-{order.gradients.kind}",
)
def test_resumed_run_equals_the_uninterrupted_one_bit_for_bit(
    small: RunInputs, tmp_path: Path, batch_order: BatchOrderConfig
) -> None:
    resumed_after_a_unit(config_with(batch_order), small, tmp_path)


@pytest.mark.parametrize("name", VARIANTS)
def test_whatever_a_run_has_goes_on_where_it_was(
    small: RunInputs, tmp_path: Path, name: str
) -> None:
    resumed_after_a_unit(VARIANTS[name], small, tmp_path, evaluate=True)


@pytest.mark.parametrize("averaging", [NoAveraging(), EmaAveraging(), SwaAveraging(start=0.2)])
def test_a_run_that_is_loaded_predicts_as_the_one_that_was_saved(
    small: RunInputs, tmp_path: Path, averaging: NoAveraging | EmaAveraging | SwaAveraging
) -> None:
    """Between units the average is evaluated, and the weights behind it stay."""
    config = config_with(LockStep(batch_size=4), averaging=averaging)
    run = Run(config, small)
    while not run.done:
        run.train_unit()
        checkpoint.save(run, tmp_path)
        loaded = Run(config, small)
        checkpoint.load(loaded, tmp_path)
        assert_equal_predictions(loaded, run)
        assert_equal_state(loaded, run)


def test_resumed_run_equals_the_uninterrupted_one_over_the_end_of_a_pass(
    inputs: RunInputs, tmp_path: Path
) -> None:
    def near_the_end(run: Run) -> Run:
        for order in training(run).example_orders.values():
            order.position = 2 * order.n_examples - 6
        return run

    uninterrupted = near_the_end(Run(CONFIG, inputs))
    uninterrupted.train_unit()
    checkpoint.save(uninterrupted, tmp_path)
    uninterrupted.train_unit()
    resumed = Run(CONFIG, inputs)
    checkpoint.load(resumed, tmp_path)
    resumed.train_unit()
    assert_equal_state(resumed, uninterrupted)


def test_a_run_without_a_multitask_stage_is_saved_and_loaded(
    inputs: RunInputs, tmp_path: Path
) -> None:
    tuning = CachedHeadTuning(tasks="sst", epochs=1, batch_size=64)
    config = RunConfig(multitask=None, head_tuning=tuning)
    run = Run(config, inputs)
    run.train_unit()
    checkpoint.save(run, tmp_path)
    loaded = Run(config, inputs)
    checkpoint.load(loaded, tmp_path)
    assert loaded.done
    assert loaded.training is None
    assert_equal_predictions(loaded, run)


def test_finished_run_is_loaded_as_finished(inputs: RunInputs, tmp_path: Path) -> None:
    run = Run(CONFIG, inputs)
    while not run.done:
        run.train_unit()
    checkpoint.save(run, tmp_path)
    loaded = Run(CONFIG, inputs)
    checkpoint.load(loaded, tmp_path)
    assert loaded.done
    expected = run.evaluate("select")
    assert {**loaded.evaluate("select"), "eval_seconds": 0} == {**expected, "eval_seconds": 0}


def test_saving_again_into_a_folder_replaces_what_was_there(inputs: RunInputs, saved: Path) -> None:
    run = Run(CONFIG, inputs)
    checkpoint.load(run, saved)
    run.train_unit()
    checkpoint.save(run, saved)
    assert {path.name for path in saved.iterdir()} == {"state.json", "state.safetensors"}
    loaded = Run(CONFIG, inputs)
    checkpoint.load(loaded, saved)
    assert_equal_state(loaded, run)


def refusal(run: Run, folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        checkpoint.load(run, folder)
    assert str(folder) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["state.json", "state.safetensors"])
def test_folder_without_a_file_is_refused(inputs: RunInputs, saved: Path, name: str) -> None:
    (saved / name).unlink()
    assert "not whole" in refusal(Run(CONFIG, inputs), saved)


@pytest.mark.parametrize("name", ["state.json", "state.safetensors"])
def test_torn_file_is_refused(inputs: RunInputs, saved: Path, name: str) -> None:
    path = saved / name
    path.write_bytes(path.read_bytes()[:-50])
    assert "not whole" in refusal(Run(CONFIG, inputs), saved)


@pytest.mark.parametrize("keys", ["", "units", "more"])
def test_a_state_that_save_does_not_write_is_refused(
    inputs: RunInputs, saved: Path, keys: str
) -> None:
    """A list, or with a key too few or too many."""
    state = json.loads((saved / "state.json").read_text())
    others = {"": [], "units": {k: v for k, v in state.items() if k != "units"}}
    (saved / "state.json").write_text(json.dumps(others.get(keys, {**state, "more": 1})))
    error = refusal(Run(CONFIG, inputs), saved)
    assert str(saved) in error
    assert "state.json is not what `save` writes" in error


def test_what_a_unit_has_cost_so_far_is_kept(inputs: RunInputs, tmp_path: Path) -> None:
    run = Run(CONFIG, inputs)
    run.so_far.counts["loss"] = 3
    run.so_far.prefix_seconds, run.so_far.train_seconds = 4.0, 5.0
    checkpoint.save(run, tmp_path)
    again = Run(CONFIG, inputs)
    checkpoint.load(again, tmp_path)
    assert again.so_far == run.so_far


def test_checkpoint_of_another_run_is_refused(inputs: RunInputs, saved: Path) -> None:
    other = Run(config_with(LockStep(batch_size=4, gradients=PCGrad())), inputs)
    assert "another RunConfig" in refusal(other, saved)


def test_run_config_inside_a_checkpoint_is_checked(inputs: RunInputs, saved: Path) -> None:
    state = json.loads((saved / "state.json").read_text())
    del state["run_config"]["seed"]
    (saved / "state.json").write_text(json.dumps(state))
    assert "field 'seed' is missing" in refusal(Run(CONFIG, inputs), saved)


def test_checkpoint_over_other_data_is_refused(inputs: RunInputs, saved: Path) -> None:
    corpus = replace(inputs.corpus, fingerprint="0" * 16)
    run = Run(CONFIG, replace(inputs, corpus=corpus))
    assert "the data have changed" in refusal(run, saved)


@pytest.mark.parametrize(
    "name",
    ["plain", "an encoder for each task", "exponential average", "amsgrad and rates of tasks"],
)
@pytest.mark.parametrize("optimizer", [True, False])
def test_the_size_is_that_of_weights_average_and_moments(
    small: RunInputs, tmp_path: Path, name: str, optimizer: bool
) -> None:
    run = Run(VARIANTS[name], small)
    run.train_unit()
    checkpoint.save(run, tmp_path, optimizer=optimizer)
    size = (tmp_path / "state.safetensors").stat().st_size
    n_parameters = sum(p.numel() for p in run.model.parameters()) // len(run.model.encoders)
    stated = checkpoint.size_in_bytes(run.config, n_parameters, optimizer=optimizer)
    assert size == pytest.approx(stated, rel=0.1)


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_run_on_a_gpu_goes_on_bit_for_bit(tmp_path: Path) -> None:
    stage = Multitask(budget_tokens=6000, units=2)
    config = RunConfig(tasks={"sst": SingleClasses(pooling=AttentionPooling())}, multitask=stage)
    resumed_after_a_unit(config, open_inputs(config, torch.device("cuda")), tmp_path)
