"""What runs over the same encoder and data share, and a warm actor keeps."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import pyarrow as pa
import torch

from trainable.data.features import InputFeatures
from trainable.data.nli import NliSource
from trainable.data.prepare import add_features
from trainable.data.sources import DataSource
from trainable.model.encoder import TINY, Pretrained, find_folder, load_pretrained
from trainable.run_config import RunConfig
from trainable.stages.mlm_head import read_mlm_head
from trainable.stages.multitask import NliAuxiliary
from trainable.stages.pretraining_loop import StageInputs
from trainable.training.corpus import Corpus
from trainable.training.shared_corpus import open_corpus, train_sentences


@dataclass(frozen=True)
class Source:
    """What inputs is made from.

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
        """Return what a run needs; runs that need the same share inputs."""
        auxiliary = config.multitask.auxiliary if config.multitask else None
        nli = auxiliary.source if isinstance(auxiliary, NliAuxiliary) else None
        encoder = (config.encoder.source, config.encoder.revision)
        return cls(config.data, encoder, config.features, nli)


@dataclass(frozen=True)
class RunInputs:
    """What runs over the same encoder and data share; a run never writes to it.

    Attributes:
        pretrained: Encoder weights, on the CPU.
        corpus: Data, on the device.
        stage_inputs: What the stages before the tasks start from.
        device: Where runs compute.
    """

    pretrained: Pretrained
    corpus: Corpus
    stage_inputs: StageInputs
    device: torch.device


def open_inputs(config: RunConfig, device: torch.device) -> RunInputs:
    """Load encoder and data of a run; the processes of a node hold them once.

    On a GPU this process computes deterministically from here on.

    Raises:
        InputError: Either cannot be had; the cache cannot be written to.
    """
    if device.type == "cuda":
        compute_deterministically()
    source = Source.of(config)
    examples = source.data.load()
    pretrained = load_pretrained(config.encoder, examples.train_sentences())
    featured = add_features(examples, source.features)
    corpus = open_corpus(featured, pretrained.tokenizer, source.nli)
    corpus = replace(corpus, notes=(*pretrained.notes, *corpus.notes))
    mlm_head = None
    if config.encoder.source != TINY:
        folder = find_folder(config.encoder.source, config.encoder.revision)
        mlm_head = read_mlm_head(folder, pretrained.shape)
    inputs = StageInputs(pretrained, train_sentences(corpus), mlm_head)
    del examples, featured
    pa.default_memory_pool().release_unused()  # what reading them took stays with Arrow else
    return RunInputs(pretrained, corpus.to(device), inputs, device)


def compute_deterministically() -> None:
    """Let steps on a GPU from the same state come to the same, bit for bit.

    Where threads add in whatever order they come, the last bit differs from run to run: a trial
    that goes on from a checkpoint would become another one. For the whole process.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # torch insists on it
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
