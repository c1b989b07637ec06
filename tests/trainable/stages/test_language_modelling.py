"""Further pretraining: chunks, learning, budget, what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from trainable.data.pretraining_text import HubText, OwnText, SickText, TextFiles
from trainable.data.sentences import Sentences
from trainable.data.tokenize import encode
from trainable.data.tokenizer import train_wordpiece
from trainable.errors import InputError
from trainable.model.encoder import EncoderConfig, load_pretrained
from trainable.model.weights import Parameters
from trainable.stages import language_modelling
from trainable.stages.language_modelling import (
    Deshuffling,
    FurtherPretraining,
    LanguageModelling,
    MaskedLanguageModelling,
    NoFurtherPretraining,
    PrefixLanguageModelling,
    cut_chunks,
)
from trainable.stages.mlm_head import MlmHead
from trainable.stages.pretraining_loop import StageFailed, StageInputs

CPU = torch.device("cpu")
SMALL = {"budget_tokens": 600, "batch_size": 4, "chunk": 32, "lr": 2e-3, "head_lr": 4e-3}
OBJECTIVES = (
    MaskedLanguageModelling(**SMALL),
    Deshuffling(**SMALL),
    PrefixLanguageModelling(**SMALL),
)


def run(stage: LanguageModelling, inputs: StageInputs, seed: int = 0) -> Parameters:
    return stage.run(inputs, seed, CPU, lambda share: None)


def equal(one: Parameters, other: Parameters) -> bool:
    return all(torch.equal(one[name], other[name]) for name in other)


@given(st.lists(st.text("ab ", max_size=12), min_size=1, max_size=9), st.integers(8, 20))
def test_chunks_are_the_text_in_order(lines: list[str], chunk: int) -> None:
    tokenizer = train_wordpiece(["a b"], 50)
    text = encode(lines, tokenizer)
    if not len(text.tokens):
        with pytest.raises(InputError, match="is empty; give other sources"):
            cut_chunks(text, chunk, tokenizer)
        return
    cls, sep = (tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]"))
    stream: list[int] = []
    for line in lines:
        stream += [*tokenizer.encode(line).ids, sep]
    found = cut_chunks(text, chunk, tokenizer)
    parts = [part.tolist() for part in found.tokens.split(found.lengths.tolist())]
    assert all(part[0] == cls and part[-1] == sep for part in parts)
    assert all(len(part) == chunk for part in parts[:-1])
    assert 2 < len(parts[-1]) <= chunk
    assert [token for part in parts for token in part[1:-1]] == stream[:-1]


@pytest.mark.slow
def test_the_loss_of_masked_words_falls(
    inputs: StageInputs, record_losses: Callable[[ModuleType], list[float]]
) -> None:
    losses = record_losses(language_modelling)
    run(MaskedLanguageModelling(lr=2e-3, head_lr=4e-3, budget_tokens=60_000, batch_size=8), inputs)
    # At first nothing but the size of the vocabulary is known: log(254) = 5.5.
    assert losses[0] > 5
    assert sum(losses[-10:]) / 10 < 4.3


@pytest.mark.parametrize("stage", OBJECTIVES, ids=lambda stage: stage.kind)
def test_a_stage_is_a_function_of_its_inputs_and_seed(
    stage: LanguageModelling, inputs: StageInputs
) -> None:
    before = {name: t.clone() for name, t in inputs.pretrained.parameters.items()}
    first, again, other = (run(stage, inputs, seed) for seed in (0, 0, 1))
    assert first.keys() == before.keys()
    assert equal(first, again)
    assert not equal(first, other)
    assert equal(inputs.pretrained.parameters, before)
    assert not torch.equal(first["embeddings.word.weight"], before["embeddings.word.weight"])
    # Nothing of the objectives goes through the pooler.
    assert torch.equal(first["pooler.dense.weight"], before["pooler.dense.weight"])


def test_progress_rises_to_the_end_of_the_budget(inputs: StageInputs) -> None:
    shares: list[float] = []
    OBJECTIVES[0].run(inputs, 0, CPU, shares.append)
    assert shares[0] == pytest.approx(128 / 600)  # 4 chunks of 32 tokens a step
    assert shares == sorted(set(shares))
    assert shares[-1] == 1.0


def test_only_chosen_positions_go_through_the_decoder(
    inputs: StageInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_scored: list[int] = []
    original = MlmHead.forward

    def forward(self: MlmHead, hidden: Tensor, word_embeddings: Tensor) -> Tensor:
        n_scored.append(len(hidden))
        return original(self, hidden, word_embeddings)

    monkeypatch.setattr(MlmHead, "forward", forward)
    run(OBJECTIVES[0].model_copy(update={"batch_size": 16}), inputs)
    assert n_scored
    assert all(0 < n < 0.3 * 16 * 32 for n in n_scored)


def test_a_pretrained_head_is_used_and_learns_like_the_encoder(inputs: StageInputs) -> None:
    head = MlmHead(inputs.pretrained.shape, torch.Generator().manual_seed(5)).state_dict()
    with_head = replace(inputs, mlm_head=head)
    assert not equal(run(OBJECTIVES[0], with_head), run(OBJECTIVES[0], inputs))
    slow, fast = (OBJECTIVES[0].model_copy(update={"head_lr": lr}) for lr in (1e-5, 1e-2))
    assert equal(run(slow, with_head), run(fast, with_head))
    assert not equal(run(slow, inputs), run(fast, inputs))


def test_text_without_a_word_to_predict_is_harmless(inputs: StageInputs) -> None:
    one_word = Sentences(torch.tensor([7], dtype=torch.int32), torch.tensor([0, 1]))
    stage = MaskedLanguageModelling(budget_tokens=30, batch_size=1, mask_probability=0.01)
    weights = run(stage, replace(inputs, own=one_word))
    assert all(tensor.isfinite().all() for tensor in weights.values())


def test_weights_that_are_not_finite_fail_the_stage(inputs: StageInputs) -> None:
    broken = {**inputs.pretrained.parameters}
    broken["embeddings.norm.bias"] = torch.full_like(broken["embeddings.norm.bias"], torch.nan)
    pretrained = replace(inputs.pretrained, parameters=broken)
    with pytest.raises(StageFailed, match="weights are not finite after"):
        run(OBJECTIVES[0], replace(inputs, pretrained=pretrained))


def test_bf16_learns_much_the_same(inputs: StageInputs) -> None:
    full = run(OBJECTIVES[0], inputs)
    half = run(OBJECTIVES[0].model_copy(update={"precision": "bf16"}), inputs)
    name = "layers.1.feed_in.weight"
    start = inputs.pretrained.parameters[name]
    assert not torch.equal(half[name], full[name])
    cosine = torch.cosine_similarity(
        (half[name] - start).flatten(), (full[name] - start).flatten(), dim=0
    )
    assert cosine > 0.8


def test_published_stages_can_be_written_down() -> None:
    adapter: TypeAdapter[FurtherPretraining] = TypeAdapter(FurtherPretraining)
    # "BERT++", model G.
    sources = (HubText(name="imdb", limit=10_000), HubText(name="multi_nli", limit=20_000))
    stages = (
        NoFurtherPretraining(),
        MaskedLanguageModelling(sources=(*sources, SickText(dir="sick"))),
        MaskedLanguageModelling(sources=(OwnText(),), batch_size=128, lr=1e-5),  # "MT-BERT"
        Deshuffling(sources=(TextFiles(paths=("a.txt",)),)),
        PrefixLanguageModelling(),
    )
    for stage in stages:
        assert adapter.validate_json(adapter.dump_json(stage), strict=True) == stage
    with pytest.raises(ValidationError, match="at least 1 item"):
        MaskedLanguageModelling(sources=())


@pytest.mark.slow
def test_minilm_learns_its_own_text(
    minilm: Path, record_losses: Callable[[ModuleType], list[float]]
) -> None:
    pretrained = load_pretrained(EncoderConfig(source=str(minilm)), [])
    lines = ["a dog runs in the yard", "stocks fall again", "nobody reads the tags"] * 20
    inputs = StageInputs(pretrained, encode(lines, pretrained.tokenizer))
    losses = record_losses(language_modelling)
    run(MaskedLanguageModelling(budget_tokens=1500, batch_size=2, chunk=64, lr=2e-4), inputs)
    assert losses[-1] < losses[0] - 2
