"""Use what was trained, from Python: `from trainable import load`.

    model = load("runs/NAME/retrain/seed_1")
    found = model.predict("sst", ["a fine film", "a waste of time"])
    found.labels, found.probabilities
    model.embed(["a fine film"])

A folder of several seeds is one model: the average of them.
"""

from __future__ import annotations

import re
import statistics
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from trainable.cache.files import reading, user_path
from trainable.data.given_sentences import columns_of, texts_of
from trainable.data.tokenize import MAX_SENTENCE_TOKENS
from trainable.errors import InputError, did_you_mean
from trainable.losses import decide
from trainable.model.pairs import decision_threshold
from trainable.task_config import pair_of
from trainable.tasks import Task
from trainable.training.sentence_embedding import embedding_task
from trainable.training.trained_run import RUN_CONFIG, TrainedRun, read_trained


@dataclass(frozen=True)
class Predictions:
    """What a model says of n examples of a task, in their order.

    Attributes:
        labels: n names of classes, or n numbers in the range of the task's labels.
        classes: Names of the classes; none for a task whose label is a number.
        values: (n,) float32: the numbers of the classes, or the numbers.
        probabilities: (n, n_classes) float32, in the order of the classes; None for a task whose
            label is a number. The label is the class with the largest one, except where the run has
            a threshold of its own for a pair (`threshold` of the cosine pair encoding).
        n_cut: Sentences of which the model saw the first 126 tokens only, as in training.
    """

    labels: list[str] | list[float]
    classes: tuple[str, ...]
    values: Tensor
    probabilities: Tensor | None
    n_cut: int

    def __len__(self) -> int:
        return len(self.labels)


class Model:
    """One trained run, or the average of several; `load` makes it.

    Args:
        runs: At least one; all of the same tasks.
    """

    def __init__(self, runs: Sequence[TrainedRun]) -> None:
        self._runs = tuple(runs)

    @property
    def tasks(self) -> dict[str, Task]:
        """Name -> task."""
        return dict(self._runs[0].config.data.table)

    @property
    def runs(self) -> tuple[str, ...]:
        """Names of the runs that it is the average of."""
        return tuple(run.name for run in self._runs)

    def task(self, name: str) -> Task:
        """Return the task of a name.

        Raises:
            InputError: There is none.
        """
        if name not in self.tasks:
            raise InputError(
                f"there is no task {name!r}; this model has {', '.join(self.tasks)}"
                f"{did_you_mean(str(name), self.tasks)}"
            )
        return self.tasks[name]

    def predict(
        self, task: str, sentences: Sequence[str] | Sequence[tuple[str, str]]
    ) -> Predictions:
        """Predict one task.

        On a CPU, the examples of one split in their order give what retraining wrote for them, bit
        for bit. Other sets of examples may differ from that in the last bit.

        Args:
            task: Name of the task, one of `tasks`.
            sentences: Sentences, or pairs of sentences where the task has pairs.

        Raises:
            InputError: There is no such task, or something is not a sentence, or not a pair.
        """
        own = self.task(task)
        columns = columns_of(own, sentences)
        found = [run.probabilities(own.name, columns) for run in self._runs if columns[0]]
        if not found:
            width = own.n_classes or 1
            return _predictions(own, torch.empty(0, width), torch.empty(0), 0)
        rows = found[0][0] if len(found) == 1 else torch.stack([f for f, _ in found]).mean(0)
        threshold = statistics.fmean(
            decision_threshold(pair_of(r.config.tasks[task])) for r in self._runs
        )
        n_cut = max(n for _, n in found)
        return _predictions(own, rows, decide(rows, own, threshold), n_cut)

    def embed(self, sentences: Sequence[str], task: str | None = None) -> Tensor:
        """Return what the encoder and the pooling of a task make of each sentence, by itself.

        Where the pooling is mean, maximum or CLS, it is what `encode` of sentence-transformers
        returns for the same encoder's folder. Sentences that are longer than the encoder's limit
        are cut, and a warning counts them.

        Args:
            sentences: Sentences.
            task: Whose pooling. Default, where all tasks share one encoder: the first pair task
                whose sentences are encoded each by itself, else the first task with one sentence,
                else the first task.

        Returns:
            (n, width) float32 on the CPU.

        Raises:
            InputError: There is no such task, none is given where each has its own encoder,
                something is not a sentence, or the model is an average.
        """
        if len(self._runs) > 1:
            raise InputError(
                f"this model averages {len(self._runs)} runs ({', '.join(self.runs)}), whose "
                f"vectors have nothing in common; load the folder of one of them to embed"
            )
        (run,) = self._runs
        if task is None and run.config.encoder.sharing == "per_task":
            raise InputError(
                f"each task of this run has its own encoder; say which one is meant by task=, one "
                f"of {', '.join(self.tasks)}"
            )
        name = embedding_task(run.config) if task is None else self.task(task).name
        texts = texts_of(sentences, "sentence {}", "a list of sentences")
        if not texts:
            return torch.empty(0, run.model.encoder_of(name).shape.hidden_size)
        vectors, n_cut = run.embeddings(name, texts)
        if n_cut:
            warnings.warn(cut_note(n_cut), stacklevel=2)
        return vectors


