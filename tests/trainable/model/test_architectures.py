"""RoBERTa, XLM-R and DistilBERT, against transformers' models with the same random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor
from transformers import (
    AutoModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    DistilBertForSequenceClassification,
    DistilBertModel,
    PreTrainedConfig,
    PreTrainedModel,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaForSequenceClassification,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
)

from tests.trainable.model.test_bert import Sequence, pack
from trainable.errors import InputError
from trainable.model.architectures import ARCHITECTURES, config_fields
from trainable.model.bert import MinBert
from trainable.model.dropout import Dropout
from trainable.model.weights import has_pooler, read_shape, read_weights, to_hugging_face

_VOCABULARY = 50
MODELS: dict[str, Any] = {
    "roberta": RobertaModel,
    "xlm-roberta": XLMRobertaModel,
    "distilbert": DistilBertModel,
}
WITH_HEAD: list[Any] = [
    *(RobertaForMaskedLM, RobertaForSequenceClassification, XLMRobertaForMaskedLM),
    *(XLMRobertaForSequenceClassification, DistilBertForMaskedLM),
    DistilBertForSequenceClassification,
]


def config_of(model_type: str, **values: Any) -> PreTrainedConfig:
    """A small encoder whose weights are large enough that each of them matters."""
    if model_type == "distilbert":
        sizes = {"dim": 12, "n_layers": 2, "n_heads": 3, "hidden_dim": 20}
        sizes["max_position_embeddings"] = 60
        return DistilBertConfig(
            **({"vocab_size": _VOCABULARY, "initializer_range": 0.3} | sizes | values)
        )
    kind = RobertaConfig if model_type == "roberta" else XLMRobertaConfig
    defaults: dict[str, Any] = {
        "vocab_size": _VOCABULARY,
        "hidden_size": 12,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 20,
        "max_position_embeddings": 62,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
        "initializer_range": 0.3,
    }
    return kind(**(defaults | values))


def write(folder: Path, model_type: str, **values: Any) -> PreTrainedModel:
    """Write a random encoder, biases included, and return transformers' own."""
    torch.manual_seed(0)
    model = MODELS[model_type](config_of(model_type, **values))
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    loaded = AutoModel.from_pretrained(folder)
    assert isinstance(loaded, MODELS[model_type])
    loaded.train(False)
    return loaded


def read(folder: Path) -> MinBert:
    shape = read_shape(folder)
    dropout = Dropout(0.0, torch.Generator())
    model = MinBert(shape, dropout, dropout)
    model.load_state_dict(read_weights(folder, shape))
    return model.eval()


def drawn(lengths: list[int], seed: int = 0) -> list[Sequence]:
    """Return sequences without the token of padding, 1, and with segments as BERT would have."""
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randint(2, _VOCABULARY, (n,), generator=generator).tolist(),
            [int(number >= n // 2) for number in range(n)],
        )
        for n in lengths
    ]


def reference_states(reference: PreTrainedModel, sequences: list[Sequence]) -> tuple[Tensor, Any]:
    """Return hidden states of the real tokens, (n_tokens, width), and the pooler's output.

    As in transformers' own use of these encoders, no segments are given.
    """
    padding = reference.config.pad_token_id
    longest = max(len(tokens) for tokens, _ in sequences)
    ids = torch.full((len(sequences), longest), padding)
    for row, (tokens, _) in enumerate(sequences):
        ids[row, : len(tokens)] = torch.tensor(tokens)
    mask = torch.zeros_like(ids)
    for row, (tokens, _) in enumerate(sequences):
        mask[row, : len(tokens)] = 1
    output = reference(input_ids=ids, attention_mask=mask)
    return output.last_hidden_state[mask.bool()], getattr(output, "pooler_output", None)


