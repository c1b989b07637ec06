from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from trainable.model.bert import BertShape, MinBert
from trainable.model.dropout import Dropout
from trainable.model.encoder import EncoderConfig, Pretrained, load_pretrained
from trainable.model.packing import Packed, attention_layout
from trainable.model.weights import read_shape, read_weights, to_hugging_face

Sequence = tuple[list[int], list[int]]  # token ids, segment ids

_SENTENCES = (
    "Good .",
    "A gorgeous , witty , seductive movie .",
    "It 's a lovely film with lovely performances by Buy and Accorsi .",
    "How can I be a good geologist ?",
    "What should I do to be a great geologist ?",
    "A man is playing a large flute , and the woman who stands behind him is peeling a potato .",
    "No one goes unindicted here , which is probably for the best .",
    "The film is strictly routine , and despite its many hours of careful work , its lavish "
    "costumes and its celebrated cast , it never once gives us a reason to care about the people "
    "who wander through it , about the war that is fought far away from them , about what any of "
    "them might have lost or won in it , or about the end .",
    "Antidisestablishmentarianism !",
)


def pack(sequences: list[Sequence]) -> Packed:
    """Pack without `Corpus`, so that a mistake there cannot hide here."""
    lengths = torch.tensor([len(tokens) for tokens, _ in sequences])
    return Packed(
        tokens=torch.tensor([t for tokens, _ in sequences for t in tokens]),
        segments=torch.tensor([s for _, segments in sequences for s in segments]),
        positions=torch.cat([torch.arange(n) for n in lengths.tolist()]),
        cu_seqlens=torch.nn.functional.pad(lengths.cumsum(0), (1, 0)),
        sequence_of_token=torch.repeat_interleave(lengths),
        attention=attention_layout(lengths, torch.device("cpu")),
    )


def reference_states(reference: BertModel, sequences: list[Sequence]) -> tuple[Tensor, Tensor]:
    """Return transformers' hidden states of the real tokens, and its pooler's output."""
    longest = max(len(tokens) for tokens, _ in sequences)
    ids, segments, mask = torch.zeros(3, len(sequences), longest, dtype=torch.int64)
    for row, (tokens, own_segments) in enumerate(sequences):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        segments[row, : len(tokens)] = torch.tensor(own_segments)
        mask[row, : len(tokens)] = 1
    output = reference(input_ids=ids, attention_mask=mask, token_type_ids=segments)
    return output.last_hidden_state[mask.bool()], output.pooler_output


def real_sequences(tokenizer: Tokenizer) -> list[Sequence]:
    """Return single sentences and pairs of 1 to some 90 tokens, shortest first."""
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    assert cls is not None
    assert sep is not None
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in _SENTENCES]
    sequences: list[Sequence] = [([cls], [0])]
    sequences += [([cls, *one, sep], [0] * (len(one) + 2)) for one in ids]
    for one, two in pairwise(ids):
        tokens = [cls, *one, sep, *two, sep]
        sequences.append((tokens, [0] * (len(one) + 2) + [1] * (len(two) + 1)))
    return sorted(sequences, key=lambda sequence: len(sequence[0]))


def min_bert(pretrained: Pretrained) -> MinBert:
    dropout = Dropout(0.0, torch.Generator())
    model = MinBert(pretrained.shape, dropout, dropout)
    model.load_state_dict(pretrained.parameters)
    return model.eval()


@pytest.fixture(scope="module")
def pretrained(minilm: Path) -> Pretrained:
    return load_pretrained(EncoderConfig(source=str(minilm)), ())


@pytest.fixture(scope="module", params=["eager", "sdpa"])
def reference(minilm: Path, request: pytest.FixtureRequest) -> BertModel:
    model = BertModel.from_pretrained(minilm, attn_implementation=request.param)
    assert isinstance(model, BertModel)
    model.train(False)
    return model


