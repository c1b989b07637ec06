from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.course import SCORE_KEYS, STEP_METRICS, TASK_NAMES
from trainable.batch_orders.all_tasks import LockStep
from trainable.batch_orders.by_size import Proportional
from trainable.batch_orders.in_turn import RoundRobin
from trainable.gradients.loss_weights import PlainGradients, WeightedGradients
from trainable.gradients.pcgrad import PCGrad
from trainable.losses import loss_value
from trainable.model.bert import MinBert
from trainable.model.encoder import EncoderConfig
from trainable.model.pairs import DecisionCosine, JointPair
from trainable.model.pooling import ClsPooling
from trainable.optim.adamw import NoClipping, NormClipping, Optimization
from trainable.run_config import RunConfig
from trainable.stages.head_tuning import CachedHeadTuning, NoHeadTuning
from trainable.stages.multitask import Multitask
from trainable.task_config import PairDecision, PairNumber, SingleClasses
from trainable.tasks import COURSE, TaskName
from trainable.training.corpus import Batch, Corpus
from trainable.training.inputs import RunInputs
from trainable.training.loop import Run, RunFailed
from trainable.training.multitask_bert import MultitaskBert, pair_encodings
from trainable.training.step import MultitaskTraining


def short(config: RunConfig | None = None, **stage: Any) -> RunConfig:
    """Return a run of a few steps."""
    multitask = Multitask(**{"budget_tokens": 1500, "units": 1} | stage)
    return (config or RunConfig()).model_copy(update={"multitask": multitask})


def training(run: Run) -> MultitaskTraining:
    assert run.training is not None
    return run.training


def shared_encoder(model: MultitaskBert) -> MinBert:
    encoder = model.encoders["shared"]
    assert isinstance(encoder, MinBert)
    return encoder


def weights(run: Run) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in run.model.named_parameters()}


def trained(config: RunConfig, inputs: RunInputs) -> dict[str, Tensor]:
    run = Run(config, inputs)
    while not run.done:
        run.train_unit()
    return weights(run)


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_equal_seeds_give_equal_weights_whatever_the_process_drew_before(
    inputs: RunInputs,
) -> None:
    torch.manual_seed(1)
    first = trained(short(), inputs)
    torch.manual_seed(2)
    assert equal(first, trained(short(), inputs))


def test_attention_dropout_is_drawn_from_the_seed_too(inputs: RunInputs) -> None:
    config = short(RunConfig(encoder=EncoderConfig(attention_dropout=0.5)))
    torch.manual_seed(1)
    first = trained(config, inputs)
    torch.manual_seed(2)
    assert equal(first, trained(config, inputs))


def test_seed_decides_heads_order_and_dropout(inputs: RunInputs) -> None:
    drawn = Multitask(batch_order=Proportional())
    first, second = (Run(RunConfig(seed=seed, multitask=drawn), inputs) for seed in (0, 1))
    head = "tasks.sst.head.weight"
    assert not torch.equal(weights(first)[head], weights(second)[head])
    for task in TASK_NAMES:
        one, other = (training(run).example_orders[task].take(50) for run in (first, second))
        assert not torch.equal(one, other)
    assert [training(first).order.next(0) for _ in range(50)] != [
        training(second).order.next(0) for _ in range(50)
    ]
    x = torch.ones(1000)
    dropouts = [shared_encoder(run.model.train()).embeddings.dropout for run in (first, second)]
    assert not torch.equal(dropouts[0](x), dropouts[1](x))


def test_a_run_leaves_the_shared_weights_alone(inputs: RunInputs) -> None:
    before = {name: t.clone() for name, t in inputs.pretrained.parameters.items()}
    run = Run(short(), inputs)
    encoder = shared_encoder(run.model).state_dict()
    assert equal(dict(encoder), before)
    run.train_unit()
    assert equal(dict(inputs.pretrained.parameters), before)
    assert not equal(dict(encoder), before)


