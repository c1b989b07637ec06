"""The encoders that can be run, and how transformers writes each: config.json and tensors.

All compute what `MinBert` computes. RoBERTa (arXiv:1907.11692) and XLM-R (arXiv:1911.02116) number
positions from `pad_token_id` + 1 and read no segments; DistilBERT (arXiv:1910.01108) has neither
segments nor a pooler.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from trainable.model.bert import BertShape

Names = tuple[str, ...]


@dataclass(frozen=True)
class Architecture:
    """How transformers writes encoders of one `model_type`.

    Attributes:
        model_class: The encoder's class.
        prefix: Of the encoder's tensors in a checkpoint that also has a head.
        sizes: Field of `BertShape` -> field of config.json.
        fixed: Field of config.json -> the one value that `MinBert` computes, which is the default.
        dropouts: Fields of config.json for hidden dropout and for dropout of attention weights.
        layers: What the names of the layers begin with.
        layer: Module of a layer of ours -> its modules there, concatenated along rows.
        has_pooler: Whether the class has a pooler; a checkpoint may lack it all the same.
        is_padding_first: Whether positions begin at `pad_token_id` + 1, not at 0.
        mlm: Parameter of `MlmHead` -> its possible names in a checkpoint.
        mlm_decoder: Name of the decoder, which not all checkpoints store.
    """

    model_class: str
    prefix: str
    sizes: Mapping[str, str]
    fixed: Mapping[str, Any]
    dropouts: tuple[str, str]
    layers: str
    layer: Mapping[str, Names]
    has_pooler: bool
    is_padding_first: bool
    mlm: Mapping[str, Names]
    mlm_decoder: str


_SIZES = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"),
    *("intermediate_size", "max_position_embeddings", "type_vocab_size", "layer_norm_eps"),
)
_TRANSFORM = "cls.predictions.transform"
_BERT = Architecture(
    model_class="BertModel",
    prefix="bert.",
    sizes={name: name for name in _SIZES},
    fixed={
        "hidden_act": "gelu",
        "position_embedding_type": "absolute",
        "is_decoder": False,
        "add_cross_attention": False,
        "pruned_heads": {},
        "quantization_config": None,
    },
    dropouts=("hidden_dropout_prob", "attention_probs_dropout_prob"),
    layers="encoder.layer",
    layer={
        "attention.qkv": tuple(f"attention.self.{part}" for part in ("query", "key", "value")),
        "attention_out": ("attention.output.dense",),
        "attention_norm": ("attention.output.LayerNorm",),
        "feed_in": ("intermediate.dense",),
        "feed_out": ("output.dense",),
        "feed_norm": ("output.LayerNorm",),
    },
    has_pooler=True,
    is_padding_first=False,
    mlm={  # names of today, and of 2018
        "dense.weight": (f"{_TRANSFORM}.dense.weight",),
        "dense.bias": (f"{_TRANSFORM}.dense.bias",),
        "norm.weight": (f"{_TRANSFORM}.LayerNorm.weight", f"{_TRANSFORM}.LayerNorm.gamma"),
        "norm.bias": (f"{_TRANSFORM}.LayerNorm.bias", f"{_TRANSFORM}.LayerNorm.beta"),
        "bias": ("cls.predictions.bias", "cls.predictions.decoder.bias"),
    },
    mlm_decoder="cls.predictions.decoder.weight",
)
_ROBERTA = replace(
    _BERT,
    model_class="RobertaModel",
    prefix="roberta.",
    is_padding_first=True,
    mlm={
        "dense.weight": ("lm_head.dense.weight",),
        "dense.bias": ("lm_head.dense.bias",),
        "norm.weight": ("lm_head.layer_norm.weight",),
        "norm.bias": ("lm_head.layer_norm.bias",),
        "bias": ("lm_head.bias", "lm_head.decoder.bias"),
    },
    mlm_decoder="lm_head.decoder.weight",
)
_DISTILBERT = Architecture(
    model_class="DistilBertModel",
    prefix="distilbert.",
    sizes={
        "vocab_size": "vocab_size",
        "hidden_size": "dim",
        "num_hidden_layers": "n_layers",
        "num_attention_heads": "n_heads",
        "intermediate_size": "hidden_dim",
        "max_position_embeddings": "max_position_embeddings",
    },
    fixed={"activation": "gelu", "pruned_heads": {}, "quantization_config": None},
    dropouts=("dropout", "attention_dropout"),
    layers="transformer.layer",
    layer={
        "attention.qkv": tuple(f"attention.{part}_lin" for part in ("q", "k", "v")),
        "attention_out": ("attention.out_lin",),
        "attention_norm": ("sa_layer_norm",),
        "feed_in": ("ffn.lin1",),
        "feed_out": ("ffn.lin2",),
        "feed_norm": ("output_layer_norm",),
    },
    has_pooler=False,
    is_padding_first=False,
    mlm={
        "dense.weight": ("vocab_transform.weight",),
        "dense.bias": ("vocab_transform.bias",),
        "norm.weight": ("vocab_layer_norm.weight",),
        "norm.bias": ("vocab_layer_norm.bias",),
        "bias": ("vocab_projector.bias",),
    },
    mlm_decoder="vocab_projector.weight",
)
ARCHITECTURES = {
    "bert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": replace(_ROBERTA, model_class="XLMRobertaModel"),
    "distilbert": _DISTILBERT,
}


def tensor_names(shape: BertShape) -> dict[str, Names]:
    """Return parameter of `MinBert` -> the tensors that make it, concatenated along rows.

    Names are those of the encoder's own class, without a prefix. The pooler is missing where the
    class has none.
    """
    architecture = ARCHITECTURES[shape.model_type]
    names: dict[str, Names] = {
        "embeddings.word.weight": ("embeddings.word_embeddings.weight",),
        "embeddings.position.weight": ("embeddings.position_embeddings.weight",),
    }
    if shape.type_vocab_size:
        names["embeddings.segment.weight"] = ("embeddings.token_type_embeddings.weight",)
    for kind in ("weight", "bias"):
        names[f"embeddings.norm.{kind}"] = (f"embeddings.LayerNorm.{kind}",)
        if architecture.has_pooler:
            names[f"pooler.dense.{kind}"] = (f"pooler.dense.{kind}",)
        for number in range(shape.num_hidden_layers):
            for ours, theirs in architecture.layer.items():
                names[f"layers.{number}.{ours}.{kind}"] = tuple(
                    f"{architecture.layers}.{number}.{name}.{kind}" for name in theirs
                )
    return names


def config_fields(shape: BertShape, dropout: float, attention_dropout: float) -> dict[str, Any]:
    """Return the fields of config.json, without `pad_token_id` where it says nothing of positions.

    Args:
        shape: Sizes.
        dropout: Hidden dropout.
        attention_dropout: Dropout of attention weights.
    """
    architecture = ARCHITECTURES[shape.model_type]
    fixed = {name: value for name, value in architecture.fixed.items() if isinstance(value, str)}
    sizes = {theirs: getattr(shape, ours) for ours, theirs in architecture.sizes.items()}
    padding = {"pad_token_id": shape.first_position - 1} if architecture.is_padding_first else {}
    return {
        "architectures": [architecture.model_class],
        "model_type": shape.model_type,
        **fixed,
        **dict(zip(architecture.dropouts, (dropout, attention_dropout), strict=True)),
        **sizes,
        **padding,
    }
