from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch

from trainable import checkpoint
from trainable.batch_order import BatchOrderConfig, LockStep
from trainable.encoder import EncoderConfig
from trainable.errors import InputError
from trainable.gradients import PCGrad
from trainable.loop import Run
from trainable.optimization import Optimization
from trainable.run_config import Multitask, RunConfig
from trainable.workbench import Workbench

ORDERS = get_args(get_args(BatchOrderConfig)[0])
ORDER_GRADIENTS = [
    order(batch_size=4, gradients=gradients())
    for order in ORDERS
    for gradients in get_args(order.model_fields["gradients"].annotation)
]


def config_with(batch_order: BatchOrderConfig) -> RunConfig:
    optimization = Optimization(lr=1e-3, head_lr=1e-2)
    stage = Multitask(
        batch_order=batch_order, optimization=optimization, budget_tokens=1200, units=2
    )
    return RunConfig(seed=5, encoder=EncoderConfig(dropout=0.2), stages=(stage,))


CONFIG = config_with(LockStep(batch_size=4))


@pytest.fixture
def saved(workbench: Workbench, tmp_path: Path) -> Path:
    run = Run(CONFIG, workbench)
    run.train_unit()
    checkpoint.save(run, tmp_path)
    return tmp_path


def assert_equal_state(one: Run, other: Run) -> None:
    """Compare, bit for bit, everything that a next step would depend on."""
    assert (one.tokens, one.steps, one.units) == (other.tokens, other.steps, other.units)
    assert one.batch_order.state() == other.batch_order.state()
    assert torch.equal(one.generator.get_state(), other.generator.get_state())
    assert torch.equal(one.gradient_generator.get_state(), other.gradient_generator.get_state())
    assert one.model.state_dict().keys() == other.model.state_dict().keys()
    pairs = zip(one.model.named_parameters(), other.model.named_parameters(), strict=True)
    for (name, mine), (_, theirs) in pairs:
        assert torch.equal(mine, theirs), name
        my_state, their_state = one.optimizer.state[mine], other.optimizer.state[theirs]
        assert my_state.keys() == their_state.keys(), name
        for key, value in my_state.items():
            assert torch.equal(value, their_state[key]), f"{key} of {name}"
    for task, order in one.examples.items():
        assert torch.equal(order.take(20), other.examples[task].take(20))


def test_every_order_and_combination_is_tested() -> None:
    kinds = {(order.kind, order.gradients.kind) for order in ORDER_GRADIENTS}
    assert {
        ("proportional", "plain"),
        ("round_robin", "weighted"),
        ("lock_step", "pcgrad"),
    } <= kinds
    assert len(kinds) >= 7


@pytest.mark.parametrize(
    "batch_order", ORDER_GRADIENTS, ids=lambda order: f"{order.kind}-{order.gradients.kind}"
)
def test_resumed_run_equals_the_uninterrupted_one_bit_for_bit(
    workbench: Workbench, tmp_path: Path, batch_order: BatchOrderConfig
) -> None:
    config = config_with(batch_order)
    uninterrupted = Run(config, workbench)
    uninterrupted.train_unit()
    checkpoint.save(uninterrupted, tmp_path)
    uninterrupted.evaluate("select")
    losses = uninterrupted.train_unit()

    torch.manual_seed(99)  # another process
    resumed = Run(config, workbench)
    checkpoint.load(resumed, tmp_path)
    again = resumed.train_unit()
    assert resumed.done
    assert {**again, "train_seconds": 0} == pytest.approx(
        {**losses, "train_seconds": 0}, rel=0, abs=0, nan_ok=True
    )
    assert_equal_state(resumed, uninterrupted)