@pytest.mark.slow
@pytest.mark.parametrize("gradients", [PlainGradients(), WeightedGradients(), PCGrad()])
def test_every_task_learns_eight_examples_by_heart(
    cut_inputs: Callable[..., RunInputs],
    gradients: PlainGradients | WeightedGradients | PCGrad,
) -> None:
    config = short(
        batch_order=LockStep(batch_size=8, gradients=gradients),
        optimization=Optimization(lr=3e-3, head_lr=1e-2),
        budget_tokens=20_000,
        units=4,
    )
    run = Run(config, cut_inputs(sst=8, para=8, sts=8))
    first, *_, last = [run.train_unit() for _ in range(4)]
    for task in TASK_NAMES:
        assert last[f"{task}_loss"] < 0.7 * first[f"{task}_loss"]


def test_losses_are_means_over_the_unit(inputs: RunInputs) -> None:
    run = Run(short(batch_order=LockStep(batch_size=4)), inputs)
    seen: list[dict[str, float]] = []
    step = training(run).step

    def record() -> dict[str, Tensor]:
        metrics = step()
        seen.append({key: float(value) for key, value in metrics.items()})
        return metrics

    training(run).step = record  # type: ignore[method-assign]
    metrics = run.train_unit()
    assert len(seen) > 1
    for task in TASK_NAMES:
        mean = sum(step[f"{task}_loss"] for step in seen) / len(seen)
        assert metrics[f"{task}_loss"] == pytest.approx(mean, rel=1e-5)


def test_loss_of_a_task_without_a_batch_is_no_number(inputs: RunInputs) -> None:
    run = Run(short(batch_order=RoundRobin(), budget_tokens=1), inputs)
    metrics = run.train_unit()
    assert math.isfinite(metrics["sst_loss"])
    assert math.isnan(metrics["para_loss"])
    assert math.isnan(metrics["sts_loss"])


def test_units_end_at_equal_shares_of_the_budget(inputs: RunInputs) -> None:
    run = Run(short(batch_order=LockStep(batch_size=2), budget_tokens=1000, units=3), inputs)
    tokens, largest = [0], 0
    while not run.done:
        run.train_unit(lambda what, share: tokens.append(run.tokens))
        largest = max(b - a for a, b in pairwise(tokens))
        assert run.tokens == tokens[-1]
        assert 1000 * run.units / 3 <= run.tokens < 1000 * run.units / 3 + largest
        assert tokens[-2] < 1000 * run.units / 3
    assert run.units == 3
    assert run.steps == len(tokens) - 1


def test_a_step_longer_than_a_unit_leaves_the_next_unit_empty(inputs: RunInputs) -> None:
    run = Run(short(budget_tokens=10, units=2), inputs)
    run.train_unit()
    assert run.steps == 1
    metrics = run.train_unit()
    assert run.steps == 1
    assert run.done
    assert all(math.isnan(metrics[f"{task}_loss"]) for task in TASK_NAMES)


