"""What runs over the same encoder and data share, and a warm actor keeps."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from trainable.corpus import Corpus
from trainable.data.nli import NliSource, triplets
from trainable.data.prepare import PreparedData, prepare
from trainable.data.sources import DataSource
from trainable.data.store import Sentences
from trainable.data.text import joined
from trainable.encoder import TINY, Pretrained, find_folder, load_pretrained
from trainable.features import InputFeatures
from trainable.run_config import RunConfig
from trainable.stages.mlm_head import read_mlm_head
from trainable.stages.multitask import NliAuxiliary
from trainable.stages.training import StageInputs


@dataclass(frozen=True)
class Source:
    """What a workbench is made from.

    Attributes:
        data: Examples of the tasks.
        encoder: Id or folder of the pretrained encoder, and its commit.
        features: What the input holds besides the words.
        nli: Examples of inference for the multitask stage, if it trains on them.
    """

    data: DataSource
    encoder: tuple[str, str | None]
    features: InputFeatures
    nli: NliSource | None

    @classmethod
    def of(cls, config: RunConfig) -> Source:
        """Return what a run needs; runs that need the same share a workbench."""
        auxiliary = config.multitask.auxiliary if config.multitask else None
        nli = auxiliary.source if isinstance(auxiliary, NliAuxiliary) else None
        encoder = (config.encoder.source, config.encoder.revision)
        return cls(config.data, encoder, config.features, nli)


@dataclass(frozen=True)
class Workbench:
    """What runs over the same encoder and data share; a run never writes to it.

    Attributes:
        pretrained: Encoder weights, on the CPU.
        corpus: Data, on the device.
        stage_inputs: What the stages before the tasks start from.
        device: Where runs compute.
        notes: What a user should know about the data.
    """

    pretrained: Pretrained
    corpus: Corpus
    stage_inputs: StageInputs
    device: torch.device
    notes: tuple[str, ...]


def open_workbench(config: RunConfig, device: torch.device) -> Workbench:
    """Load encoder and data of a run.

    Raises:
        InputError: Either cannot be had.
    """
    source = Source.of(config)
    examples = source.data.load()
    pretrained = load_pretrained(config.encoder, examples.train_sentences())
    prepared = prepare(examples, pretrained.tokenizer, source.features)
    nli = None if source.nli is None else triplets(source.nli, pretrained.tokenizer)
    corpus = Corpus(prepared, pretrained.tokenizer, device, nli)
    mlm_head = None
    if config.encoder.source != TINY:
        folder = find_folder(config.encoder.source, config.encoder.revision)
        mlm_head = read_mlm_head(folder, pretrained.shape)
    inputs = StageInputs(pretrained, _own_text(prepared), mlm_head)
    return Workbench(pretrained, corpus, inputs, device, prepared.notes)


def _own_text(data: PreparedData) -> Sentences:
    """Return the sentences of all train sets."""
    columns = [(split.sentence1, split.sentence2) for split in data.train.values()]
    return joined(own for pair in columns for own in pair if own is not None)
