"""Steps of the multitask stage, against what they should be by hand; see also `test_loop`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any, get_args

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.course import STEP_METRICS, TASK_NAMES
from trainable.batch_orders.all_tasks import LockStep, ProportionalBatches
from trainable.batch_orders.by_improvement import Stochastic
from trainable.batch_orders.family import BatchOrderConfig
from trainable.batch_orders.in_turn import RoundRobin
from trainable.gradients.family import Gradients
from trainable.gradients.loss_weights import PlainGradients
from trainable.gradients.mgda import MGDA
from trainable.gradients.pcgrad import PCGrad, PCGradTseng
from trainable.gradients.uncertainty import LearnedUncertainty, UncertaintyGradients
from trainable.losses import loss_value
from trainable.model.encoder import EncoderConfig
from trainable.model.pairs import DensePairLayer, JointPair
from trainable.model.pooling import ClsPooling, WeightedPooling
from trainable.optim.adamw import NoClipping, Optimization
from trainable.optim.averaging import EmaAveraging, SwaAveraging
from trainable.optim.schedules import ConstantSchedule
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask, NliAuxiliary, RDrop
from trainable.task_config import PairDecision, PairNumber, SingleClasses
from trainable.tasks import COURSE, TaskName
from trainable.training.inputs import RunInputs, open_inputs
from trainable.training.loop import Run
from trainable.training.multitask_bert import pair_encodings
from trainable.training.step import MultitaskTraining

PAIRS = tuple(combinations(TASK_NAMES, 2))
COSINES = tuple(f"cosine_{a}_{b}" for a, b in PAIRS)
CONFLICTS = tuple(f"conflict_{a}_{b}" for a, b in PAIRS)
# The same learning rate in every step, and nothing clipped.
STEADY = Optimization(
    lr=1e-3, head_lr=1e-2, schedule=ConstantSchedule(), warmup=0.0, clip=NoClipping()
)
KINDS = get_args(get_args(Gradients)[0])
KEPT_APART = tuple(kind for kind in KINDS if kind().build(TASK_NAMES).needs_gram)
SUMMED = tuple(kind for kind in KINDS if kind not in KEPT_APART)


def config_of(
    order: BatchOrderConfig | None = None,
    dropout: float = 0.0,
    sharing: str = "shared",
    **stage: Any,
) -> RunConfig:
    """Return a run of some steps in which dropout, if any, is the encoder's."""
    settings = {"optimization": STEADY, "budget_tokens": 3000, "units": 1} | stage
    return RunConfig(
        encoder=EncoderConfig.model_validate({"dropout": dropout, "sharing": sharing}),
        tasks={
            "sst": SingleClasses(dropout=0.0),
            "para": PairDecision(dropout=0.0, pair=JointPair()),
            "sts": PairNumber(dropout=0.0, pair=JointPair()),
        },
        multitask=Multitask(batch_order=order or LockStep(batch_size=4), **settings),
    )


def started(config: RunConfig, inputs: RunInputs) -> tuple[Run, MultitaskTraining]:
    run = Run(config, inputs)
    run.model.train()
    assert run.training is not None
    return run, run.training


