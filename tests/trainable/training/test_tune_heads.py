"""Head tuning: what it leaves alone, what it changes, and that its cache is no other model."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

import trainable.training.tune_heads
from tests.course import TASK_NAMES
from trainable.batch_orders.all_tasks import LockStep
from trainable.model.encoder import EncoderConfig
from trainable.model.heads import MlpHead
from trainable.model.pairs import (
    DecisionCosine,
    DecisionPair,
    DensePairLayer,
    JointPair,
    NumberCosine,
    NumberPair,
    SiamesePair,
)
from trainable.model.pooling import (
    AttentionPooling,
    ClsPooling,
    MeanPooling,
    Pooling,
    WeightedPooling,
)
from trainable.model.projection import DenseSide
from trainable.model.scalings import ShiftScaling
from trainable.run_config import RunConfig
from trainable.stages.head_tuning import CachedHeadTuning
from trainable.stages.multitask import Multitask
from trainable.task_config import PairDecision, PairNumber, SingleClasses
from trainable.tasks import TaskName
from trainable.training.inputs import RunInputs
from trainable.training.loop import Run
from trainable.training.multitask_bert import pair_encodings
from trainable.training.tune_heads import head_outputs, sentence_vectors

POOLINGS: tuple[Pooling, ...] = (
    *(kind() for kind in get_args(get_args(Pooling)[0])),
    ClsPooling(pooler=True),
)
PAIRS = tuple(
    (para(), sts())
    for para, sts in zip(
        get_args(get_args(DecisionPair)[0]), get_args(get_args(NumberPair)[0]), strict=True
    )
)
QUICK = CachedHeadTuning(tasks="sst+para+sts", epochs=2, batch_size=16, lr=1e-2)


def tuned(tasks: str = "sst+para+sts", **fields: object) -> RunConfig:
    tuning = QUICK.model_copy(update={"tasks": tasks})
    own = {name: fields.pop(name) for name in TASK_NAMES if name in fields}
    # A cosine has no head to tune.
    heads = {"para": PairDecision(pair=JointPair()), "sts": PairNumber(pair=JointPair())}
    config = RunConfig(tasks=heads, multitask=None, head_tuning=tuning)
    return config.model_copy(update={"tasks": config.tasks | own, **fields})


def state_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


@pytest.fixture(scope="module")
def small(cut_inputs: Callable[..., RunInputs]) -> RunInputs:
    return cut_inputs(sst=60, para=60, sts=60)


@pytest.mark.parametrize("pooling", POOLINGS, ids=lambda pooling: pooling.kind)
@pytest.mark.parametrize("pairs", PAIRS, ids=lambda pairs: pairs[0].kind)
def test_outputs_from_kept_vectors_are_those_of_the_model(
    inputs: RunInputs, pooling: Pooling, pairs: tuple[DecisionPair, NumberPair]
) -> None:
    config = RunConfig(
        tasks={
            "sst": SingleClasses(pooling=pooling),
            "para": PairDecision(pooling=pooling, pair=pairs[0]),
            "sts": PairNumber(pooling=pooling, pair=pairs[1]),
        },
        pair_layer=DensePairLayer(),
    )
    model = Run(config, inputs).model
    for name, parameter in model.tasks.named_parameters():
        if name.endswith(("query", "pooling.weights")):  # off their symmetric start
            parameter.data += torch.linspace(-1, 1, parameter.numel()).view_as(parameter)
    numbers = torch.tensor([17, 3, 260, 0])
    for task in TASK_NAMES:
        vectors = sentence_vectors(config, task, model, inputs.corpus, "select")
        assert vectors.dtype == torch.float32
        assert not vectors.requires_grad
        assert len(vectors) == len(inputs.corpus.splits["select"][task])
        batch = inputs.corpus.batch("select", {task: numbers}, pair_encodings(config))
        with torch.inference_mode():
            expected = model.eval()(batch)[task]
            found = head_outputs(model, task, vectors[numbers])
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("sharing", ["shared", "per_task"])
@pytest.mark.parametrize("tasks", ["sst", "para+sts", "sst+para+sts"])
def test_heads_of_its_tasks_change_and_nothing_else(
    small: RunInputs, tasks: str, sharing: str
) -> None:
    config = tuned(
        tasks,
        encoder=EncoderConfig.model_validate({"sharing": sharing}),
        pair_layer=DensePairLayer(),
        sst=SingleClasses(pooling=ClsPooling(pooler=True)),
    )
    run = Run(config, small)
    before = state_of(run.model)
    run.train_unit()
    for name, tensor in run.model.state_dict().items():
        own = any(name.startswith(f"tasks.{task}.") for task in tasks.split("+"))
        assert torch.equal(tensor, before[name]) != own, name


def test_it_follows_the_multitask_stage_in_the_last_unit(small: RunInputs) -> None:
    stage = Multitask(batch_order=LockStep(batch_size=4), budget_tokens=1200, units=2)
    plain = Run(RunConfig(multitask=stage), small)
    both = Run(RunConfig(multitask=stage, head_tuning=QUICK), small)
    for run in (plain, both):
        run.train_unit()
    before = state_of(plain.model)
    assert all(torch.equal(t, before[name]) for name, t in both.model.state_dict().items())
    for run in (plain, both):
        run.train_unit()
        assert run.done
    for name, tensor in both.model.state_dict().items():
        same = torch.equal(tensor, plain.model.state_dict()[name])
        assert same == name.startswith("encoders."), name


def test_a_head_learns_what_the_frozen_encoder_can_tell(small: RunInputs) -> None:
    def share_right(run: Run) -> float:
        rows = small.corpus.splits["train"]["sst"]
        batch = small.corpus.batch("train", {"sst": torch.arange(len(rows))}, {"sst": None})
        with torch.inference_mode():
            predicted = run.model.eval()(batch)["sst"].argmax(1)
        return float((predicted == batch.labels["sst"]).double().mean())

    longer = QUICK.model_copy(update={"epochs": 30, "tasks": "sst"})
    sst = SingleClasses(pooling=MeanPooling(), head=MlpHead())
    run = Run(tuned(head_tuning=longer, sst=sst), small)
    before = share_right(run)
    run.train_unit()
    assert share_right(run) > before + 0.3


def test_equal_seeds_tune_equally_and_others_do_not(small: RunInputs) -> None:
    def heads(seed: int) -> Tensor:
        torch.manual_seed(seed + 100)  # what a process drew before does not matter
        run = Run(tuned(seed=seed), small)
        for parameter in run.model.tasks.parameters():  # the same start
            nn.init.constant_(parameter, 0.01)
        run.train_unit()
        return torch.cat([p.detach().flatten() for p in run.model.tasks.parameters()])

    assert torch.equal(heads(1), heads(1))
    assert not torch.equal(heads(1), heads(2))


def tuned_parameters(config: RunConfig, inputs: RunInputs, task: TaskName) -> set[str]:
    """Return the names of the parameters of a task that head tuning changes."""
    run = Run(config, inputs)
    for name, parameter in run.model.tasks[task].named_parameters():
        if "pooling" in name:
            parameter.data += torch.linspace(-1, 1, parameter.numel())
    before = state_of(run.model.tasks[task])
    run.train_unit()
    after = run.model.tasks[task].state_dict()
    return {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}


def test_learned_weights_of_a_pooling_are_tuned_and_what_stands_before_the_cache_is_not(
    small: RunInputs,
) -> None:
    weighted = tuned("sst", sst=SingleClasses(pooling=WeightedPooling()))
    assert tuned_parameters(weighted, small, "sst") == {
        "pooling.weights",
        "head.weight",
        "head.bias",
    }
    attention = tuned("sst", sst=SingleClasses(pooling=AttentionPooling()))
    assert tuned_parameters(attention, small, "sst") == {"head.weight", "head.bias"}


BARE = PairDecision(pair=DecisionCosine(scaling=ShiftScaling()))


@pytest.mark.parametrize("pooling", [ClsPooling(), AttentionPooling()], ids=lambda own: own.kind)
def test_a_cosine_with_nothing_to_train_is_left_out(small: RunInputs, pooling: Pooling) -> None:
    para = BARE.model_copy(update={"pooling": pooling})
    sts = PairNumber(pair=NumberCosine(scaling=ShiftScaling(), side=DenseSide()))
    config = tuned(para=para, sts=sts)
    assert tuned_parameters(config, small, "para") == set()
    assert tuned_parameters(config, small, "sts") == {
        "head.side.linear.weight",
        "head.side.linear.bias",
    }
    assert len(tuned_parameters(config, small, "sst")) == 2


def test_both_sentences_of_a_pair_are_kept(small: RunInputs) -> None:
    config = RunConfig(
        tasks={
            "para": PairDecision(pair=JointPair()),
            "sts": PairNumber(pair=SiamesePair(), pooling=WeightedPooling()),
        }
    )
    model = Run(config, small).model
    width = small.pretrained.shape.hidden_size
    shapes = {
        task: tuple(sentence_vectors(config, task, model, small.corpus).shape)
        for task in TASK_NAMES
    }
    assert shapes == {"sst": (60, 1, 1, width), "para": (60, 1, 1, width), "sts": (60, 2, 2, width)}


def test_rates_fall_from_the_peak_and_only_matrices_decay(
    small: RunInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With gradients of zero, AdamW does nothing but decay."""
    rates: list[float] = []

    def note(optimizer: Optimizer, args: object, kwargs: object) -> None:
        assert len({group["lr"] for group in optimizer.param_groups}) == 1
        rates.append(optimizer.param_groups[0]["lr"])

    def nothing(loss: object, outputs: Tensor, *more: object) -> Tensor:
        return outputs.sum() * 0.0

    monkeypatch.setattr(trainable.training.tune_heads, "loss_value", nothing)
    tuning = CachedHeadTuning(epochs=2, batch_size=16, lr=0.1, weight_decay=0.3, tasks="sst")
    sst = SingleClasses(pooling=WeightedPooling(), head=MlpHead(layer_norm=True))
    run = Run(tuned(head_tuning=tuning, sst=sst), small)
    parameters = dict(run.model.tasks["sst"].named_parameters())
    for parameter in parameters.values():
        parameter.data.fill_(1.0)
    hook = register_optimizer_step_pre_hook(note)
    run.train_unit()
    hook.remove()
    factors = [1 - k / 8 for k in range(8)]  # two epochs of 16, 16, 16 and 12 of 60 examples
    assert rates == pytest.approx([0.1 * factor for factor in factors])
    decayed = math.prod(1 - 0.1 * factor * 0.3 for factor in factors)
    assert {parameter.ndim for parameter in parameters.values()} == {1, 2}
    for name, parameter in parameters.items():
        expected = torch.full_like(parameter, decayed if parameter.ndim > 1 else 1.0)
        torch.testing.assert_close(parameter.detach(), expected, msg=name)
