"""Further pretraining: the encoder learns to restore corrupted text before it sees a task."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from tokenizers import Tokenizer
from torch import Tensor

from trainable.component import Choice, Component, FloatRange
from trainable.data.pretraining_text import OwnText, TextSource, load_text, text_fingerprint
from trainable.data.sentences import N_SPECIAL_TOKENS, Sentences
from trainable.data.special_tokens import special_tokens
from trainable.errors import InputError
from trainable.model.encoder import LONGEST_SEQUENCE, build_encoder
from trainable.model.weights import Parameters
from trainable.seeds import ExampleOrder, derive
from trainable.stages.batches import by_length, pack, with_special_tokens
from trainable.stages.corruption import Corrupted, Text, mask_tails, mask_tokens, shuffle_windows
from trainable.stages.mlm_head import MlmHead
from trainable.stages.pretraining_loop import (
    HeadLr,
    OnStep,
    StageInputs,
    TrainedStage,
    train,
)


class NoFurtherPretraining(Component):
    """The encoder is used as it was published."""

    kind: Literal["none"] = "none"


class LanguageModelling(TrainedStage):
    """Base of the objectives: text in chunks, corrupted anew in every batch.

    The head is that of masked language modelling. If the checkpoint has a pretrained one, it starts
    from there and learns at `lr`.

    Attributes:
        sources: Sources of the text; at least one.
        batch_size: Chunks of a step.
        chunk: Tokens in a chunk, [CLS] and [SEP] included. Sentences lie end to end with a [SEP]
            between them, and are cut where a chunk is full.
        head_lr: Peak learning rate of a head that is not pretrained.
    """

    sources: Annotated[tuple[TextSource, ...], Field(min_length=1)] = (OwnText(),)
    batch_size: Annotated[int, Field(ge=1, le=65536), Choice((8, 16, 32, 64, 128))] = 16
    chunk: Annotated[int, Field(ge=8, le=LONGEST_SEQUENCE), Choice((64, 128))] = 128
    head_lr: HeadLr = 1e-3

    @abstractmethod
    def corrupt(self, text: Text, tokenizer: Tokenizer, draws: torch.Generator) -> Corrupted:
        """Return the tokens that the encoder reads, and the positions that it must restore."""

    def fingerprint(self, inputs: StageInputs) -> str:
        """Return a digest of the text."""
        return text_fingerprint(self.sources, inputs.own)

    def run(
        self, inputs: StageInputs, seed: int, device: torch.device, on_step: OnStep
    ) -> Parameters:
        """Train the encoder to restore text.

        Args:
            inputs: Start of the stage.
            seed: Seed of all draws.
            device: Device to compute on.
            on_step: Called after each step.

        Returns:
            The encoder's weights; the head is dropped.

        Raises:
            InputError: A source is not available, or is empty.
            StageFailed: The training diverged.
        """
        tokenizer = inputs.pretrained.tokenizer
        chunks = cut_chunks(load_text(self.sources, tokenizer, inputs.own), self.chunk, tokenizer)
        names = special_tokens(tokenizer)
        special = torch.tensor([names.cls, names.sep])
        dropout_bits = torch.Generator(device).manual_seed(derive(seed, "language_modelling"))
        draws = torch.Generator().manual_seed(derive(seed, "corruption"))
        encoder = build_encoder(inputs.pretrained, self.dropout, device, dropout_bits)
        head = MlmHead(inputs.pretrained.shape, draws)
        if inputs.mlm_head is not None:
            head.load_state_dict(inputs.mlm_head)
        head.to(device)
        order = ExampleOrder(len(chunks), derive(seed, "chunks"))

        def batch_loss() -> tuple[Tensor, int]:
            batch, _ = by_length(chunks, order.take(self.batch_size))
            tokens = batch.tokens.long()
            sequences = torch.repeat_interleave(batch.lengths)
            text = Text(tokens, ~torch.isin(tokens, special), sequences)
            corrupted, positions = self.corrupt(text, tokenizer, draws)
            hidden = encoder(pack(Sentences(corrupted, batch.offsets), device))
            # Only predicted positions go through the decoder, which is as wide as the vocabulary.
            scores = head(hidden[positions.to(device)], encoder.embeddings.word.weight)
            targets = tokens[positions].to(device)
            loss = F.cross_entropy(scores.float(), targets, reduction="sum")
            return loss / max(1, len(positions)), len(tokens)

        head_lr = self.head_lr if inputs.mlm_head is None else self.lr
        return train(self, encoder, head, head_lr, batch_loss, on_step)


class MaskedLanguageModelling(LanguageModelling):
    """Predict masked words (MLM).

    Source: Devlin et al. 2019; "BERT++", section 4.3.2, "MT-BERT", section 4.3 and "BERT Goes to
    College", section 3.2: chunks of 128 tokens, 15 % of them masked. The last of them uses a single
    new linear layer for a head.

    Attributes:
        mask_probability: Probability that a word must be predicted; see `mask_tokens`.
    """

    kind: Literal["mlm"] = "mlm"
    mask_probability: Annotated[float, Field(gt=0, lt=1), FloatRange(0.1, 0.4)] = 0.15

    def corrupt(self, text: Text, tokenizer: Tokenizer, draws: torch.Generator) -> Corrupted:
        """See `mask_tokens`."""
        mask_id, n_words = special_tokens(tokenizer).mask, tokenizer.get_vocab_size()
        return mask_tokens(text, self.mask_probability, mask_id, n_words, draws)


class Deshuffling(LanguageModelling):
    """Predict the words that stood where the order was shuffled.

    Source: "MT-BERT", table 1, after T5 (arXiv:1910.10683, table 3). Deviation: an encoder writes
    no text; it predicts the original word at each shuffled position, as in StructBERT
    (arXiv:1908.04577, section 2.2), which shuffles three words at a time.

    Attributes:
        window: Words that are shuffled with each other; `chunk` shuffles whole chunks.
        share: Fraction of the windows that are shuffled.
    """

    kind: Literal["deshuffling"] = "deshuffling"
    window: Annotated[int, Field(ge=2, le=LONGEST_SEQUENCE), Choice((3, 8, 32, 128))] = 128
    share: Annotated[float, Field(gt=0, le=1), FloatRange(0.05, 1.0)] = 1.0

    def corrupt(self, text: Text, tokenizer: Tokenizer, draws: torch.Generator) -> Corrupted:
        """See `shuffle_windows`."""
        return shuffle_windows(text, self.window, self.share, draws)


class PrefixLanguageModelling(LanguageModelling):
    """Predict how a text goes on after a random cut.

    Source: "MT-BERT", table 1, after T5 (arXiv:1910.10683, table 3). Deviation: there is no decoder
    that would write the rest word by word; every word after the cut becomes [MASK], and all are
    predicted at once.

    Attributes:
        largest_tail: Largest fraction of a chunk's words that is hidden; see `mask_tails`.
    """

    kind: Literal["prefix"] = "prefix"
    largest_tail: Annotated[float, Field(gt=0, le=1), FloatRange(0.1, 1.0)] = 1.0

    def corrupt(self, text: Text, tokenizer: Tokenizer, draws: torch.Generator) -> Corrupted:
        """See `mask_tails`."""
        mask_id = special_tokens(tokenizer).mask
        return mask_tails(text, self.largest_tail, mask_id, draws)


FurtherPretraining = Annotated[
    NoFurtherPretraining | MaskedLanguageModelling | Deshuffling | PrefixLanguageModelling,
    Field(discriminator="kind"),
]


def cut_chunks(text: Sentences, chunk: int, tokenizer: Tokenizer) -> Sentences:
    """Join all sentences, with one [SEP] between them, and cut them into chunks.

    Source: the papers concatenate and cut, too. Deviation: the last chunk, which may be shorter, is
    kept.

    Args:
        text: Sentences without special tokens.
        chunk: Tokens of a chunk.
        tokenizer: Gives the ids of [CLS] and [SEP], which RoBERTa calls <s> and </s>.

    Returns:
        Chunks, each with [CLS] at the start and [SEP] at the end.

    Raises:
        InputError: There is no text.
    """
    if not len(text.tokens):
        raise InputError("the text for further pretraining is empty; give other sources")
    stream = with_special_tokens(text, tokenizer).tokens
    # Without the [CLS] of each sentence; its [SEP] divides it from the next.
    stream = stream[stream != special_tokens(tokenizer).cls][:-1]
    inner = chunk - N_SPECIAL_TOKENS
    offsets = torch.arange(0, len(stream) + inner, inner).clamp(max=len(stream))
    return with_special_tokens(Sentences(stream, offsets), tokenizer)
