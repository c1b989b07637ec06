"""The head for masked language modelling, and its pretrained weights where there are any."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainable.errors import InputError
from trainable.model.architectures import ARCHITECTURES, Architecture
from trainable.model.bert import BertShape
from trainable.model.shards import read_tensors, tensor_files
from trainable.model.weights import Parameters

_SCALE = 0.02  # BERT's initialisation


class MlmHead(nn.Module):
    """Dense, GELU, LayerNorm; then the word embeddings themselves as decoder, and a bias.

    Source: Devlin et al. 2019, as in their code; the scores equal those of transformers'
    `BertForMaskedLM`, `RobertaForMaskedLM` and `DistilBertForMaskedLM` with the same weights.

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
    """Read the pretrained head from a Hugging Face folder.

    Returns:
        Parameters of `MlmHead`, float32 on the CPU. None where there is no such head: checkpoints
        of sentence encoders have lost theirs, and where `tie_word_embeddings` was false, the
        decoder is not the word embeddings.

    Raises:
        InputError: A file is not whole, or a tensor is not of the encoder's size.
    """
    files = tensor_files(folder)
    architecture = ARCHITECTURES[shape.model_type]
    if not _is_tied(files, architecture):
        return None
    own_names: dict[str, str] = {}
    for ours, theirs in architecture.mlm.items():
        found = next((name for name in theirs if name in files), None)
        if found is None:
            return None
        own_names[ours] = found
    tensors = read_tensors(files, own_names.values())
    expected = MlmHead(shape, torch.Generator()).state_dict()
    head = {ours: tensors[name].float() for ours, name in own_names.items()}
    for name, tensor in head.items():
        if tensor.shape != expected[name].shape:
            raise InputError(
                f"{files[own_names[name]]}: the language model's {name} has shape "
                f"{tuple(tensor.shape)}, but config.json says {tuple(expected[name].shape)}; "
                f"config and weights are of different models"
            )
    return head


def _is_tied(files: dict[str, Path], architecture: Architecture) -> bool:
    """Whether the decoder is the word embeddings; a decoder that is not in the files is tied."""
    words = f"{architecture.prefix}embeddings.word_embeddings.weight"
    names = (words, architecture.mlm_decoder)
    if not all(name in files for name in names):
        return True
    return torch.equal(*read_tensors(files, names).values())
