"""Intermediate training on inference: what the vectors know afterwards."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from pydantic import TypeAdapter
from torch import Tensor

from trainable.data.nli import HubNli, SampleNli, SickNli, pairs, triplets
from trainable.data.sentences import Sentences
from trainable.model.encoder import build_encoder
from trainable.model.weights import Parameters
from trainable.stages import nli_training
from trainable.stages.batches import pack, with_special_tokens
from trainable.stages.nli_training import (
    ContrastiveNli,
    LinearNli,
    NliTraining,
    NoNli,
    encode_sides,
)
from trainable.stages.pretraining_loop import StageFailed, StageInputs

CPU = torch.device("cpu")
SMALL = {"budget_tokens": 600, "batch_size": 8, "lr": 2e-3}
KINDS = (LinearNli, ContrastiveNli)
UNSEEN = SampleNli(seed=1)

Stage = LinearNli | ContrastiveNli


def run(stage: Stage, inputs: StageInputs, seed: int = 0) -> Parameters:
    return stage.run(inputs, seed, CPU, lambda share: None)


def mean_vectors(
    weights: Parameters, inputs: StageInputs, sides: list[Sentences], n: int
) -> list[Tensor]:
    """Return the mean vectors of the first n examples of each side, (n, width) each."""
    pretrained = replace(inputs.pretrained, parameters=weights)
    encoder = build_encoder(pretrained, 0.0, CPU, torch.Generator()).eval()
    full = [with_special_tokens(side, pretrained.tokenizer) for side in sides]
    with torch.no_grad():
        vectors, _ = encode_sides(encoder, full, torch.arange(n), "mean")
    return list(vectors.chunk(len(sides)))


@pytest.mark.slow
def test_linear_training_beats_chance_on_pairs_not_seen_before(
    inputs: StageInputs, record_losses: Callable[[ModuleType], list[float]]
) -> None:
    losses = record_losses(nli_training)
    # Less than one pass: every pair is new to the model when its loss is taken.
    run(LinearNli(lr=2e-3, head_lr=4e-3, budget_tokens=60_000), inputs)
    assert losses[0] == pytest.approx(math.log(3), abs=0.15)
    assert sum(losses[-20:]) / 20 < 0.7


@pytest.mark.slow
def test_contrastive_training_brings_entailments_nearer_than_contradictions(
    inputs: StageInputs,
) -> None:
    stage = ContrastiveNli(
        lr=2e-3, budget_tokens=60_000, temperature=0.05, pooling="mean", batch_size=32
    )

    def share_nearer(weights: Parameters) -> float:
        sides = list(triplets(UNSEEN, inputs.pretrained.tokenizer))
        premise, entailment, contradiction = mean_vectors(weights, inputs, sides, 1000)
        near = F.cosine_similarity(premise, entailment)
        return float((near > F.cosine_similarity(premise, contradiction)).float().mean())

    before, after = share_nearer(inputs.pretrained.parameters), share_nearer(run(stage, inputs))
    assert after > max(0.8, before + 0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stage_is_a_function_of_its_inputs_and_seed(
    kind: type[Stage], inputs: StageInputs, sources: list[SickNli]
) -> None:
    stage = kind(**SMALL, source=sources[0])
    before = {name: t.clone() for name, t in inputs.pretrained.parameters.items()}
    first, again, other = (run(stage, inputs, seed) for seed in (0, 0, 1))
    name = "layers.0.feed_in.weight"
    assert first.keys() == before.keys()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first[name], other[name])
    assert all(torch.equal(inputs.pretrained.parameters[key], before[key]) for key in before)
    assert not torch.equal(first[name], before[name])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_matters(
    kind: type[Stage], inputs: StageInputs, sources: list[SickNli]
) -> None:
    stage = kind(**SMALL, source=sources[0])
    changes: list[dict[str, object]] = [
        {"pooling": "cls" if stage.pooling == "mean" else "mean"},
        {"lr": 1e-3},
        {"dropout": 0.3},
        {"warmup": 0.5},
        {"batch_size": 4},
        {"budget_tokens": 1000},
        {"source": sources[1]},
        {"head_lr": 1e-2} if kind is LinearNli else {"temperature": 0.05},
    ]
    one = run(stage, inputs)
    for change in changes:
        other = run(stage.model_copy(update=change), inputs)
        assert any(not torch.equal(one[name], other[name]) for name in one), change


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_vectors_come_side_by_side_in_the_order_asked_for(
    pooling: str, inputs: StageInputs, sources: list[SickNli]
) -> None:
    examples = pairs(sources[0], inputs.pretrained.tokenizer)
    sides = [
        with_special_tokens(side, inputs.pretrained.tokenizer)
        for side in (examples.premises, examples.hypotheses)
    ]
    encoder = build_encoder(inputs.pretrained, 0.1, CPU, torch.Generator()).eval()
    numbers = torch.tensor([7, 2, 30])
    vectors, n_tokens = encode_sides(encoder, sides, numbers, pooling)  # type: ignore[arg-type]
    assert n_tokens == sum(int(side.lengths[numbers].sum()) for side in sides)
    expected = [
        encode_sides(encoder, [side], torch.tensor([number]), pooling)[0]  # type: ignore[arg-type]
        for side in sides
        for number in (7, 2, 30)
    ]
    torch.testing.assert_close(vectors, torch.cat(expected), atol=1e-5, rtol=1e-5)


def test_mean_and_cls_are_what_their_names_say(inputs: StageInputs) -> None:
    encoder = build_encoder(inputs.pretrained, 0.0, CPU, torch.Generator()).eval()
    side = with_special_tokens(inputs.own, inputs.pretrained.tokenizer)
    hidden = encoder(pack(side.select(torch.tensor([4])), CPU))
    for pooling, expected in (("cls", hidden[0]), ("mean", hidden.mean(0))):
        vectors, _ = encode_sides(encoder, [side], torch.tensor([4]), pooling)  # type: ignore[arg-type]
        torch.testing.assert_close(vectors[0], expected, atol=1e-6, rtol=1e-5)


def test_weights_that_are_not_finite_fail_the_stage(
    inputs: StageInputs, sources: list[SickNli]
) -> None:
    broken = {**inputs.pretrained.parameters}
    broken["embeddings.norm.bias"] = torch.full_like(broken["embeddings.norm.bias"], torch.nan)
    pretrained = replace(inputs.pretrained, parameters=broken)
    with pytest.raises(StageFailed, match="weights are not finite after"):
        run(ContrastiveNli(**SMALL, source=sources[0]), replace(inputs, pretrained=pretrained))


def test_published_stages_can_be_written_down() -> None:
    adapter: TypeAdapter[NliTraining] = TypeAdapter(NliTraining)
    stages = (
        NoNli(),
        LinearNli(source=HubNli(name="multi_nli"), batch_size=16, lr=1e-5),
        LinearNli(source=HubNli(), batch_size=8, lr=1e-5, head_lr=1e-5, pooling="cls"),
        ContrastiveNli(source=HubNli(), batch_size=64, lr=1e-5, temperature=0.5),
        ContrastiveNli(source=SickNli(dir="sick")),
    )
    for stage in stages:
        assert adapter.validate_json(adapter.dump_json(stage), strict=True) == stage