def state_of(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def assert_equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def differ(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    assert one.keys() == other.keys()
    return any(not torch.equal(tensor, other[name]) for name, tensor in one.items())


def gradients_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def first_gradients(config: RunConfig, inputs: RunInputs) -> dict[str, Tensor]:
    run, training = started(config, inputs)
    training.step()
    return gradients_of(run.model)


def task_gradients(
    config: RunConfig, inputs: RunInputs, sizes: Mapping[TaskName, int]
) -> dict[TaskName, dict[str, Tensor]]:
    """Return task -> parameter -> gradient of the mean loss of the task's first examples."""
    found: dict[TaskName, dict[str, Tensor]] = {}
    for task, n in sizes.items():
        run, training = started(config, inputs)
        numbers: dict[TaskName, Tensor] = {task: training.example_orders[task].take(n)}
        batch = inputs.corpus.batch("train", numbers, pair_encodings(config))
        own = config.tasks[task]
        loss = loss_value(own.loss, run.model(batch)[task], batch.labels[task], COURSE[task])
        loss.backward()  # type: ignore[no-untyped-call]
        found[task] = gradients_of(run.model)
    return found


# What is shared.


@pytest.mark.parametrize("order", [RoundRobin(batch_size=4), LockStep(batch_size=4)])
def test_tasks_that_share_nothing_train_as_if_they_were_alone(
    inputs: RunInputs, order: RoundRobin | LockStep
) -> None:
    """Bit for bit: with an encoder for each task, one run is three runs of one task each."""
    together, training = started(config_of(order, sharing="per_task"), inputs)
    for _ in range(3 * (3 if isinstance(order, RoundRobin) else 1)):
        training.step()
    for task in TASK_NAMES:
        alone, own = started(config_of(order, tasks=task), inputs)
        for _ in range(3):
            own.step()
        found = state_of(together.model.encoder_of(task))
        assert_equal(found, state_of(alone.model.encoder_of(task)))
        assert_equal(state_of(together.model.tasks[task]), state_of(alone.model.tasks[task]))
        assert differ(found, inputs.pretrained.parameters)


@pytest.mark.parametrize("kind", KEPT_APART, ids=lambda kind: kind.__name__)
def test_surgery_changes_nothing_where_nothing_is_shared(
    inputs: RunInputs, kind: type[PCGrad]
) -> None:
    plain, surgery = (
        first_gradients(
            config_of(LockStep(batch_size=4, gradients=own), sharing="per_task"), inputs
        )
        for own in (PlainGradients(), kind())
    )
    assert_equal(surgery, plain)


def test_a_pair_layer_alone_may_be_what_is_shared(inputs: RunInputs) -> None:
    order = LockStep(batch_size=4, gradients=MGDA())
    config = config_of(order, sharing="per_task").model_copy(
        update={"pair_layer": DensePairLayer(dropout=0.0)}
    )
    own = task_gradients(config, inputs, dict.fromkeys(TASK_NAMES, 4))
    names = [name for name in own["para"] if name.startswith("pair_layer")]
    assert names
    assert not set(names) & own["sst"].keys()
    para, sts = (
        torch.cat([own[task][name].flatten().double() for name in names])
        for task in ("para", "sts")
    )
    run, training = started(config, inputs)
    metrics = training.step()
    assert COSINES[-1] == "cosine_para_sts"
    assert not {*COSINES[:-1], *CONFLICTS[:-1]} & metrics.keys()
    cosine = F.cosine_similarity(para, sts, dim=0)
    assert float(metrics["cosine_para_sts"]) == pytest.approx(float(cosine), abs=1e-5)
    # The shortest vector between two, by calculus.
    share = float(((sts - para) @ sts / (para - sts).square().sum()).clamp(0, 1))
    found = gradients_of(run.model)
    expected = share * para + (1 - share) * sts
    torch.testing.assert_close(
        torch.cat([found[name].flatten().double() for name in names]),
        expected,
        atol=1e-6,
        rtol=1e-3,
    )
    # And what one task alone has, keeps that task's gradient.
    for task in TASK_NAMES:
        name = f"encoders.{task}.layers.0.feed_in.weight"
        torch.testing.assert_close(found[name], own[task][name], atol=1e-7, rtol=1e-4)


# Losses.


def test_losses_of_proportional_batches_are_rescaled(inputs: RunInputs) -> None:
    order = ProportionalBatches(largest=10, smallest=2, rescaled=True)
    config = config_of(order)
    sizes: dict[TaskName, int] = {"sst": 6, "para": 10, "sts": 4}  # of 3,000, 5,000 and 2,000
    own = task_gradients(config, inputs, sizes)
    found = first_gradients(config, inputs)
    assert found.keys() == {name for grads in own.values() for name in grads}
    for name, gradient in found.items():
        parts = [4 / sizes[task] * grads[name] for task, grads in own.items() if name in grads]
        torch.testing.assert_close(gradient, torch.stack(parts).sum(0), atol=1e-6, rtol=1e-4)


def test_losses_are_reported_as_they_are_before_any_factor(inputs: RunInputs) -> None:
    def reported(order: BatchOrderConfig) -> dict[str, float]:
        _, training = started(config_of(order), inputs)
        return {key: float(value) for key, value in training.step().items()}

    plain, rescaled = (
        reported(ProportionalBatches(largest=10, smallest=2, rescaled=own)) for own in (False, True)
    )
    assert plain == rescaled


def test_an_order_sees_the_losses_that_it_asks_for(
    inputs: RunInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for order, asks in ((Stochastic(batch_size=4), True), (RoundRobin(batch_size=4), False)):
        _, training = started(config_of(order), inputs)
        seen: list[dict[str, float]] = []
        monkeypatch.setattr(training.order, "observe", seen.append)
        steps = [training.step() for _ in range(4)]
        expected = [
            {key.removesuffix("_loss"): float(value) for key, value in step.items()}
            for step in steps
        ]
        assert seen == (expected if asks else [])


# Regularisation.


def test_r_drop_without_dropout_is_twice_the_work_for_the_same_gradient(
    inputs: RunInputs,
) -> None:
    plain, twice = config_of(), config_of(regularization=RDrop())
    expected, found = (first_gradients(config, inputs) for config in (plain, twice))
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-6, rtol=1e-4)
    (once, first), (double, second) = (started(config, inputs) for config in (plain, twice))
    first.step()
    second.step()
    assert double.tokens == 2 * once.tokens > 0
    assert {n: e.position for n, e in first.example_orders.items()} == {
        n: e.position for n, e in second.example_orders.items()
    }


def kl(p: Tensor, q: Tensor) -> Tensor:
    """Return the mean over rows of KL(p || q)."""
    return (p * (p.log() - q.log())).sum(1).mean()


def test_r_drop_adds_how_much_two_passes_disagree(inputs: RunInputs) -> None:
    config = config_of(dropout=0.3, regularization=RDrop(alpha=2.0))
    _, training = started(config, inputs)
    metrics = training.step()
    # Another run of the same seed draws the same dropout.
    run, other = started(config, inputs)
    numbers = {task: other.example_orders[task].take(4).repeat(2) for task in TASK_NAMES}
    batch = inputs.corpus.batch("train", numbers, pair_encodings(config))
    outputs = run.model(batch)
    for task in TASK_NAMES:
        found, label = outputs[task], batch.labels[task]
        if task == "sst":
            loss = F.cross_entropy(found, label.long())
            p, q = found.softmax(1).chunk(2)
        else:
            target = label / COURSE[task].high
            loss = F.binary_cross_entropy_with_logits(found[:, 0], target)
            p, q = (torch.cat([s, 1 - s], dim=1) for s in found.sigmoid().chunk(2))
        assert not torch.equal(p, q)
        # The paper's loss is the sum over both passes plus alpha times the mean of the KLs: twice.
        expected = (2 * loss + 2.0 * (kl(p, q) + kl(q, p)) / 2) / 2
        assert float(metrics[f"{task}_loss"]) == pytest.approx(float(expected.detach()), rel=1e-4)


# Learned combinations.


def test_variances_are_learned_and_do_not_decay(inputs: RunInputs) -> None:
    order = LockStep(batch_size=4, gradients=UncertaintyGradients())
    optimization = STEADY.model_copy(update={"weight_decay": 0.5})
    _, training = started(config_of(order, optimization=optimization), inputs)
    weighting = training.weighting
    assert isinstance(weighting, LearnedUncertainty)
    metrics = training.step()
    for task, parameter in weighting.log_variances.items():
        # The slope at 0 is (1 - loss) / 2, and the first step of Adam is the learning rate.
        above = float(metrics[f"{task}_loss"]) > 1
        assert float(parameter.detach()) == pytest.approx(0.01 if above else -0.01, rel=1e-3)
        (group,) = [
            g for g in training.optimizer.param_groups if any(p is parameter for p in g["params"])
        ]
        assert group["weight_decay"] == 0
        assert group["peak_lr"] == 0.01


# Cosines.


@pytest.mark.parametrize("kind", KEPT_APART, ids=lambda kind: kind.__name__)
def test_cosines_between_the_tasks_are_reported_where_gradients_are_kept_apart(
    inputs: RunInputs, kind: type[PCGrad]
) -> None:
    config = config_of(LockStep(batch_size=4, gradients=kind()))
    own = task_gradients(config, inputs, dict.fromkeys(TASK_NAMES, 4))
    shared = sorted(set.intersection(*(set(grads) for grads in own.values())))
    assert shared
    assert all(name.startswith("encoders.shared.") for name in shared)
    flat = {t: torch.cat([own[t][n].flatten().double() for n in shared]) for t in TASK_NAMES}
    _, training = started(config, inputs)
    metrics = training.step()
    for a, b in PAIRS:
        cosine = float(F.cosine_similarity(flat[a], flat[b], dim=0))
        assert float(metrics[f"cosine_{a}_{b}"]) == pytest.approx(cosine, abs=1e-5)
        assert float(metrics[f"conflict_{a}_{b}"]) == float(cosine < 0)


def test_a_unit_reports_mean_cosines_and_the_share_of_conflicts(inputs: RunInputs) -> None:
    config = config_of(LockStep(batch_size=4, gradients=PCGradTseng()))
    run, training = started(config, inputs)
    seen: list[dict[str, Tensor]] = []
    step = training.step

    def record() -> dict[str, Tensor]:
        seen.append(step())
        return seen[-1]

    training.step = record  # type: ignore[method-assign]
    metrics = run.train_unit()
    assert len(seen) > 5
    for key in (*COSINES, *CONFLICTS):
        mean = sum(float(own[key]) for own in seen) / len(seen)
        assert metrics[key] == pytest.approx(mean)
    assert any(0 < metrics[key] < 1 for key in CONFLICTS)


@pytest.mark.parametrize("kind", SUMMED, ids=lambda kind: kind.__name__)
def test_cosines_are_not_known_where_gradients_are_summed(
    inputs: RunInputs, kind: type[PlainGradients]
) -> None:
    order = LockStep(batch_size=4, gradients=kind())
    metrics = Run(config_of(order, budget_tokens=300), inputs).train_unit()
    assert set(STEP_METRICS) <= metrics.keys()
    assert all(math.isnan(metrics[key]) for key in (*COSINES, *CONFLICTS))
    assert all(math.isfinite(metrics[f"{task}_loss"]) for task in TASK_NAMES)


# Fewer tasks, and one more.


@pytest.mark.parametrize("tasks", ["sst", "sst+sts", "para+sts"])
@pytest.mark.parametrize("sharing", ["shared", "per_task"])
def test_tasks_that_are_left_out_stay_as_they_are(
    inputs: RunInputs, tasks: str, sharing: str
) -> None:
    run = Run(config_of(sharing=sharing, tasks=tasks), inputs)
    before = state_of(run.model)
    metrics = run.train_unit()
    after = state_of(run.model)
    for task in TASK_NAMES:
        part = f"tasks.{task}.", f"encoders.{task}."
        was, now = (
            {name: t for name, t in own.items() if name.startswith(part)} for own in (before, after)
        )
        assert differ(was, now) == (task in tasks.split("+"))
        assert math.isnan(metrics[f"{task}_loss"]) == (task not in tasks.split("+"))
    assert run.evaluate("select")["score"] > -1 / 3


@pytest.fixture(scope="module")
def with_nli() -> RunInputs:
    return open_inputs(config_of(auxiliary=NliAuxiliary()), torch.device("cpu"))


def test_inference_is_a_contrastive_loss_over_the_pooling_of_similarity(
    with_nli: RunInputs,
) -> None:
    config = config_of(auxiliary=NliAuxiliary(temperature=0.2))
    _, training = started(config, with_nli)
    metrics = training.step()
    run, other = started(config, with_nli)
    rows = with_nli.corpus.splits["train"]["nli"]
    assert rows.starts.shape[0] == 3
    numbers = other.example_orders["nli"].take(4)
    # Each sentence by itself, as if it were an example of sentiment.
    tokens = with_nli.corpus.tokens
    vectors: list[list[Tensor]] = []
    for side in range(3):
        vectors.append([])
        for number in numbers.tolist():
            start, length = int(rows.starts[side, number]), int(rows.lengths[side, number])
            batch = with_nli.corpus.batch("train", {"nli": torch.tensor([number])}, {"nli": None})
            hidden = run.model.encoder_of("sts")(batch.packed)
            row = int(batch.rows["nli"][side])
            first, last = batch.packed.cu_seqlens[row : row + 2].tolist()
            assert torch.equal(
                batch.packed.tokens[first + 1 : last - 1], tokens[start : start + length].long()
            )
            vectors[side].append(F.normalize(hidden[first:last].mean(0), dim=0))  # mean pooling
    premises, entailed, contradicted = (torch.stack(side) for side in vectors)
    cosines = torch.cat([premises @ entailed.T, premises @ contradicted.T], dim=1) / 0.2
    expected = -cosines.log_softmax(1).diagonal().mean()
    assert float(metrics["nli_loss"]) == pytest.approx(float(expected.detach()), rel=1e-4)


@pytest.mark.parametrize("gradients", [PlainGradients(), PCGrad()])
def test_inference_shapes_the_encoder_of_similarity(
    with_nli: RunInputs, gradients: PlainGradients | PCGrad
) -> None:
    order = LockStep(batch_size=4, gradients=gradients)
    config = config_of(order, sharing="per_task", tasks="sst", auxiliary=NliAuxiliary())
    config = config.model_copy(update={"tasks": {"sts": PairNumber(pooling=WeightedPooling())}})
    run = Run(config, with_nli)
    before = state_of(run.model)
    metrics = run.train_unit()
    assert math.isfinite(metrics["nli_loss"])
    changed = {
        name for name, t in run.model.state_dict().items() if not torch.equal(t, before[name])
    }
    parts = {name.rsplit(".layers", 1)[0] for name in changed if ".layers" in name}
    assert parts == {"encoders.sst", "encoders.sts"}
    # Its pooling learns, its head does not; paraphrase has no part in it.
    assert "tasks.sts.pooling.weights" in changed
    assert not any(name.startswith(("tasks.sts.head", "tasks.para")) for name in changed)


def test_inference_beside_the_tasks_changes_what_they_share(with_nli: RunInputs) -> None:
    def encoder(config: RunConfig) -> dict[str, Tensor]:
        _, training = started(config, with_nli)
        training.step()
        return state_of(training.model.encoders)

    assert differ(encoder(config_of()), encoder(config_of(auxiliary=NliAuxiliary())))


# Averages.


@pytest.mark.parametrize("averaging", [EmaAveraging(decay=0.5), SwaAveraging(start=0.5)])
def test_the_average_over_the_steps_is_what_a_run_ends_with(
    inputs: RunInputs, averaging: EmaAveraging | SwaAveraging
) -> None:
    run, training = started(config_of(averaging=averaging, units=2), inputs)
    budget = training.stage.budget_tokens
    seen: list[tuple[float, dict[str, Tensor]]] = []
    step = training.step

    def record() -> dict[str, Tensor]:
        metrics = step()
        weights = {name: p.detach().double().clone() for name, p in run.model.named_parameters()}
        seen.append((training.tokens / budget, weights))
        return metrics

    training.step = record  # type: ignore[method-assign]
    run.train_unit()
    last = {name: p.detach().double() for name, p in run.model.named_parameters()}
    assert_equal(last, seen[-1][1])  # in the middle of a run the weights go on as they are
    run.train_unit()
    assert len(seen) > 6
    if isinstance(averaging, SwaAveraging):
        kept = [weights for progress, weights in seen if progress >= 0.5]
        expected = {n: torch.stack([own[n] for own in kept]).mean(0) for n in kept[0]}
    else:
        expected = seen[0][1]
        for number, (_, weights) in enumerate(seen[1:], 1):
            keep = min(0.5, (1 + number) / (10 + number))
            expected = {n: keep * t + (1 - keep) * weights[n] for n, t in expected.items()}
    for name, parameter in run.model.named_parameters():
        torch.testing.assert_close(
            parameter.detach().double(), expected[name], atol=1e-6, rtol=1e-4
        )
    assert not torch.equal(
        last["encoders.shared.layers.0.feed_in.weight"],
        expected["encoders.shared.layers.0.feed_in.weight"],
    )


def test_the_average_is_what_is_evaluated_between_units(inputs: RunInputs) -> None:
    """A run that ended here would be scored by the average, and so is one that goes on."""
    averaging = SwaAveraging(start=0.1)
    config = config_of(averaging=averaging, units=2, budget_tokens=2000)
    run, training = started(config, inputs)
    run.train_unit()
    assert not run.done
    found = run.probabilities("select")
    before = state_of(run.model)
    training.average.adopt(list(run.model.parameters()))
    assert differ(before, state_of(run.model))
    for task, own in run.probabilities("select").items():
        assert torch.equal(own, found[task])


def test_a_pooler_of_one_task_is_no_ones_else(inputs: RunInputs) -> None:
    """It lies in the shared encoder, and one task alone has a gradient for it."""
    config = config_of(LockStep(batch_size=4, gradients=PCGradTseng())).model_copy(
        update={
            "tasks": config_of(LockStep()).tasks
            | {"sts": PairNumber(dropout=0.0, pooling=ClsPooling(pooler=True), pair=JointPair())}
        }
    )
    run, training = started(config, inputs)
    training.step()
    found = gradients_of(run.model)["encoders.shared.pooler.dense.weight"]
    own = task_gradients(config, inputs, {"sts": 4})["sts"]
    expected = own["encoders.shared.pooler.dense.weight"]
    # As a part of the head: times its factor, which a conflict makes other than 1.
    factor = float((found * expected).sum() / expected.square().sum())
    assert abs(factor - 1) > 1e-3
    torch.testing.assert_close(found, factor * expected, atol=1e-7, rtol=1e-4)
    head = gradients_of(run.model)["tasks.sts.head.head.weight"]
    torch.testing.assert_close(
        head, factor * own["tasks.sts.head.head.weight"], atol=1e-6, rtol=1e-3
    )
