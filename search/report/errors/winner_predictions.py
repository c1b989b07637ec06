"""The examples of *select* beside what a finished trial predicted for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.log.folder import SearchFolder
from search.log.trial import TrialRecord
from trainable.data.examples import Examples
from trainable.data.split import is_confirm
from trainable.losses import decide
from trainable.model.pairs import decision_threshold
from trainable.run_config import RunConfig
from trainable.task_config import pair_of
from trainable.tasks import Task, TaskName
from trainable.training.predictions import PREDICTIONS, read_probabilities

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TaskPredictions:
    """The examples of one task in *select*, and what a model predicted for them.

    Attributes:
        task: Which task.
        sentences: One or two sentences for each of the n examples.
        labels: (n,) float64 in [low, high] of the task.
        predicted: (n,) float64: a class, or a number in that range.
        confidence: (n,) float64 in [0, 1]: the probability that the model gives to the predicted
            class. None for a task without classes.
    """

    task: Task
    sentences: tuple[tuple[str, ...], ...]
    labels: Floats
    predicted: Floats
    confidence: Floats | None

    def __len__(self) -> int:
        return len(self.sentences)


@dataclass(frozen=True)
class LabelledSentences:
    """The examples of one task in *select*.

    Attributes:
        ids: n ids.
        sentences: One or two sentences for each.
        labels: (n,) float64.
    """

    ids: tuple[str, ...]
    sentences: tuple[tuple[str, ...], ...]
    labels: Floats


def select_examples(examples: Examples, task: TaskName) -> LabelledSentences:
    """Return the examples of *select*, in the order in which predictions are stored."""
    columns = examples.splits[task]["dev"].with_format("arrow")[:].to_pydict()
    ids: list[str] = columns["id"]
    kept = [i for i, name in enumerate(ids) if not is_confirm(task, name)]
    sides = ("sentence1", "sentence2") if examples.tasks[task].is_pair else ("sentence1",)
    return LabelledSentences(
        tuple(ids[i] for i in kept),
        tuple(tuple(columns[side][i] for side in sides) for i in kept),
        np.array([columns["label"][i] for i in kept], float),
    )


def read_predictions(folder: SearchFolder, trial: TrialRecord) -> bytes | None:
    """Return the content of a finished trial's file of predictions, or None where there is none."""
    checkpoint = trial.checkpoints.get(trial.units)
    if checkpoint is None:
        return None
    try:
        return folder.read(f"{checkpoint}/{PREDICTIONS}")
    except FileNotFoundError:  # the trial did not finish, or the file was removed by hand
        return None


def predictions_on_select(
    examples: Examples, config: RunConfig, content: bytes
) -> dict[TaskName, TaskPredictions]:
    """Return task -> the examples of *select*, and what a run predicted for them.

    Args:
        examples: The data that the run used.
        config: The run.
        content: Content of its file of predictions.

    Raises:
        InputError: The file is not whole, or of other examples.
    """
    examples_of = {task: select_examples(examples, task) for task in examples.tasks}
    ids = {"select": {task: own.ids for task, own in examples_of.items()}}
    found = read_probabilities(content, ids, PREDICTIONS)["select"]
    result: dict[TaskName, TaskPredictions] = {}
    for name, own in examples_of.items():
        task, threshold = examples.tasks[name], decision_threshold(pair_of(config.tasks[name]))
        predicted = decide(found[name], task, threshold).double().numpy()
        sure = _confidence(found[name].double().numpy(), predicted) if task.classes else None
        result[name] = TaskPredictions(task, own.sentences, own.labels, predicted, sure)
    return result


def _confidence(probabilities: Floats, predicted: Floats) -> Floats:
    """Return (n,) probabilities of the predicted class.

    One score for each example, as a decision has, is the probability of class 1.
    """
    if probabilities.shape[1] > 1:
        own: Floats = np.take_along_axis(probabilities, predicted[:, None].astype(int), 1)[:, 0]
        return own
    score = probabilities[:, 0]
    return np.where(predicted == 1, score, 1 - score)