def test_hidden_states_equal_those_of_transformers(
    pretrained: Pretrained, reference: BertModel
) -> None:
    model, sequences = min_bert(pretrained), real_sequences(pretrained.tokenizer)
    lengths = [len(tokens) for tokens, _ in sequences]
    assert lengths[0] == 1
    assert 80 <= lengths[-1] <= 100
    packed = pack(sequences)
    with torch.inference_mode():
        hidden = model(packed)
        pooled = model.pooler(hidden[packed.cu_seqlens[:-1]])
        expected_hidden, expected_pooled = reference_states(reference, sequences)
    torch.testing.assert_close(hidden, expected_hidden, atol=1e-5, rtol=0)
    torch.testing.assert_close(pooled, expected_pooled, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_gradients_of_all_parameters_equal_those_of_transformers(
    pretrained: Pretrained, reference: BertModel
) -> None:
    model, sequences = min_bert(pretrained), real_sequences(pretrained.tokenizer)
    packed = pack(sequences)
    generator = torch.Generator().manual_seed(0)
    width = pretrained.shape.hidden_size
    of_hidden = torch.randn(len(packed.tokens), width, generator=generator)
    of_pooled = torch.randn(len(sequences), width, generator=generator)

    hidden = model(packed)
    pooled = model.pooler(hidden[packed.cu_seqlens[:-1]])
    ((hidden * of_hidden).sum() + (pooled * of_pooled).sum()).backward()
    grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert len(grads) == len(list(model.parameters()))
    own = to_hugging_face(grads, pretrained.shape)

    reference.zero_grad()
    expected_hidden, expected_pooled = reference_states(reference, sequences)
    loss = (expected_hidden * of_hidden).sum() + (expected_pooled * of_pooled).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    expected = {name: p.grad for name, p in reference.named_parameters() if p.grad is not None}
    assert own.keys() == expected.keys()
    # A key's bias has no gradient but rounding errors: softmax does not see it.
    rounding = 1e-6 * max(float(g.norm()) for g in expected.values())
    for name, gradient in expected.items():
        assert (own[name] - gradient).norm() <= 1e-4 * gradient.norm() + rounding, name


@pytest.fixture(scope="module")
def tiny_pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[MinBert, BertModel]:
    """A random BERT in float64, where equal means equal to twelve digits."""
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=30,
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=20,
        max_position_embeddings=40,
        initializer_range=0.5,
    )
    reference = BertModel(config)
    reference.train(False)
    reference.save_pretrained(folder)
    shape = read_shape(folder)
    dropout = Dropout(0.0, torch.Generator())
    model = MinBert(shape, dropout, dropout)
    model.load_state_dict(read_weights(folder, shape))
    return model.double().eval(), reference.double()


@settings(max_examples=30)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=12).map(sorted),
    seed=st.integers(0, 2**31),
)
def test_any_mixture_of_lengths_gives_the_states_of_transformers(
    tiny_pair: tuple[MinBert, BertModel], lengths: list[int], seed: int
) -> None:
    model, reference = tiny_pair
    generator = torch.Generator().manual_seed(seed)
    sequences = [
        (
            torch.randint(30, (n,), generator=generator).tolist(),
            torch.randint(2, (n,), generator=generator).tolist(),
        )
        for n in lengths
    ]
    with torch.inference_mode():
        hidden = model(pack(sequences))
        expected, _ = reference_states(reference, sequences)
    torch.testing.assert_close(hidden, expected, atol=1e-12, rtol=1e-10)


def test_a_sequence_does_not_see_its_neighbours(tiny_pair: tuple[MinBert, BertModel]) -> None:
    model, _ = tiny_pair
    sequences = [([3, 4, 5], [0, 0, 0]), ([6, 7, 8, 9], [0, 0, 1, 1]), ([1] * 9, [0] * 9)]
    together = model(pack(sequences))
    alone = torch.cat([model(pack([sequence])) for sequence in sequences])
    torch.testing.assert_close(together, alone, atol=1e-12, rtol=0)


