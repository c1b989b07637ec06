"""The script that a good student writes: multitask BERT with Ray Tune, Optuna and ASHA.

    python tests/benchmarks/student_script.py --data-dir DIR --encoder MINILM --log LOG.jsonl

It is the opponent of time_to_score.py, and stands alone but for the cut of the dev sets and the
metrics, which must be those of the project. It has what tutorials recommend: transformers'
BertModel with padded batches, a head for each task, AdamW with warm-up, two learning rates, eight
params with usual ranges of which usual values come first, OptunaSearch, ASHA, and a process for
each trial. It saves no checkpoints, which would only cost it time.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

# Imports must find the repository, not this folder; the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import ray
import torch
import torch.nn.functional as F
import tyro
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch
from torch import Tensor, nn
from transformers import AutoTokenizer, BertModel, get_linear_schedule_with_warmup

from trainable.data.split import is_confirm
from trainable.metrics import scores
from trainable.tasks import COURSE

EPOCHS = 9  # reports of a trial

# Task -> files of train and dev, and the columns of the sentences and of the label.
FILES = {
    "sst": ("ids-sst", ("sentence",), "sentiment"),
    "para": ("quora", ("sentence1", "sentence2"), "is_duplicate"),
    "sts": ("sts", ("sentence1", "sentence2"), "similarity"),
}

SPACE = {
    "lr": tune.loguniform(1e-5, 3e-4),
    "head_lr": tune.loguniform(1e-4, 1e-2),
    "batch_size": tune.choice([8, 16, 32]),
    "dropout": tune.uniform(0.0, 0.4),
    "weight_decay": tune.loguniform(1e-4, 1e-1),
    "warmup": tune.uniform(0.0, 0.2),
    "pooling": tune.choice(["cls", "mean", "max"]),
    "similarity": tune.choice(["cosine", "linear"]),
}

USUAL = {
    "lr": 5e-5,
    "head_lr": 1e-3,
    "batch_size": 16,
    "dropout": 0.1,
    "weight_decay": 0.01,
    "warmup": 0.1,
    "pooling": "mean",
    "similarity": "cosine",
}


@dataclass(frozen=True)
class Options:
    """Search hyperparameters of a multitask BERT."""

    data_dir: Path
    """Folder of the course's files."""

    encoder: Path
    """A Hugging Face folder of a BERT."""

    log: Path
    """Gets a line for each report: `time`, `score`, `trial`, `epoch`."""

    budget: int = 60_000
    """Training tokens of a full run, without padding."""

    total: int = 600_000
    """Training tokens of all trials together, after which the search ends."""

    slots: int = 1
    """Trials at the same time."""

    seed: int = 0


@dataclass(frozen=True)
class Example:
    """One example: one or two sentences, and a label."""

    id: str
    sentences: tuple[str, ...]
    label: float


