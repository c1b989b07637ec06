"""Encoder and data that runs share, and that a warm actor keeps between trials."""

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
class InputsSpec:
    """The part of a RunConfig that inputs are made from; runs with equal specs share their inputs.

    Attributes:
        data: Examples of the tasks.
        encoder: Id or folder of the pretrained encoder, and its commit.
        features: Features of the input besides the words.
        nli: NLI examples for the multitask stage, if it trains on them.
    """

    data: DataSource
    encoder: tuple[str, str | None]
    features: InputFeatures
    nli: NliSource | None

    @classmethod
    def of(cls, config: RunConfig) -> InputsSpec:
        """Return the spec of a run."""
        auxiliary = config.multitask.auxiliary if config.multitask else None
        nli = auxiliary.source if isinstance(auxiliary, NliAuxiliary) else None
        encoder = (config.encoder.source, config.encoder.revision)
        return cls(config.data, encoder, config.features, nli)


@dataclass(frozen=True)
class RunInputs:
    """Encoder and data of one or more runs, which never write to them.

    Attributes:
        pretrained: Encoder weights, on the CPU.
        corpus: Data, on the device.
        stage_inputs: Start of the stages before the tasks.
        device: Device that runs compute on.
    """

    pretrained: Pretrained
    corpus: Corpus
    stage_inputs: StageInputs
    device: torch.device


def open_inputs(config: RunConfig, device: torch.device) -> RunInputs:
    """Load encoder and data of a run; the processes of a node hold them in memory once.

    For a GPU, this also makes the whole process compute deterministically.

    Raises:
        InputError: Encoder or data are not available; the cache cannot be written to.
    """
    if device.type == "cuda":
        compute_deterministically()
    spec = InputsSpec.of(config)
    examples = spec.data.load()
    pretrained = load_pretrained(config.encoder, examples.train_sentences())
    featured = add_features(examples, spec.features)
    corpus = open_corpus(featured, pretrained.tokenizer, spec.nli)
    corpus = replace(corpus, notes=(*pretrained.notes, *corpus.notes))
    mlm_head = None
    if config.encoder.source != TINY:
        folder = find_folder(config.encoder.source, config.encoder.revision)
        mlm_head = read_mlm_head(folder, pretrained.shape)
    inputs = StageInputs(pretrained, train_sentences(corpus), mlm_head)
    del examples, featured
    pa.default_memory_pool().release_unused()  # Arrow keeps the memory of reading otherwise
    return RunInputs(pretrained, corpus.to(device), inputs, device)


def compute_deterministically() -> None:
    """Make steps on a GPU from equal states equal bit for bit, in the whole process.

    Where threads add in an arbitrary order, the last bit differs from run to run, so that a trial
    resumed from a checkpoint would become a different one.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # torch requires it
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