LENGTHS = [[1], [60], [3, 3, 3], [1, 2, 7, 8, 9, 16, 17, 33, 60], [5, 5, 30, 31, 31]]


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("model_type", MODELS)
def test_hidden_states_equal_those_of_transformers(
    tmp_path: Path, model_type: str, lengths: list[int]
) -> None:
    reference, sequences = write(tmp_path, model_type), drawn(lengths)
    model, packed = read(tmp_path), pack(sequences)
    with torch.inference_mode():
        hidden = model(packed)
        expected, pooled = reference_states(reference, sequences)
        own = model.pooler(hidden[packed.cu_seqlens[:-1]])
    torch.testing.assert_close(hidden, expected, atol=1e-5, rtol=0)
    assert (pooled is None) == (model_type == "distilbert")
    if pooled is not None:
        torch.testing.assert_close(own, pooled, atol=1e-5, rtol=0)


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("model_type", MODELS)
def test_gradients_of_all_parameters_equal_those_of_transformers(
    tmp_path: Path, model_type: str, lengths: list[int]
) -> None:
    reference, sequences = write(tmp_path, model_type), drawn(lengths)
    model, packed = read(tmp_path), pack(sequences)
    generator = torch.Generator().manual_seed(0)
    of_hidden = torch.randn(len(packed.tokens), 12, generator=generator)
    of_pooled = torch.randn(len(sequences), 12, generator=generator)
    hidden = model(packed)
    loss = (hidden * of_hidden).sum()
    expected_hidden, expected_pooled = reference_states(reference, sequences)
    expected_loss = (expected_hidden * of_hidden).sum()
    if expected_pooled is not None:
        loss = loss + (model.pooler(hidden[packed.cu_seqlens[:-1]]) * of_pooled).sum()
        expected_loss = expected_loss + (expected_pooled * of_pooled).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    expected_loss.backward()  # type: ignore[no-untyped-call]
    grads = {
        name: torch.zeros_like(p) if p.grad is None else p.grad
        for name, p in model.named_parameters()
    }
    own = to_hugging_face(grads, model.shape)
    expected = {name: p.grad for name, p in reference.named_parameters() if p.grad is not None}
    assert own.keys() == expected.keys()
    # A key's bias has no gradient but rounding errors: softmax does not see it.
    rounding = 1e-6 * max(float(g.norm()) for g in expected.values())
    for name, gradient in expected.items():
        assert (own[name] - gradient).norm() <= 1e-4 * gradient.norm() + rounding, name


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[MinBert, PreTrainedModel]]:
    """Encoders in float64, where equal means equal to twelve digits."""
    pairs = {}
    for model_type in MODELS:
        folder = tmp_path_factory.mktemp(model_type)
        reference = write(folder, model_type).double()
        pairs[model_type] = (read(folder).double(), reference)
    return pairs


@settings(max_examples=30)
@given(
    model_type=st.sampled_from(sorted(MODELS)),
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=12).map(sorted),
    seed=st.integers(0, 2**31),
)
def test_any_mixture_of_lengths_gives_the_states_of_transformers(
    exact: dict[str, tuple[MinBert, PreTrainedModel]],
    model_type: str,
    lengths: list[int],
    seed: int,
) -> None:
    model, reference = exact[model_type]
    sequences = drawn(lengths, seed)
    with torch.inference_mode():
        hidden = model(pack(sequences))
        expected, _ = reference_states(reference, sequences)
    torch.testing.assert_close(hidden, expected, atol=1e-11, rtol=1e-10)


# What may stand in a config.json of transformers beside what is read, and other sizes.
SERVED: dict[str, list[dict[str, Any]]] = {
    "roberta": [
        *({"layer_norm_eps": 0.5}, {"num_attention_heads": 4}, {"num_hidden_layers": 1}),
        *({"type_vocab_size": 2}, {"max_position_embeddings": 40}, {"intermediate_size": 8}),
        *({"vocab_size": 61}, {"pad_token_id": 0}, {"pad_token_id": 7}, {"use_cache": False}),
        *({"tie_word_embeddings": False}, {"hidden_dropout_prob": 0.5}),
        *({"attention_probs_dropout_prob": 0.5}, {"classifier_dropout": 0.5}),
        *({"initializer_range": 0.5}, {"bos_token_id": 7}, {"eos_token_id": 8}),
        {"chunk_size_feed_forward": 1},
    ],
    "distilbert": [
        *({"n_heads": 4}, {"n_layers": 1}, {"hidden_dim": 8}, {"dim": 24}, {"vocab_size": 61}),
        *({"max_position_embeddings": 40}, {"sinusoidal_pos_embds": True}, {"dropout": 0.5}),
        *({"attention_dropout": 0.5}, {"qa_dropout": 0.5}, {"seq_classif_dropout": 0.5}),
        *({"initializer_range": 0.5}, {"pad_token_id": 7}, {"tie_word_embeddings": False}),
        *({"bos_token_id": 7}, {"eos_token_id": 8}, {"chunk_size_feed_forward": 1}),
    ],
}
SERVED["xlm-roberta"] = SERVED["roberta"]
# Fields that other tests refuse, or always set.
ELSEWHERE = {
    "roberta": {"hidden_act", "is_decoder", "add_cross_attention", "hidden_size"},
    "distilbert": {"activation"},
}
ELSEWHERE["xlm-roberta"] = ELSEWHERE["roberta"]


