from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from tests.course import TASK_NAMES, TRAIN_NAMES
from trainable.data.features import InputFeatures
from trainable.losses import loss_value
from trainable.model.encoder import EncoderConfig
from trainable.model.heads import LinearHead, MlpHead
from trainable.model.pairs import DecisionPair, DensePairLayer, JointPair, NumberPair
from trainable.model.pooling import MeanPooling, WeightedPooling
from trainable.run_config import RunConfig
from trainable.task_config import PairDecision, PairNumber, ShareLoss, SingleClasses
from trainable.tasks import COURSE, TaskName
from trainable.training.inputs import RunInputs
from trainable.training.multitask_bert import SHARED, MultitaskBert, build_model, pair_encodings

PAIRS = tuple(
    (para(), sts())
    for para, sts in zip(
        get_args(get_args(DecisionPair)[0]), get_args(get_args(NumberPair)[0]), strict=True
    )
)


def built(config: RunConfig, inputs: RunInputs, seed: int = 0) -> MultitaskBert:
    generator = torch.Generator().manual_seed(seed)
    return build_model(config, inputs.pretrained, inputs.device, generator)


# Every task has a head that starts at random.
WITH_HEADS = {
    "para": PairDecision(pair=JointPair()),
    "sts": PairNumber(pair=JointPair()),
}


def heads(model: MultitaskBert) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.tasks.parameters()])


def test_heads_are_drawn_from_the_generator_alone(inputs: RunInputs) -> None:
    torch.manual_seed(1)
    config = RunConfig(tasks=WITH_HEADS)
    first = heads(built(config, inputs))
    torch.manual_seed(2)
    assert torch.equal(first, heads(built(config, inputs)))
    assert not torch.equal(first, heads(built(config, inputs, seed=1)))


def test_heads_start_as_bert_does(inputs: RunInputs) -> None:
    config = RunConfig(tasks={"sst": SingleClasses(head=MlpHead(width=512, layer_norm=True))})
    model = built(config, inputs)
    named = {n: p.detach() for n, p in model.tasks["sst"].named_parameters()}
    assert float(named["head.0.weight"].std()) == pytest.approx(0.02, rel=0.05)
    assert (named["head.0.bias"] == 0).all()
    assert (named["head.1.weight"] == 1).all()  # LayerNorm


def test_encoder_weights_are_copied_and_learn(inputs: RunInputs) -> None:
    model = built(RunConfig(), inputs)
    shared = {t.data_ptr() for t in inputs.pretrained.parameters.values()}
    for parameter in model.encoders.parameters():
        assert parameter.requires_grad
        assert parameter.data_ptr() not in shared


@pytest.mark.parametrize("pairs", PAIRS, ids=lambda pairs: pairs[0].kind)
@pytest.mark.parametrize("loss", ["bce", "mse"])
def test_every_pair_encoding_learns_under_every_loss(
    inputs: RunInputs, pairs: tuple[DecisionPair, NumberPair], loss: ShareLoss
) -> None:
    config = RunConfig(
        tasks={
            "sst": SingleClasses(head=LinearHead()),
            "para": PairDecision(pair=pairs[0], loss=loss, pooling=MeanPooling()),
            "sts": PairNumber(pair=pairs[1], loss=loss, pooling=MeanPooling()),
        },
    )
    model = built(config, inputs)
    numbers = {name: torch.arange(6) for name in TASK_NAMES}
    batch = inputs.corpus.batch("train", numbers, pair_encodings(config))
    outputs = model(batch)
    assert outputs["sst"].shape == (6, 5)
    assert outputs["para"].shape == outputs["sts"].shape == (6, 1)
    total = sum(
        loss_value("cross_entropy" if t == "sst" else loss, outputs[t], batch.labels[t], COURSE[t])
        for t in TASK_NAMES
    )
    assert isinstance(total, Tensor)
    total.backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        if "pooler" not in name:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


def test_tasks_do_not_see_each_other_in_a_shared_pass(inputs: RunInputs) -> None:
    config = RunConfig()
    model = built(config, inputs).eval()
    pairs = pair_encodings(config)
    numbers = {name: torch.tensor([3, 1, 4]) for name in TASK_NAMES}
    with torch.inference_mode():
        together = model(inputs.corpus.batch("train", numbers, pairs))
        for task in TASK_NAMES:
            alone = model(inputs.corpus.batch("train", {task: numbers[task]}, pairs))
            torch.testing.assert_close(together[task], alone[task], atol=1e-6, rtol=1e-4)


PER_TASK = RunConfig(encoder=EncoderConfig(sharing="per_task"), tasks=WITH_HEADS)