class MultitaskModel(nn.Module):
    """BERT with a head for each task."""

    def __init__(self, encoder: str, pooling: str, similarity: str, dropout: float) -> None:
        super().__init__()
        self.bert = BertModel.from_pretrained(
            encoder,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            add_pooling_layer=False,
        )
        width = self.bert.config.hidden_size
        self.pooling, self.similarity = pooling, similarity
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict(
            {
                "sst": nn.Linear(width, 5),
                "para": nn.Linear(3 * width, 1),
                "sts": nn.Linear(3 * width, 1),
            }
        )

    def embed(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return (batch, width) vectors of sentences."""
        states: Tensor = self.bert(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1)
        if self.pooling == "cls":
            return states[:, 0]
        if self.pooling == "mean":
            return (states * mask).sum(1) / mask.sum(1)
        return states.masked_fill(mask == 0, -1e9).amax(1)

    def forward(self, task: str, inputs: list[dict[str, Tensor]]) -> Tensor:
        """Return (batch, 5) logits of sentiment, else (batch,) logits or similarities in 0 to 5."""
        vectors = [self.dropout(self.embed(own)) for own in inputs]
        if task == "sst":
            logits: Tensor = self.heads[task](vectors[0])
            return logits
        u, v = vectors
        if task == "sts" and self.similarity == "cosine":
            return 5 * F.cosine_similarity(u, v).relu()
        output: Tensor = self.heads[task](torch.cat([u, v, (u - v).abs()], 1))
        return output.squeeze(1)


def loss_of(task: str, output: Tensor, labels: Tensor) -> Tensor:
    """Return the mean loss of a batch."""
    if task == "sst":
        return F.cross_entropy(output, labels.long())
    if task == "para":
        return F.binary_cross_entropy_with_logits(output, labels)
    return F.mse_loss(output, labels)


def read(folder: Path, task: str, split: str) -> list[Example]:
    """Read a file of the course; of dev only the half that a search may see."""
    name, columns, label = FILES[task]
    with (folder / f"{name}-{split}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    examples = [
        Example(row["id"].strip(), tuple(row[c] for c in columns), float(row[label]))
        for row in rows
        if row[label] and all(row[c] for c in columns)
    ]
    return examples if split == "train" else [e for e in examples if not is_confirm(task, e.id)]


def batches(examples: list[Example], size: int, generator: torch.Generator) -> Iterator[Any]:
    """Yield shuffled batches for ever."""
    while True:
        order = torch.randperm(len(examples), generator=generator).tolist()
        for start in range(0, len(order) - size + 1, size):
            yield [examples[i] for i in order[start : start + size]]


def encode(tokenizer: Any, batch: list[Example]) -> tuple[list[dict[str, Tensor]], Tensor]:
    """Return the padded inputs of the first, and of the second, sentences, and the labels."""
    sides = zip(*(example.sentences for example in batch), strict=True)
    inputs = [
        dict(
            tokenizer(
                list(side), padding=True, truncation=True, max_length=128, return_tensors="pt"
            )
        )
        for side in sides
    ]
    return inputs, torch.tensor([example.label for example in batch])


@torch.inference_mode()
def evaluate(model: MultitaskModel, tokenizer: Any, dev: dict[str, list[Example]]) -> float:
    """Return the mean of the tasks' metrics."""
    model.eval()
    predicted, labels = {}, {}
    for task, examples in dev.items():
        outputs = []
        for start in range(0, len(examples), 64):
            inputs, _ = encode(tokenizer, examples[start : start + 64])
            outputs.append(model(task, inputs))
        output = torch.cat(outputs)
        found = output.argmax(1) if task == "sst" else output > 0 if task == "para" else output
        predicted[task] = found.float()
        labels[task] = torch.tensor([example.label for example in examples])
    return scores(predicted, labels, COURSE)["score"]


def optimizer_of(model: MultitaskModel, config: dict[str, Any]) -> torch.optim.AdamW:
    """Return AdamW with one learning rate for BERT and one for the heads."""
    groups = [
        {"params": model.bert.parameters(), "lr": config["lr"]},
        {"params": model.heads.parameters(), "lr": config["head_lr"]},
    ]
    return torch.optim.AdamW(groups, weight_decay=config["weight_decay"])


def train(config: dict[str, Any], options: Options) -> None:
    """Train one trial: the tasks take turns, and it reports after each ninth of the budget."""
    torch.manual_seed(options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    tokenizer = AutoTokenizer.from_pretrained(str(options.encoder))
    data = {task: read(options.data_dir, task, "train") for task in FILES}
    dev = {task: read(options.data_dir, task, "dev") for task in FILES}
    model = MultitaskModel(
        str(options.encoder), config["pooling"], config["similarity"], config["dropout"]
    )
    optimizer = optimizer_of(model, config)
    streams = {task: batches(own, config["batch_size"], generator) for task, own in data.items()}
    # Some 30 tokens an example of one sentence or two.
    n_steps = round(options.budget / (30 * config["batch_size"]))
    schedule = get_linear_schedule_with_warmup(  # type: ignore[no-untyped-call]
        optimizer, round(config["warmup"] * n_steps), n_steps
    )
    tokens = 0
    for epoch in range(1, EPOCHS + 1):
        model.train()
        while tokens < options.budget * epoch / EPOCHS:
            for task, stream in streams.items():
                inputs, labels = encode(tokenizer, next(stream))
                loss = loss_of(task, model(task, inputs), labels)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                tokens += sum(int(own["attention_mask"].sum()) for own in inputs)
        score = evaluate(model, tokenizer, dev)
        write_line(options.log, score, epoch)
        tune.report({"score": score, "epoch": epoch, "tokens": tokens})


def write_line(log: Path, score: float, epoch: int) -> None:
    """Append a report to the log; processes of trials write at the same time."""
    trial = tune.get_context().get_trial_id()
    line = {"time": time.time(), "score": score, "trial": trial, "epoch": epoch}
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


class TokenBudget(tune.Stopper):
    """Ends the search when all trials together have trained on so many tokens."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._tokens: dict[str, int] = {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        self._tokens[trial_id] = result["tokens"]
        return False

    def stop_all(self) -> bool:
        return sum(self._tokens.values()) >= self._total


def main(options: Options) -> None:
    """Search, and print the best result."""
    ray.init(address="local", num_cpus=options.slots, include_dashboard=False)
    scheduler = ASHAScheduler(time_attr="epoch", max_t=EPOCHS, grace_period=1, reduction_factor=3)
    tuner = tune.Tuner(
        tune.with_resources(partial(train, options=options), {"cpu": 1}),
        param_space=SPACE,
        tune_config=tune.TuneConfig(
            metric="score",
            mode="max",
            num_samples=1000,
            max_concurrent_trials=options.slots,
            search_alg=OptunaSearch(points_to_evaluate=[USUAL], seed=options.seed),
            scheduler=scheduler,
        ),
        run_config=tune.RunConfig(
            storage_path=str(options.log.absolute().parent / "student"),
            stop=TokenBudget(options.total),
            verbose=0,
        ),
    )
    best = tuner.fit().get_best_result()
    assert best.metrics is not None
    print(f"best score {best.metrics['score']:.4f} with {best.config}")


if __name__ == "__main__":
    main(tyro.cli(Options))
