"""Passes over whole sets of examples, without training: probabilities, and vectors of sentences."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from trainable.losses import probabilities
from trainable.model.pooling import SequenceStates
from trainable.run_config import RunConfig
from trainable.tasks import TaskName
from trainable.training.corpus import Corpus, Rows, Split
from trainable.training.multitask_bert import MultitaskBert, pair_encodings
from trainable.training.step import autocast

_PASS_TOKENS = 8192  # tokens of one pass


def task_probabilities(
    model: MultitaskBert,
    config: RunConfig,
    corpus: Corpus,
    split: Split,
    task: TaskName,
    part: Tensor | None = None,
) -> Tensor:
    """Return probabilities or scores of one split of a task, in the split's order.

    Equal examples in equal order give equal bits, whoever asks. Among other examples, an example's
    numbers may differ in the last bit: a matrix product may round differently with more rows.

    Args:
        model: In evaluation mode.
        config: Its run.
        corpus: Has the examples, on the model's device.
        split: Which of its splits.
        task: Which task.
        part: (n_examples,) int64 numbers of the examples; all of the split without it.

    Returns:
        (n_examples, n_classes) or (n_examples, 1) float32 on the CPU; see `probabilities`.
    """
    pairs, loss = pair_encodings(config), config.tasks[task].loss
    precision = config.multitask.precision if config.multitask else "fp32"
    parts = []
    order, parts_of = passes(corpus.splits[split][task], part)
    with torch.inference_mode():
        for numbers in parts_of:
            with autocast(corpus.device, precision):
                outputs = model(corpus.batch(split, {task: numbers}, pairs))[task]
            parts.append(probabilities(loss, outputs).cpu())
    return _in_order(parts, order)


def sentence_vectors(model: MultitaskBert, corpus: Corpus, split: Split, task: TaskName) -> Tensor:
    """Return what a task's pooling makes of each sentence, in float32 whatever the training used.

    Args:
        model: In evaluation mode.
        corpus: Its rows of this split and task have one sentence each.
        split: Which split.
        task: Whose pooling, and encoder.

    Returns:
        (n_examples, width) float32 on the CPU.
    """
    encoder = model.encoder_of(task)
    parts = []
    order, parts_of = passes(corpus.splits[split][task])
    with torch.inference_mode():
        for numbers in parts_of:
            batch = corpus.batch(split, {task: numbers}, {task: None})
            states = SequenceStates(encoder(batch.packed), batch.packed, encoder.pooler)
            vectors = model.vectors(task, states, batch.rows[task])
            parts.append(model.tasks[task].pooling.combine(vectors).cpu())  # type: ignore[operator,union-attr]
    return _in_order(parts, order)


def passes(rows: Rows, part: Tensor | None = None) -> tuple[Tensor, Iterator[Tensor]]:
    """Cut examples into passes, shortest first.

    Args:
        rows: The examples.
        part: (n,) int64 numbers of those that are wanted; all without it.

    Returns:
        (n,) int64 places in `part`, in the order of the passes; and the numbers of each pass.
    """
    wanted = torch.arange(len(rows)) if part is None else part
    totals, order = rows.lengths.sum(0)[wanted].sort(stable=True)
    per_pass = max(1, _PASS_TOKENS // (int(totals[-1]) + 4))
    return order, iter(torch.split(wanted[order], per_pass))


def _in_order(parts: list[Tensor], order: Tensor) -> Tensor:
    """Return rows that were computed in `order` in their own order."""
    computed = torch.cat(parts)
    result = torch.empty_like(computed)
    result[order] = computed
    return result
