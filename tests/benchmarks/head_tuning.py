"""Compare an epoch of head tuning from cached vectors with one that encodes every batch.

    python tests/benchmarks/head_tuning.py --encoder DIR [--data-dir DIR] [--examples 1000]

Both train the same heads on the same batches with the project's own loop. The uncached epoch runs
the frozen encoder on every batch again; the cached one computes the vectors once, and the time for
that has its own column. Scores are those on *select* after one epoch each way.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

# Imports must find the repository, not this folder; the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import torch
import tyro
from torch import Tensor

from tests.course import LINEAR_TASKS, SCORE_KEYS, TASK_NAMES
from trainable.data.sources import Cs224nData, SampleData
from trainable.model.encoder import EncoderConfig
from trainable.run_config import RunConfig
from trainable.stages.head_tuning import CachedHeadTuning
from trainable.tasks import COURSE, TaskName
from trainable.training.corpus import Corpus, Rows
from trainable.training.inputs import RunInputs, open_inputs
from trainable.training.loop import Run
from trainable.training.multitask_bert import MultitaskBert
from trainable.training.tune_heads import sentence_vectors, train_head


@dataclass(frozen=True)
class Options:
    """Measure head tuning, cached and not."""

    encoder: str = "tiny"
    """`tiny`, a Hub id, or a Hugging Face folder."""

    data_dir: str | None = None
    """Folder of the course's files; without it the sample data."""

    examples: int = 1000
    """Training examples of each task."""

    threads: int = 1
    """Threads of torch."""


class Uncached:
    """Sentence vectors that are computed again at every access."""

    def __init__(
        self, config: RunConfig, task: TaskName, model: MultitaskBert, corpus: Corpus
    ) -> None:
        self.config, self.task, self.model, self.corpus = config, task, model, corpus

    def __len__(self) -> int:
        return len(self.corpus.splits["train"][self.task])

    def __getitem__(self, numbers: Tensor | slice) -> Tensor:
        """Return the vectors of the examples `numbers`, as `sentence_vectors` does."""
        chosen = torch.arange(len(self))[numbers]
        was_training = self.model.training
        split = {self.task: _chosen(self.corpus.splits["train"][self.task], chosen)}
        part = _with_split(self.corpus, split)
        vectors = sentence_vectors(self.config, self.task, self.model, part, "part")
        self.model.train(was_training)
        return vectors


def _chosen(rows: Rows, numbers: Tensor) -> Rows:
    labels = None if rows.labels is None else rows.labels[numbers]
    return Rows(rows.starts[:, numbers], rows.lengths[:, numbers], labels, ())


def _with_split(corpus: Corpus, split: dict[TaskName, Rows]) -> Corpus:
    return replace(corpus, splits={**corpus.splits, "part": dict(split)})


def first_examples(inputs: RunInputs, n: int) -> RunInputs:
    """Return inputs with the first n training examples of each task."""
    corpus = inputs.corpus
    rows = {
        t: _chosen(own, torch.arange(min(n, len(own)))) for t, own in corpus.splits["train"].items()
    }
    return replace(inputs, corpus=corpus.with_train(rows))


def main() -> None:
    """Measure and print."""
    options = tyro.cli(Options)
    torch.set_num_threads(options.threads)
    data = SampleData() if options.data_dir is None else Cs224nData(dir=options.data_dir)
    encoder = EncoderConfig(source=options.encoder)
    config = RunConfig(data=data, encoder=encoder, tasks=LINEAR_TASKS, multitask=None)
    inputs = first_examples(open_inputs(config, torch.device("cpu")), options.examples)
    stage = CachedHeadTuning(epochs=1)
    scores = {}
    print(f"{'task':6}{'encode once':>14}{'cached epoch':>14}{'uncached epoch':>16}{'ratio':>8}")
    runs = {way: Run(config, inputs) for way in ("cached", "uncached")}
    for task in TASK_NAMES:
        model, corpus = runs["cached"].model, inputs.corpus
        started = time.perf_counter()
        vectors = sentence_vectors(config, task, model, corpus)
        encoded = time.perf_counter() - started
        times = {}
        for way, run in runs.items():
            given = vectors if way == "cached" else Uncached(config, task, run.model, corpus)
            started = time.perf_counter()
            train_head(config, stage, task, run.model, given, corpus)  # type: ignore[arg-type]
            times[way] = time.perf_counter() - started
        ratio = times["uncached"] / times["cached"]
        print(
            f"{task:6}{encoded:12.2f} s{times['cached']:12.3f} s{times['uncached']:14.2f} s"
            f"{ratio:8.0f}"
        )
    for way, run in runs.items():
        scores[way] = run.evaluate("select")
        text = "  ".join(f"{key} {scores[way][key]:.4f}" for key in SCORE_KEYS)
        print(f"{way:9} {text}")
    names = [COURSE[task].metric_key for task in TASK_NAMES]
    largest = max(abs(scores["cached"][n] - scores["uncached"][n]) for n in names)
    print(f"largest difference of a score: {largest:.1e}")


if __name__ == "__main__":
    main()