def drawn(shape: BertShape, dropout: Dropout, attention_dropout: Dropout) -> MinBert:
    """Return an encoder whose tables are drawn, too."""
    torch.manual_seed(0)
    model = MinBert(shape, dropout, attention_dropout)
    for table in model.embeddings.children():
        if isinstance(table, nn.Embedding):
            nn.init.normal_(table.weight)
    return model


def test_dropout_acts_in_training_and_not_in_evaluation() -> None:
    shape = BertShape(30, 12, 2, 3, 20, 40)
    dropout = Dropout(0.5, torch.Generator().manual_seed(0))
    model = drawn(shape, dropout, dropout)
    packed = pack([([3, 4, 5], [0, 0, 0])])
    assert not torch.equal(model(packed), model(packed))
    model.eval()
    assert torch.equal(model(packed), model(packed))


class KeepsAll(Dropout):
    """Counts as active, and drops nothing."""

    is_active = True  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_attention_with_dropout_is_the_same_function_as_without() -> None:
    shape = BertShape(50, 16, 2, 2, 32, 64)
    none = Dropout(0.0, torch.Generator())
    fast = drawn(shape, none, none)
    written_out = MinBert(shape, none, KeepsAll(0.5, torch.Generator()))
    written_out.load_state_dict(fast.state_dict())
    packed = pack([([number % 50 for number in range(n)], [0] * n) for n in (3, 5, 8, 8, 30)])
    torch.testing.assert_close(written_out(packed), fast(packed), atol=1e-6, rtol=1e-5)


def tagged_pair() -> tuple[MinBert, MinBert, Packed]:
    """One encoder twice, the second with a table of five tags, and a batch with tags."""
    shape = BertShape(50, 16, 2, 2, 32, 64)
    none = Dropout(0.0, torch.Generator())
    plain, tagged = drawn(shape, none, none), MinBert(shape, none, none, n_tags=5)
    missing, unexpected = tagged.load_state_dict(plain.state_dict(), strict=False)
    assert (missing, unexpected) == (["embeddings.tag.weight"], [])
    packed = pack([([2, 7, 8, 3], [0] * 4), ([2, 9, 9, 9, 3], [0] * 5)])
    return plain, tagged, replace(packed, tags=torch.tensor([0, 1, 2, 0, 0, 4, 4, 1, 0]))


def test_a_new_tag_table_changes_no_bit() -> None:
    plain, tagged, packed = tagged_pair()
    assert torch.equal(tagged(packed), plain(packed))
    assert torch.equal(plain(packed), plain(replace(packed, tags=None)))


def test_the_tag_table_learns_the_tags_that_occur() -> None:
    _, tagged, packed = tagged_pair()
    tagged(packed).square().sum().backward()
    table = tagged.embeddings.tag
    assert table is not None
    assert table.weight.grad is not None
    moved = table.weight.grad.abs().sum(1) > 0
    assert moved.tolist() == [False, True, True, False, True]  # 3 does not occur, 0 is no tag


def test_a_tag_is_a_vector_added_to_its_words() -> None:
    plain, tagged, packed = tagged_pair()
    vector = torch.randn(16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert tagged.embeddings.tag is not None
        tagged.embeddings.tag.weight[4] = vector
        plain.embeddings.word.weight[9] += vector  # the word of two tokens with tag 4, and of one
    tags = packed.tags.clone() if packed.tags is not None else torch.empty(0)
    tags[packed.tokens == 9] = 4
    torch.testing.assert_close(
        tagged(replace(packed, tags=tags)), plain(packed), atol=1e-6, rtol=1e-5
    )


def test_an_encoder_with_a_tag_table_refuses_a_batch_without_tags() -> None:
    _, tagged, packed = tagged_pair()
    with pytest.raises(AssertionError, match="needs tagged batches"):
        tagged(replace(packed, tags=None))