def test_tokens_are_the_real_tokens_of_the_batches(
    inputs: RunInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, cut = Run(short(), inputs), []
    batch_of: Callable[..., Batch] = Corpus.batch

    def record(*args: Any) -> Batch:
        cut.append(batch_of(*args))
        return cut[-1]

    monkeypatch.setattr(Corpus, "batch", record)
    run.train_unit()
    assert run.tokens == sum(len(batch.packed.tokens) for batch in cut)
    assert {tuple(batch.rows) for batch in cut} <= {("sst",), ("para",), ("sts",)}


def test_learning_rate_follows_the_full_budget_and_not_the_units(inputs: RunInputs) -> None:
    one, many = short(budget_tokens=2000, units=1), short(budget_tokens=2000, units=4)
    assert equal(trained(one, inputs), trained(many, inputs))


@pytest.mark.parametrize(("bias", "loss"), [(math.nan, "nan"), (1e30, "inf")])
def test_loss_that_is_no_number_fails_the_run_by_task(
    inputs: RunInputs, bias: float, loss: str
) -> None:
    config = RunConfig(tasks={"para": PairDecision(loss="mse", pair=JointPair())})
    run = Run(short(config, batch_order=LockStep(batch_size=2), budget_tokens=1), inputs)
    head = run.model.tasks["para"].get_submodule("head.head")
    assert isinstance(head, nn.Linear)
    head.bias.data[0] = bias
    with pytest.raises(RunFailed, match=f"not finite in unit 1: para_loss {loss}"):
        run.train_unit()
    assert run.units == 1  # the one that failed


def without_dropout(
    gradients: PlainGradients | WeightedGradients | PCGrad, para_pooler: bool = False
) -> RunConfig:
    """A run whose gradients can be computed by hand: nothing random, nothing clipped.

    STS goes through the pretrained pooler, SST does not.
    """
    return short(
        RunConfig(
            encoder=EncoderConfig(dropout=0.0),
            tasks={
                "sst": SingleClasses(dropout=0.0),
                "para": PairDecision(
                    dropout=0.0, pooling=ClsPooling(pooler=para_pooler), pair=JointPair()
                ),
                "sts": PairNumber(dropout=0.0, pooling=ClsPooling(pooler=True), pair=JointPair()),
            },
        ),
        batch_order=LockStep(batch_size=4, gradients=gradients),
        optimization=Optimization(clip=NoClipping()),
    )


def task_gradients(config: RunConfig, inputs: RunInputs) -> dict[TaskName, dict[str, Tensor]]:
    """Task -> parameter -> gradient of the first step, from a backward for each task."""
    run = Run(config, inputs)
    result: dict[TaskName, dict[str, Tensor]] = {}
    for task in TASK_NAMES:
        numbers = {task: training(run).example_orders[task].take(4)}
        batch = inputs.corpus.batch("train", numbers, pair_encodings(config))
        loss_name = {
            "sst": config.tasks["sst"].loss,
            "para": config.tasks["para"].loss,
            "sts": config.tasks["sts"].loss,
        }[task]
        run.model.zero_grad()
        outputs = run.model(batch)[task]
        loss_value(loss_name, outputs, batch.labels[task], COURSE[task]).backward()  # type: ignore[no-untyped-call]
        result[task] = {
            name: p.grad.clone() for name, p in run.model.named_parameters() if p.grad is not None
        }
    return result


def step_gradients(run: Run) -> dict[str, Tensor]:
    run.model.train()
    training(run).step()
    return {name: p.grad for name, p in run.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    "gradients", [PlainGradients(), WeightedGradients(log={"para": 1.0, "sts": -2.0})]
)
def test_gradient_of_a_step_is_the_weighted_sum_of_the_tasks(
    inputs: RunInputs, gradients: PlainGradients | WeightedGradients
) -> None:
    config = without_dropout(gradients)
    # The total of losses that are 1 for one task and 0 for the others is that task's factor.
    weighting = gradients.build(TASK_NAMES)
    factors = {
        task: float(weighting.total({t: torch.tensor(float(t == task)) for t in TASK_NAMES}))
        for task in TASK_NAMES
    }
    own = task_gradients(config, inputs)
    found = step_gradients(Run(config, inputs))
    assert set(found) == {name for grads in own.values() for name in grads}
    for name, gradient in found.items():
        expected = sum(factors[task] * grads[name] for task, grads in own.items() if name in grads)
        torch.testing.assert_close(gradient, expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("para_pooler", [False, True])
def test_pcgrad_step_is_algorithm_1_on_what_tasks_share(
    inputs: RunInputs, para_pooler: bool
) -> None:
    config = without_dropout(PCGrad(), para_pooler)
    own = task_gradients(config, inputs)
    names = {name for grads in own.values() for name in grads}
    shared = sorted(n for n in names if sum(n in grads for grads in own.values()) > 1)
    assert ("encoders.shared.pooler.dense.weight" in shared) == para_pooler
    sizes = {name: own["sts"][name].numel() for name in shared}
    # What a task does not use has a gradient of zero.
    flat = [
        torch.cat(
            [own[t][n].flatten().double() if n in own[t] else torch.zeros(sizes[n]) for n in shared]
        )
        for t in TASK_NAMES
    ]
    run = Run(config, inputs)
    generator = torch.Generator()
    generator.set_state(training(run).gradient_generator.get_state())
    update = torch.zeros_like(flat[0])
    for i, gradient in enumerate(flat):
        projected = gradient.clone()
        for j in torch.randperm(3, generator=generator).tolist():
            product = projected @ flat[j]
            if j != i and product < 0:
                projected -= product / (flat[j] @ flat[j]) * flat[j]
        update += projected
    assert (update - sum(flat)).norm() > 1e-2 * update.norm(), "no conflict, so nothing is tested"

    found = step_gradients(run)
    assert set(found) == names
    for name, expected in zip(shared, torch.split(update, list(sizes.values())), strict=True):
        difference = (found[name].flatten().double() - expected).norm()
        assert difference <= 1e-4 * expected.norm() + 1e-6 * update.norm(), name
    # Heads, and a pooler that one task alone uses, keep the gradient of their task.
    for task, grads in own.items():
        for name in set(grads) - set(shared):
            torch.testing.assert_close(found[name], grads[name], atol=1e-7, rtol=1e-4)
            assert name.startswith(f"tasks.{task}") or (task == "sts" and "pooler" in name)


def test_pcgrad_makes_one_pass_for_each_task_and_others_one_for_all(
    inputs: RunInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[tuple[TaskName, ...]] = []
    batch_of: Callable[..., Batch] = Corpus.batch

    def record(*args: Any) -> Batch:
        batch = batch_of(*args)
        passes.append(tuple(batch.rows))
        return batch

    monkeypatch.setattr(Corpus, "batch", record)
    training(Run(without_dropout(PCGrad()), inputs)).step()
    assert passes == [("sst",), ("para",), ("sts",)]
    passes.clear()
    training(Run(without_dropout(PlainGradients()), inputs)).step()
    assert passes == [TASK_NAMES]


def test_gradients_longer_than_the_limit_are_scaled_down(inputs: RunInputs) -> None:
    config = without_dropout(PlainGradients())
    free = step_gradients(Run(config, inputs))
    norm = torch.cat([g.flatten() for g in free.values()]).norm()
    assert config.multitask is not None
    limit = Optimization(clip=NormClipping(max_norm=float(norm) / 2))
    limited = config.multitask.model_copy(update={"optimization": limit})
    clipped = step_gradients(Run(config.model_copy(update={"multitask": limited}), inputs))
    for name, gradient in clipped.items():
        torch.testing.assert_close(gradient, free[name] / 2, atol=1e-7, rtol=1e-3)


def test_bf16_trains_float32_weights(inputs: RunInputs) -> None:
    run = Run(short(precision="bf16", budget_tokens=300), inputs)
    run.train_unit()
    assert {p.dtype for p in run.model.parameters()} == {torch.float32}
    assert not equal(weights(run), trained(short(budget_tokens=300), inputs))


@pytest.mark.parametrize("split", ["select", "confirm"])
def test_evaluation_reads_its_own_split_only(inputs: RunInputs, split: str) -> None:
    run = Run(short(), inputs)
    expected = run.evaluate(split)
    corpus = inputs.corpus
    only = replace(corpus, splits={split: corpus.splits[split]})
    run.inputs = replace(inputs, corpus=only)
    found = run.evaluate(split)
    assert {**found, "eval_seconds": 0} == {**expected, "eval_seconds": 0}


def test_evaluation_between_units_changes_nothing(inputs: RunInputs) -> None:
    config = short(units=2)
    plain = trained(config, inputs)
    run = Run(config, inputs)
    run.train_unit()
    first = run.evaluate("select")
    assert {**run.evaluate("select"), "eval_seconds": 0} == {**first, "eval_seconds": 0}
    run.train_unit()
    assert equal(weights(run), plain)


def test_predictions_come_in_the_order_of_the_split(inputs: RunInputs) -> None:
    run = Run(short(), inputs)
    pairs = pair_encodings(run.config)
    predicted = run.predict("select")
    run.model.eval()
    for task, rows in inputs.corpus.splits["select"].items():
        assert len(predicted[task]) == len(rows)
    with torch.inference_mode():
        for number in (0, 17, 100):
            batch = inputs.corpus.batch("select", {"sts": torch.tensor([number])}, pairs)
            score = 5 * torch.sigmoid(run.model(batch)["sts"][0, 0])
            torch.testing.assert_close(predicted["sts"][number], score, atol=1e-4, rtol=0)


def test_test_split_can_be_predicted(inputs: RunInputs) -> None:
    predicted = Run(short(), inputs).predict("test")
    assert {task: len(p) for task, p in predicted.items()} == dict.fromkeys(TASK_NAMES, 200)


@pytest.mark.parametrize("tuning", [NoHeadTuning(), CachedHeadTuning(epochs=1)])
def test_a_run_without_a_multitask_stage_has_one_unit_and_is_evaluated(
    cut_inputs: Callable[..., RunInputs], tuning: NoHeadTuning | CachedHeadTuning
) -> None:
    config = RunConfig(multitask=None, head_tuning=tuning)
    assert config.units == 1
    run = Run(config, cut_inputs(sst=40, para=40, sts=40))
    before = weights(run)
    assert not run.done
    metrics = run.train_unit()
    assert run.done
    assert (run.units, run.tokens, run.steps) == (1, 0, 0)
    assert set(STEP_METRICS) <= metrics.keys()
    assert all(math.isnan(metrics[key]) for key in STEP_METRICS)
    assert metrics["prefix_seconds"] >= 0
    assert metrics["train_seconds"] >= 0
    assert all(math.isfinite(run.evaluate("select")[key]) for key in SCORE_KEYS)
    assert equal(before, weights(run)) == isinstance(tuning, NoHeadTuning)


def test_every_unit_reports_the_same_metrics(inputs: RunInputs) -> None:
    run = Run(short(units=2), inputs)
    first, second = run.train_unit(), run.train_unit()
    assert first.keys() == second.keys()
    assert first.keys() == {*STEP_METRICS, "prefix_seconds", "train_seconds"}


def test_the_para_threshold_decides_and_is_not_trained(inputs: RunInputs) -> None:
    def run_with(threshold: float) -> Run:
        pair = DecisionCosine(threshold=threshold)
        run = Run(short(RunConfig(tasks={"para": PairDecision(pair=pair)})), inputs)
        run.train_unit()
        return run

    runs = [run_with(threshold) for threshold in (0.3, 0.9)]
    assert equal(weights(runs[0]), weights(runs[1]))
    for run, threshold in zip(runs, (0.3, 0.9), strict=True):
        found = run.probabilities("select")
        assert torch.equal(run.decide(found)["para"], (found["para"][:, 0] >= threshold).float())
        assert torch.equal(run.predict("select")["para"], run.decide(found)["para"])
    assert not torch.equal(runs[0].predict("select")["para"], runs[1].predict("select")["para"])


def test_probabilities_are_those_of_classes_and_scores(inputs: RunInputs) -> None:
    found = Run(short(RunConfig(tasks={"sts": PairNumber(loss="mse")})), inputs).probabilities(
        "confirm"
    )
    n = {task: len(rows) for task, rows in inputs.corpus.splits["confirm"].items()}
    assert found["sst"].shape == (n["sst"], 5)
    torch.testing.assert_close(found["sst"].sum(1), torch.ones(n["sst"]))
    for task in ("para", "sts"):
        assert found[task].shape == (n[task], 1)
        assert 0 <= float(found[task].min()) <= float(found[task].max()) <= 1


@pytest.mark.slow
@settings(max_examples=12)
@given(st.data())
def test_any_run_that_a_search_suggests_trains_and_is_scored(
    cut_inputs: Callable[..., RunInputs],
    draw_config: Callable[..., RunConfig],
    data: st.DataObject,
) -> None:
    config = draw_config(data, "features*", "multitask.auxiliary*")  # of other inputs
    small: dict[str, Any] = {"multitask": {"budget_tokens": 600, "units": 2}}
    small["further_pretraining"] = {"budget_tokens": 500, "batch_size": 4}
    small["nli"] = {"budget_tokens": 500, "batch_size": 8}
    small["head_tuning"] = {"epochs": 1}
    for name, changes in small.items():
        stage = getattr(config, name)
        kept = {key: value for key, value in changes.items() if hasattr(stage, key)}
        config = config.model_copy(update={name: stage.model_copy(update=kept)})
    run = Run(config, cut_inputs(sst=40, para=60, sts=20))
    while not run.done:
        run.train_unit()
    assert run.steps >= 1
    found = run.evaluate("select")
    assert all(math.isfinite(found[key]) for key in SCORE_KEYS)
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict())), "test") == config
