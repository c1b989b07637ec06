"""minBERT: embeddings, self-attention, layer, encoder, pooler, on packed sequences.

It also runs RoBERTa, XLM-R and DistilBERT, whose embeddings alone differ.

No padding reaches a linear layer: all sentences of a pass lie one behind the other in one
(n_tokens, width) tensor. Only attention needs the sequences apart; it works on `AttentionLayout`,
which groups sequences of similar length and pads inside a group.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainable.model.dropout import Dropout
from trainable.model.packing import Packed, pad, unpad


@dataclass(frozen=True)
class BertShape:
    """Sizes of an encoder, named as in a Hugging Face config.json of BERT.

    Attributes:
        type_vocab_size: Rows of the segment table; 0 for no table.
        model_type: Key of `ARCHITECTURES`. Only `bert` reads segments: all tokens of the others are
            in segment 0, as their tokenizers say.
        first_position: Position of a sequence's first token. Deviation: in RoBERTa, a text's own
            "<pad>" takes a position as any other token does; transformers skips it.
    """

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12
    model_type: str = "bert"
    first_position: int = 0


class BertEmbeddings(nn.Module):
    """Word + position + segment embeddings, + parts of speech if asked for; LayerNorm, dropout."""

    def __init__(self, shape: BertShape, dropout: Dropout, n_tags: int) -> None:
        super().__init__()
        width = shape.hidden_size
        self.word = _table(shape.vocab_size, width)
        self.position = _table(shape.max_position_embeddings, width)
        n_segments = shape.type_vocab_size
        self.segment = _table(n_segments, width) if n_segments else None
        self.reads_segments = shape.model_type == "bert"
        self.first_position = shape.first_position
        # Zeros are the pretrained function, until training moves them. Row 0 means "no tag" and
        # stays zero: it changes nothing where text has no tags.
        self.tag = _table(n_tags, width, padding_idx=0) if n_tags else None
        self.norm = nn.LayerNorm(width, eps=shape.layer_norm_eps)
        self.dropout = dropout

    def forward(self, packed: Packed) -> Tensor:
        """Return (n_tokens, width)."""
        positions = packed.positions
        if self.first_position:
            positions = positions + self.first_position
        x = self.word(packed.tokens) + self.position(positions)
        if self.segment is not None:
            x = x + (
                self.segment(packed.segments) if self.reads_segments else self.segment.weight[0]
            )
        if self.tag is not None:
            assert packed.tags is not None, "an encoder with a tag table needs tagged batches"
            x = x + self.tag(packed.tags)
        return self.dropout(self.norm(x))  # type: ignore[no-any-return]


def _table(n_rows: int, width: int, padding_idx: int | None = None) -> nn.Embedding:
    """Return a table of zeros; see `MinBert`.

    What `nn.Embedding` draws by itself imports TorchDynamo on the meta device, where encoders are
    built: a second of each start of a program that only predicts.
    """
    table: nn.Embedding = nn.Embedding.from_pretrained(  # type: ignore[no-untyped-call]
        torch.zeros(n_rows, width), freeze=False, padding_idx=padding_idx
    )
    return table


class BertSelfAttention(nn.Module):
    """Multi-head self-attention inside each sequence of a packed batch.

    Query, key and value are one linear layer: one large product is faster than three small ones.
    """

    def __init__(self, shape: BertShape, attention_dropout: Dropout) -> None:
        super().__init__()
        self.n_heads = shape.num_attention_heads
        self.qkv = nn.Linear(shape.hidden_size, 3 * shape.hidden_size)
        self.dropout = attention_dropout

    def forward(self, x: Tensor, packed: Packed) -> Tensor:
        """Map (n_tokens, width) to (n_tokens, width)."""
        layout = packed.attention
        qkv = pad(self.qkv(x), layout)  # (n_slots, 3 * width)
        sizes = [group.n_seqs * group.length for group in layout.groups]
        contexts = []
        # split, not slices: the gradient of each slice would be a tensor of zeros of full size.
        for group, part in zip(layout.groups, torch.split(qkv, sizes), strict=True):
            part = part.view(group.n_seqs, group.length, 3, self.n_heads, -1)
            q, k, v = part.permute(2, 0, 3, 1, 4)  # each (n_seqs, heads, length, head width)
            context = self._attend(q, k, v, group.mask)
            contexts.append(context.transpose(1, 2).reshape(-1, x.shape[1]))  # (slots, width)
        return unpad(torch.cat(contexts), layout)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """Map (n_seqs, heads, length, head width) to the same shape."""
        if not self.dropout.is_active:
            return F.scaled_dot_product_attention(q, k, v, mask)
        # Written out: torch's kernel would draw from the global generator.
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])  # (n_seqs, heads, length, length)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        return self.dropout(scores.softmax(dim=3)) @ v  # type: ignore[no-any-return]


class BertLayer(nn.Module):
    """Self-attention and feed-forward, each with dropout, residual and LayerNorm after it."""

    def __init__(self, shape: BertShape, dropout: Dropout, attention_dropout: Dropout) -> None:
        super().__init__()
        width, eps = shape.hidden_size, shape.layer_norm_eps
        self.attention = BertSelfAttention(shape, attention_dropout)
        self.attention_out = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width, eps=eps)
        self.feed_in = nn.Linear(width, shape.intermediate_size)
        self.feed_out = nn.Linear(shape.intermediate_size, width)
        self.feed_norm = nn.LayerNorm(width, eps=eps)
        self.dropout = dropout

    def forward(self, x: Tensor, packed: Packed) -> Tensor:
        """Map (n_tokens, width) to (n_tokens, width)."""
        attended = self.attention_out(self.attention(x, packed))
        x = self.attention_norm(x + self.dropout(attended))
        fed = self.feed_out(F.gelu(self.feed_in(x)))
        return self.feed_norm(x + self.dropout(fed))  # type: ignore[no-any-return]


class BertPooler(nn.Module):
    """The pretrained dense + tanh on the [CLS] state."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)

    def forward(self, cls_states: Tensor) -> Tensor:
        """Map (n_seqs, width) to (n_seqs, width)."""
        return torch.tanh(self.dense(cls_states))


class MinBert(nn.Module):
    """BERT encoder over packed sequences; its tables are zero until parameters are loaded.

    Source: Devlin et al. 2019 (arXiv:1810.04805), section 3; hidden states equal those of the
    classes in `ARCHITECTURES`, such as transformers' `BertModel`, with the same weights. The
    table of parts of speech is ours; the paper of `mtbert/pos` does not say where its tags enter.

    Args:
        shape: Sizes.
        dropout: Applied to the embeddings and after both halves of each layer.
        attention_dropout: Applied to the attention weights.
        n_tags: Rows of the table of parts of speech, which starts at zero; 0 for no table.
    """

    def __init__(
        self, shape: BertShape, dropout: Dropout, attention_dropout: Dropout, n_tags: int = 0
    ) -> None:
        super().__init__()
        self.shape = shape
        self.embeddings = BertEmbeddings(shape, dropout, n_tags)
        self.layers = nn.ModuleList(
            BertLayer(shape, dropout, attention_dropout) for _ in range(shape.num_hidden_layers)
        )
        self.pooler = BertPooler(shape.hidden_size)

    def forward(self, packed: Packed) -> Tensor:
        """Return the last hidden states, (n_tokens, width)."""
        x = self.embeddings(packed)
        for layer in self.layers:
            x = layer(x, packed)
        return x  # type: ignore[no-any-return]