def test_there_is_one_encoder_or_one_for_each_task(inputs: RunInputs) -> None:
    shared, own = built(RunConfig(), inputs), built(PER_TASK, inputs)
    assert set(shared.encoders) == {SHARED}
    assert all(shared.encoder_of(name) is shared.encoders[SHARED] for name in TRAIN_NAMES)
    assert set(own.encoders) == set(TASK_NAMES)
    for task in TASK_NAMES:
        assert own.encoder_of(task) is own.encoders[task]
    assert own.encoder_of("nli") is own.encoders["sts"]


def test_encoders_of_tasks_start_alike_and_share_no_memory(inputs: RunInputs) -> None:
    model = built(PER_TASK, inputs)
    first, *others = [dict(encoder.named_parameters()) for encoder in model.encoders.values()]
    for other in others:
        for name, parameter in first.items():
            assert torch.equal(parameter, other[name]), name
            assert parameter.data_ptr() != other[name].data_ptr(), name


def test_heads_are_the_same_however_many_encoders_there_are(inputs: RunInputs) -> None:
    shared = built(RunConfig(tasks=WITH_HEADS), inputs)
    assert torch.equal(heads(shared), heads(built(PER_TASK, inputs)))


@pytest.mark.parametrize("config", [RunConfig(), PER_TASK], ids=["shared", "per_task"])
def test_loaded_weights_are_those_of_every_encoder(inputs: RunInputs, config: RunConfig) -> None:
    config = config.model_copy(update={"features": InputFeatures(pos_tags=True)})
    model = built(config, inputs)
    given = {name: t + 1 for name, t in inputs.pretrained.parameters.items()}
    model.load_encoder(given)
    for encoder in model.encoders.values():
        for name, parameter in encoder.named_parameters():
            if name == "embeddings.tag.weight":  # no stage before the tasks has seen a tag
                assert not parameter.any()
            else:
                assert torch.equal(parameter, given[name]), name
                assert parameter.data_ptr() != given[name].data_ptr(), name


@pytest.mark.parametrize("sharing", ["shared", "per_task"])
def test_every_parameter_is_shared_or_one_tasks_own(inputs: RunInputs, sharing: str) -> None:
    config = RunConfig.model_validate(
        {"encoder": {"sharing": sharing}, "pair_layer": {"kind": "dense"}}
    )
    model = built(config, inputs)
    shared = {id(p) for p in model.shared_parameters()}
    own = {id(p) for p in model.tasks.parameters()}
    assert not shared & own
    assert shared | own == {id(p) for p in model.parameters()}


def outputs_of(model: MultitaskBert, inputs: RunInputs, task: TaskName) -> Tensor:
    numbers = {task: torch.arange(4)}
    batch = inputs.corpus.batch("train", numbers, pair_encodings(RunConfig()))
    with torch.inference_mode():
        found: Tensor = model.eval()(batch)[task]
    return found


def test_the_pair_layer_is_for_pairs(inputs: RunInputs) -> None:
    """Its weights matter to paraphrase and similarity, and not to sentiment."""
    model = built(RunConfig(pair_layer=DensePairLayer()), inputs)
    before = {task: outputs_of(model, inputs, task) for task in TASK_NAMES}
    for parameter in model.pair_layer.parameters():
        parameter.data += 0.5
    after = {task: outputs_of(model, inputs, task) for task in TASK_NAMES}
    assert torch.equal(before["sst"], after["sst"])
    assert not torch.equal(before["para"], after["para"])
    assert not torch.equal(before["sts"], after["sts"])


def test_the_pair_layer_starts_as_bert_does(inputs: RunInputs) -> None:
    model = built(RunConfig(pair_layer=DensePairLayer()), inputs)
    layers = [m for m in model.pair_layer.modules() if isinstance(m, nn.Linear)]
    assert len(layers) == 1
    assert float(layers[0].weight.detach().std()) == pytest.approx(0.02, rel=0.05)
    assert (layers[0].bias == 0).all()


def test_inference_gives_the_vectors_that_similarity_pools(inputs: RunInputs) -> None:
    """No head, no dropout, no pair layer: the cosine of these is what NLI trains."""
    config = RunConfig(
        tasks={"sts": PairNumber(pooling=WeightedPooling())}, pair_layer=DensePairLayer()
    )
    model = built(config, inputs).eval()
    numbers = {"sst": torch.arange(6)}
    batch = inputs.corpus.batch("train", numbers, pair_encodings(config))
    as_nli = replace(batch, rows={"nli": batch.rows["sst"]}, labels={})
    with torch.inference_mode():
        found = model(as_nli)["nli"]
        hidden = model.encoder_of("nli")(batch.packed)
    assert found.shape == (6, inputs.pretrained.shape.hidden_size)
    for row, vector in zip(batch.rows["sst"].tolist(), found, strict=True):
        first, last = batch.packed.cu_seqlens[row : row + 2].tolist()
        expected = (hidden[first] + hidden[first:last].mean(0)) / 2
        torch.testing.assert_close(vector, expected, atol=1e-5, rtol=1e-4)
