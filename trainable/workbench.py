"""What runs over the same encoder and data share, and a warm actor keeps."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from trainable.corpus import Corpus
from trainable.data.prepare import prepare
from trainable.data.sources import DataSource
from trainable.encoder import EncoderConfig, Pretrained, load_pretrained


@dataclass(frozen=True)
class Workbench:
    """What runs over the same encoder and data share; a run never writes to it.

    Attributes:
        pretrained: Encoder weights, on the CPU.
        corpus: Data, on the device.
        device: Where runs compute.
        notes: What a user should know about the data.
    """

    pretrained: Pretrained
    corpus: Corpus
    device: torch.device
    notes: tuple[str, ...]


def open_workbench(data: DataSource, encoder: EncoderConfig, device: torch.device) -> Workbench:
    """Load encoder and data.

    Raises:
        InputError: Either cannot be had.
    """
    examples = data.load()
    pretrained = load_pretrained(encoder, examples.train_sentences())
    prepared = prepare(examples, pretrained.tokenizer)
    corpus = Corpus(prepared, pretrained.tokenizer, device)
    return Workbench(pretrained, corpus, device, prepared.notes)
