"""Intermediate training on natural language inference (NLI)."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from trainable.component import Choice, Component, FloatRange
from trainable.data.nli import NLI_LABELS, NliSource, SampleNli, pairs, triplets
from trainable.data.sentences import Sentences, joined
from trainable.losses import contrastive
from trainable.model.bert import MinBert
from trainable.model.encoder import build_encoder
from trainable.model.pooling import SequenceStates
from trainable.model.weights import Parameters
from trainable.seeds import ExampleOrder, derive
from trainable.stages.batches import by_length, pack, with_special_tokens
from trainable.stages.pretraining_loop import (
    HeadLr,
    OnStep,
    StageInputs,
    TrainedStage,
    train,
)

BatchSize = Annotated[int, Field(ge=1, le=65536), Choice((8, 16, 32, 64, 128))]

_HEAD_SCALE = 0.02  # BERT's initialisation


class NoNli(Component):
    """No training on NLI before the tasks."""

    kind: Literal["none"] = "none"


class NliStage(TrainedStage):
    """Base of both kinds of NLI training.

    Attributes:
        source: Source of the examples.
        pooling: State of [CLS], or mean over a sentence's tokens.
    """

    source: NliSource = SampleNli()
    pooling: Annotated[Literal["cls", "mean"], Choice(("cls", "mean"))] = "mean"

    def fingerprint(self, inputs: StageInputs) -> str:
        """Return a digest of the examples."""
        return self.source.fingerprint()


class LinearNli(NliStage):
    """Cross entropy over a linear layer on (u, v, |u - v|) of premise and hypothesis.

    Source: "BERT Goes to College", section 3.3, equation 1, after Sentence-BERT (arXiv:1908.10084).
    The layer is dropped afterwards.

    Attributes:
        batch_size: Pairs of a step.
        head_lr: Peak learning rate of the linear layer.
    """

    kind: Literal["linear"] = "linear"
    batch_size: BatchSize = 16
    head_lr: HeadLr = 1e-3

    def run(
        self, inputs: StageInputs, seed: int, device: torch.device, on_step: OnStep
    ) -> Parameters:
        """Train the encoder.

        Args:
            inputs: Start of the stage.
            seed: Seed of all draws.
            device: Device to compute on.
            on_step: Called after each step.

        Raises:
            InputError: The source is not available.
            StageFailed: The training diverged.
        """
        examples = pairs(self.source, inputs.pretrained.tokenizer)
        sides = [
            with_special_tokens(side, inputs.pretrained.tokenizer)
            for side in (examples.premises, examples.hypotheses)
        ]
        generator = torch.Generator(device).manual_seed(derive(seed, "nli"))
        encoder = build_encoder(inputs.pretrained, self.dropout, device, generator)
        head = nn.Linear(3 * inputs.pretrained.shape.hidden_size, len(NLI_LABELS), device=device)
        head.weight.data.normal_(0.0, _HEAD_SCALE, generator=generator)
        nn.init.zeros_(head.bias)
        order = ExampleOrder(len(examples), derive(seed, "nli_examples"))

        def batch_loss() -> tuple[Tensor, int]:
            numbers = order.take(self.batch_size)
            vectors, n_tokens = encode_sides(encoder, sides, numbers, self.pooling)
            u, v = vectors.chunk(2)
            scores = head(torch.cat([u, v, (u - v).abs()], dim=1))
            return F.cross_entropy(scores.float(), examples.labels[numbers].to(device)), n_tokens

        return train(self, encoder, head, self.head_lr, batch_loss, on_step)


class ContrastiveNli(NliStage):
    """Move premises towards their entailments, away from contradictions and the rest of the batch.

    Source: "BERT Goes to College", section 3.4, after supervised SimCSE (Gao et al. 2021,
    arXiv:2104.08821, equation 5). Deviation from SimCSE, as in the paper: no layer between pooling
    and cosine. `data.nli.find_triplets` says which sentences are paired.

    Attributes:
        batch_size: Premises of a step.
        temperature: Divisor of the cosines. The paper has 0.5, SimCSE 0.05.
    """

    kind: Literal["contrastive"] = "contrastive"
    batch_size: BatchSize = 64
    temperature: Annotated[float, Field(gt=0, le=10), FloatRange(0.05, 1.0, log=True)] = 0.5

    def run(
        self, inputs: StageInputs, seed: int, device: torch.device, on_step: OnStep
    ) -> Parameters:
        """Train the encoder.

        Args:
            inputs: Start of the stage.
            seed: Seed of all draws.
            device: Device to compute on.
            on_step: Called after each step.

        Raises:
            InputError: The source is not available, or has no triplet.
            StageFailed: The training diverged.
        """
        sides = [
            with_special_tokens(side, inputs.pretrained.tokenizer)
            for side in triplets(self.source, inputs.pretrained.tokenizer)
        ]
        generator = torch.Generator(device).manual_seed(derive(seed, "nli"))
        encoder = build_encoder(inputs.pretrained, self.dropout, device, generator)
        order = ExampleOrder(len(sides[0]), derive(seed, "nli_examples"))

        def batch_loss() -> tuple[Tensor, int]:
            numbers = order.take(self.batch_size)
            vectors, n_tokens = encode_sides(encoder, sides, numbers, self.pooling)
            return contrastive(vectors.float(), self.temperature), n_tokens

        return train(self, encoder, nn.Module(), self.lr, batch_loss, on_step)


NliTraining = Annotated[NoNli | LinearNli | ContrastiveNli, Field(discriminator="kind")]


def encode_sides(
    encoder: MinBert, sides: list[Sentences], numbers: Tensor, pooling: Literal["cls", "mean"]
) -> tuple[Tensor, int]:
    """Encode the same examples of several columns of sentences in one pass.

    Args:
        encoder: The encoder.
        sides: Columns of sentences, special tokens included.
        numbers: (n,) int64 numbers of examples.
        pooling: State of [CLS], or mean over a sentence's tokens.

    Returns:
        (len(sides) * n, width), all examples of the first column before those of the second, and
        the number of tokens.
    """
    device = encoder.embeddings.word.weight.device
    chosen = joined([side.select(numbers) for side in sides])
    batch, rows = by_length(chosen, torch.arange(len(chosen)))
    packed = pack(batch, device)
    states = SequenceStates(encoder(packed), packed, encoder.pooler)
    vectors = states.cls if pooling == "cls" else states.mean
    return vectors[rows.to(device)], len(batch.tokens)