def cut_note(n_cut: int) -> str:
    """Return a sentence for people about sentences that were cut."""
    return f"{n_cut:,} sentence{'s' * (n_cut > 1)} cut to {MAX_SENTENCE_TOKENS} tokens"


def _predictions(task: Task, rows: Tensor, values: Tensor, n_cut: int) -> Predictions:
    """Return predictions from the rows of `probabilities`, (n, n_classes) or (n, 1)."""
    if task.classes is None:
        return Predictions(values.tolist(), (), values, None, n_cut)
    names = task.classes
    if rows.shape[1] == 1:  # the probability of the second of two classes
        rows = torch.cat([1 - rows, rows], dim=1)
    labels = [names[int(v)] for v in values.tolist()]
    return Predictions(labels, names, values, rows, n_cut)


def load(folder: str | Path, device: str | torch.device = "cpu") -> Model:
    """Load a trained model.

    The folder may have come from another machine; nothing but the folder is needed. Only a run that
    reads parts of speech (`features.pos_tags`) also needs NLTK and its tagger.

    Args:
        folder: Of one seed, as `search/retrain.py` writes it, or of `python -m trainable --out`.
            Or of a whole retraining, or of the search: the model is then the average of all seeds
            that are trained to the end.
        device: Where the model computes: "cpu", "cuda", "cuda:1".

    Raises:
        InputError: There is no trained model in the folder, or a file of it is missing or torn.
    """
    try:
        on = torch.device(device)
        torch.empty(0, device=on)
    except (RuntimeError, AssertionError) as error:
        text = str(error).splitlines()[0]
        raise InputError(f"device {str(device)!r} cannot be used: {text}") from error
    path = user_path(str(folder))
    first, *others = [read_trained(found, on) for found in model_folders(path)]
    for run in others:
        if run.config.data.table != first.config.data.table:
            raise InputError(
                f"{path}: {run.name} and {first.name} are of different tasks; load one of them"
            )
    return Model([first, *others])


def model_folders(folder: Path) -> list[Path]:
    """Return the folders of the runs that a folder stands for: itself, or its seeds in their order.

    Raises:
        InputError: There is none.
    """
    with reading(folder):
        if not folder.is_dir():
            what = "a file" if folder.exists() else "not there"
            raise InputError(f"{folder} is {what}; give the folder of a trained model")
        if (folder / RUN_CONFIG).is_file():
            return [folder]
        for place in (folder, folder / "retrain"):  # of a retraining, of a search
            seeds = [*place.glob("seed_*"), *place.glob("best_*/seed_*")]
            if found := [seed for seed in seeds if (seed / RUN_CONFIG).is_file()]:
                return sorted(found, key=_numbers)
    raise InputError(
        f"{folder} holds no trained model; give the folder that `search/retrain.py` or `python -m "
        f"trainable --out` wrote, or one of its seeds"
    )


def _numbers(folder: Path) -> list[int]:
    """Return the numbers in best_2/seed_10, so that 10 comes after 9."""
    return [int(n) for part in folder.parts[-2:] for n in re.findall(r"_(\d+)$", part)]
