"""BERT's head for masked language modelling, and its pretrained weights where there are any."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from trainable.errors import InputError
from trainable.model.bert import BertShape
from trainable.model.weights import Parameters

_SCALE = 0.02  # BERT's initialisation

# Our name -> names in a checkpoint: of today, and of 2018.
_NAMES = {
    "dense.weight": ("transform.dense.weight",),
    "dense.bias": ("transform.dense.bias",),
    "norm.weight": ("transform.LayerNorm.weight", "transform.LayerNorm.gamma"),
    "norm.bias": ("transform.LayerNorm.bias", "transform.LayerNorm.beta"),
    "bias": ("bias", "decoder.bias"),
}


class MlmHead(nn.Module):
    """Dense, GELU, LayerNorm; then the word embeddings themselves as decoder, and a bias.

    Source: Devlin et al. 2019, as in their code; the scores equal those of transformers'
    `BertForMaskedLM` with the same weights.

    Args:
        shape: Sizes of the encoder.
        generator: On the CPU; draws the initial weights.
    """

    def __init__(self, shape: BertShape, generator: torch.Generator) -> None:
        super().__init__()
        self.dense = nn.Linear(shape.hidden_size, shape.hidden_size)
        self.dense.weight.data.normal_(0.0, _SCALE, generator=generator)
        nn.init.zeros_(self.dense.bias)
        self.norm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(shape.vocab_size))

    def forward(self, hidden: Tensor, word_embeddings: Tensor) -> Tensor:
        """Return scores of the vocabulary.

        Args:
            hidden: (n, width) states of the tokens to be predicted.
            word_embeddings: (vocab_size, width).
        """
        transformed = self.norm(F.gelu(self.dense(hidden)))
        return F.linear(transformed, word_embeddings, self.bias)


def read_mlm_head(folder: Path, shape: BertShape) -> Parameters | None:
    """Read the pretrained head from `model.safetensors` of a Hugging Face BERT folder.

    Returns:
        Parameters of `MlmHead`, float32 on the CPU, or None: checkpoints of sentence encoders have
        lost theirs.

    Raises:
        InputError: The file is not whole, or a tensor is not of the encoder's size.
    """
    path = folder / "model.safetensors"
    found: Parameters = {}
    try:
        with safe_open(path, framework="pt") as file:
            there = set(file.keys())
            for ours, theirs in _NAMES.items():
                names = [f"cls.predictions.{name}" for name in theirs]
                name = next((name for name in names if name in there), None)
                if name is None:
                    return None
                found[ours] = file.get_tensor(name).float()
    except SafetensorError as error:
        raise InputError(f"{path}: not a whole safetensors file ({error})") from error
    expected = MlmHead(shape, torch.Generator()).state_dict()
    for name, tensor in found.items():
        if tensor.shape != expected[name].shape:
            raise InputError(
                f"{path}: the language model's {name} has shape {tuple(tensor.shape)}, but "
                f"config.json says {tuple(expected[name].shape)}; config and weights are of "
                "different models"
            )
    return found