def test_resumed_run_equals_the_uninterrupted_one_over_the_end_of_a_pass(
    workbench: Workbench, tmp_path: Path
) -> None:
    def near_the_end(run: Run) -> Run:
        for order in run.examples.values():
            order.position = 2 * order.n_examples - 6
        return run

    uninterrupted = near_the_end(Run(CONFIG, workbench))
    uninterrupted.train_unit()
    checkpoint.save(uninterrupted, tmp_path)
    uninterrupted.train_unit()
    resumed = Run(CONFIG, workbench)
    checkpoint.load(resumed, tmp_path)
    resumed.train_unit()
    assert_equal_state(resumed, uninterrupted)


def test_attention_dropout_goes_on_where_it_was(workbench: Workbench, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"encoder": EncoderConfig(attention_dropout=0.5)})
    uninterrupted = Run(config, workbench)
    uninterrupted.train_unit()
    checkpoint.save(uninterrupted, tmp_path)
    uninterrupted.train_unit()
    torch.manual_seed(99)
    resumed = Run(config, workbench)
    checkpoint.load(resumed, tmp_path)
    resumed.train_unit()
    assert_equal_state(resumed, uninterrupted)


def test_finished_run_is_loaded_as_finished(workbench: Workbench, tmp_path: Path) -> None:
    run = Run(CONFIG, workbench)
    while not run.done:
        run.train_unit()
    checkpoint.save(run, tmp_path)
    loaded = Run(CONFIG, workbench)
    checkpoint.load(loaded, tmp_path)
    assert loaded.done
    expected = run.evaluate("select")
    assert {**loaded.evaluate("select"), "eval_seconds": 0} == {**expected, "eval_seconds": 0}


def test_saving_again_into_a_folder_replaces_what_was_there(
    workbench: Workbench, saved: Path
) -> None:
    run = Run(CONFIG, workbench)
    checkpoint.load(run, saved)
    run.train_unit()
    checkpoint.save(run, saved)
    assert {path.name for path in saved.iterdir()} == {"state.json", "state.safetensors"}
    loaded = Run(CONFIG, workbench)
    checkpoint.load(loaded, saved)
    assert_equal_state(loaded, run)


def refusal(run: Run, folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        checkpoint.load(run, folder)
    assert str(folder) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["state.json", "state.safetensors"])
def test_folder_without_a_file_is_refused(workbench: Workbench, saved: Path, name: str) -> None:
    (saved / name).unlink()
    assert "not whole" in refusal(Run(CONFIG, workbench), saved)


@pytest.mark.parametrize("name", ["state.json", "state.safetensors"])
def test_torn_file_is_refused(workbench: Workbench, saved: Path, name: str) -> None:
    path = saved / name
    path.write_bytes(path.read_bytes()[:-50])
    assert "not whole" in refusal(Run(CONFIG, workbench), saved)


def test_checkpoint_of_another_run_is_refused(workbench: Workbench, saved: Path) -> None:
    other = Run(config_with(LockStep(batch_size=4, gradients=PCGrad())), workbench)
    assert "another RunConfig" in refusal(other, saved)


def test_run_config_inside_a_checkpoint_is_checked(workbench: Workbench, saved: Path) -> None:
    state = json.loads((saved / "state.json").read_text())
    del state["run_config"]["seed"]
    (saved / "state.json").write_text(json.dumps(state))
    assert "field 'seed' is missing" in refusal(Run(CONFIG, workbench), saved)


def test_checkpoint_over_other_data_is_refused(workbench: Workbench, saved: Path) -> None:
    corpus = copy.copy(workbench.corpus)
    corpus.fingerprint = "0" * 16
    run = Run(CONFIG, replace(workbench, corpus=corpus))
    assert "the data have changed" in refusal(run, saved)


def test_size_is_that_of_weights_and_two_moments(workbench: Workbench, saved: Path) -> None:
    n_parameters = sum(p.numel() for p in Run(CONFIG, workbench).model.parameters())
    size = (saved / "state.safetensors").stat().st_size
    assert size == pytest.approx(checkpoint.size_in_bytes(n_parameters), rel=0.1)