@pytest.mark.parametrize(
    ("model_type", "values"),
    [(model_type, values) for model_type, all_values in SERVED.items() for values in all_values],
    ids=str,
)
def test_hidden_states_are_those_of_transformers_whatever_the_config_says(
    tmp_path: Path, model_type: str, values: dict[str, Any]
) -> None:
    reference = write(tmp_path, model_type, **values)
    sequences = [(list(range(8, 8 + n)), [n // 9] * n) for n in (4, 11, 24)]
    with torch.inference_mode():
        hidden = read(tmp_path)(pack(sequences))
        expected, _ = reference_states(reference, sequences)
    torch.testing.assert_close(hidden, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("model_type", MODELS)
def test_every_field_of_a_config_is_accounted_for(model_type: str) -> None:
    """A field that a new version of transformers adds must be thought about."""
    served = {key for values in SERVED[model_type] for key in values}
    fields = set(type(config_of(model_type)).__annotations__)
    assert fields - served - ELSEWHERE[model_type] == set()


def change_config(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("model_type", "values", "message"),
    [
        ("roberta", {"hidden_act": "relu"}, "hidden_act is 'relu', only 'gelu' can be run"),
        ("roberta", {"is_decoder": True}, "is_decoder is True, only False"),
        ("roberta", {"add_cross_attention": True}, "add_cross_attention is True, only False"),
        ("roberta", {"position_embedding_type": "relative_key"}, "only 'absolute' can be run"),
        ("xlm-roberta", {"quantization_config": {"bits": 4}}, "quantization_config is {'bits': 4}"),
        ("xlm-roberta", {"hidden_act": "gelu_new"}, "hidden_act is 'gelu_new'"),
        ("roberta", {"pad_token_id": None}, "pad_token_id is None; positions are counted from it"),
        ("roberta", {"pad_token_id": -1}, "pad_token_id is -1; positions"),
        ("roberta", {"pad_token_id": True}, "pad_token_id is True; positions"),
        ("roberta", {"type_vocab_size": 0}, "field 'type_vocab_size' is 0, not a positive"),
        ("distilbert", {"activation": "relu"}, "activation is 'relu', only 'gelu' can be run"),
        ("distilbert", {"n_heads": 5}, "dim 12 is not a multiple of n_heads 5"),
        ("distilbert", {"dim": "12"}, "field 'dim' is '12', not a positive number"),
        ("distilbert", {"hidden_dim": 0}, "field 'hidden_dim' is 0, not a positive number"),
        ("distilbert", {"pruned_heads": {"0": [1]}}, "pruned_heads is"),
        ("roberta", {"model_type": "longformer"}, "only 'bert', 'roberta', 'xlm-roberta', 'distil"),
        ("roberta", {"model_type": "roberta-prelayernorm"}, "model_type is 'roberta-prelayernorm'"),
    ],
    ids=str,
)
def test_what_is_not_computed_is_refused_by_name(
    tmp_path: Path, model_type: str, values: dict[str, Any], message: str
) -> None:
    write(tmp_path, model_type)
    change_config(tmp_path, **values)
    with pytest.raises(InputError) as caught:
        read_shape(tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_a_missing_size_is_named_as_in_the_config(tmp_path: Path, model_type: str) -> None:
    for theirs in ARCHITECTURES[model_type].sizes.values():
        config = dict.fromkeys(ARCHITECTURES[model_type].sizes.values(), 12)
        del config[theirs]
        (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type, **config}))
        if theirs != "layer_norm_eps":
            with pytest.raises(InputError, match=f"field '{theirs}' is missing"):
                read_shape(tmp_path)


@pytest.mark.parametrize("kind", WITH_HEAD, ids=lambda kind: kind.__name__)
def test_weights_below_a_head_are_found_under_their_prefix(tmp_path: Path, kind: Any) -> None:
    torch.manual_seed(0)
    whole = kind(config_of(kind.config_class.model_type))
    whole.save_pretrained(tmp_path)
    names = load_file(tmp_path / "model.safetensors")
    assert any(name.startswith(whole.base_model_prefix + ".") for name in names)
    model = read(tmp_path)
    written = to_hugging_face(dict(model.state_dict()), model.shape)
    for name, tensor in whole.base_model.state_dict().items():
        assert torch.equal(written[name], tensor), name


@pytest.mark.parametrize("model_type", MODELS)
def test_written_weights_are_those_that_were_read(tmp_path: Path, model_type: str) -> None:
    reference = write(tmp_path, model_type)
    model = read(tmp_path)
    assert has_pooler(tmp_path) == (model_type != "distilbert")
    written = to_hugging_face(dict(model.state_dict()), model.shape)
    expected = reference.state_dict()
    assert written.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(written[name], tensor), name


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_a_written_config_is_read_as_the_same_shape(tmp_path: Path, model_type: str) -> None:
    if model_type == "bert":
        values = dict.fromkeys(ARCHITECTURES["bert"].sizes.values(), 12) | {"layer_norm_eps": 1e-5}
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", **values}))
    else:
        write(tmp_path, model_type, pad_token_id=3)
    shape = read_shape(tmp_path)
    assert shape.first_position == (4 if "roberta" in model_type else 0)
    fields = config_fields(shape, 0.2, 0.3)
    (tmp_path / "config.json").write_text(json.dumps(fields))
    assert read_shape(tmp_path) == shape
    hidden, attention = ARCHITECTURES[model_type].dropouts
    assert (fields[hidden], fields[attention]) == (0.2, 0.3)
