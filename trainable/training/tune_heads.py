"""Run the stage `head_tuning`: train heads on vectors that the frozen encoder gives once."""

from __future__ import annotations

import torch
from torch import Tensor

from trainable.losses import loss_value
from trainable.model.pooling import SequenceStates
from trainable.optim.adamw import build_adamw
from trainable.run_config import RunConfig
from trainable.seeds import ExampleOrder, derive
from trainable.stages.head_tuning import CachedHeadTuning
from trainable.tasks import TaskName
from trainable.training.corpus import Corpus, Split
from trainable.training.inference import passes
from trainable.training.multitask_bert import MultitaskBert, pair_encodings


def tune_heads(
    config: RunConfig, stage: CachedHeadTuning, model: MultitaskBert, corpus: Corpus
) -> None:
    """Train the heads of the stage's tasks, one task at a time.

    Args:
        config: The run.
        stage: Its head tuning stage.
        model: Poolings and heads of the stage's tasks change, the encoders do not.
        corpus: Data.
    """
    for task in stage.tasks.split("+"):
        vectors = sentence_vectors(config, task, model, corpus)
        train_head(config, stage, task, model, vectors, corpus)


def sentence_vectors(
    config: RunConfig, task: TaskName, model: MultitaskBert, corpus: Corpus, split: Split = "train"
) -> Tensor:
    """Return the vectors that the frozen encoder gives each example.

    Returns:
        (n_examples, n_sequences, k, width) float32 on the device. An example has two sequences if
        the sentences of a pair are encoded separately, else one; pooling uses k vectors of each.
    """
    model.eval()
    pairs = pair_encodings(config)
    order, parts_of = passes(corpus.splits[split][task])
    parts = []
    with torch.no_grad():
        for numbers in parts_of:
            batch = corpus.batch(split, {task: numbers}, pairs)
            encoder = model.encoder_of(task)
            states = SequenceStates(encoder(batch.packed), batch.packed, encoder.pooler)
            own = model.vectors(task, states, batch.rows[task])  # (n_sequences * n, k, width)
            parts.append(own.view(-1, len(numbers), *own.shape[1:]).transpose(0, 1))
    result = torch.empty(len(order), *parts[0].shape[1:], device=corpus.device)
    result[order.to(corpus.device)] = torch.cat(parts)
    return result


def head_outputs(model: MultitaskBert, task: TaskName, vectors: Tensor) -> Tensor:
    """Map (n, n_sequences, k, width) to the task's outputs, (n, n_outputs)."""
    # As in a batch, all first sentences come before all second ones.
    return model.outputs(task, vectors.transpose(0, 1).flatten(0, 1))


def train_head(
    config: RunConfig,
    stage: CachedHeadTuning,
    task: TaskName,
    model: MultitaskBert,
    vectors: Tensor,
    corpus: Corpus,
) -> None:
    """Train a task's pooling weights and head on the result of `sentence_vectors`."""
    own, labels = config.tasks[task], corpus.splits["train"][task].labels
    assert labels is not None
    labels, definition = labels.to(corpus.device), config.data.table[task]
    model.eval()  # no dropout, so nothing is drawn
    own_parameters = list(model.tasks[task].parameters())
    # A bare cosine has nothing to train, also behind a layer that pair tasks share.
    if not own_parameters or not head_outputs(model, task, vectors[:1]).requires_grad:
        return
    optimizer = build_adamw([{"params": own_parameters}], stage.weight_decay)
    n_examples = len(vectors)
    steps_per_epoch = -(-n_examples // stage.batch_size)
    n_steps = stage.epochs * steps_per_epoch
    examples = ExampleOrder(n_examples, derive(config.seed, "head_tuning", task))
    model.train()
    for step in range(n_steps):
        for group in optimizer.param_groups:
            group["lr"] = stage.lr * (1 - step / n_steps)
        numbers = examples.take(min(stage.batch_size, n_examples)).to(corpus.device)
        outputs = head_outputs(model, task, vectors[numbers])
        smoothing = getattr(own, "label_smoothing", 0.0)  # a regression has none
        loss = loss_value(own.loss, outputs, labels[numbers], definition, smoothing)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    model.eval()
