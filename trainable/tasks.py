"""Tasks as data: what the examples of a task look like, their labels, and their metric.

A run has one to ten tasks. Their table comes with its data source; that of the papers is `COURSE`.
A training stage may take batches from one more source, natural language inference (`NLI`), which
is trained on and never scored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import combinations
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

TaskName = str
Metric = Literal["accuracy", "macro_f1", "matthews", "pearson", "spearman"]
Kind = Literal["single_classes", "single_number", "pair_decision", "pair_classes", "pair_number"]

METRIC_TITLES: dict[Metric, str] = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "matthews": "Matthews correlation",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
}
NLI = "nli"  # the train set that is no task
MOST_TASKS = 10
CLASS_METRICS: tuple[Metric, ...] = ("accuracy", "macro_f1", "matthews")
NUMBER_METRICS: tuple[Metric, ...] = ("pearson", "spearman")
_SUFFIXES: dict[Metric, str] = {
    "accuracy": "acc",
    "macro_f1": "f1",
    "matthews": "mcc",
    "pearson": "corr",
    "spearman": "spearman",
}
# Words that stand for something else in the names of params, metrics and files.
_RESERVED = frozenset(
    {
        *("schema_version", "seed", "data", "encoder", "features", "tasks", "objective"),
        *("pair_layer", "further_pretraining", "nli", "multitask", "head_tuning"),
        *("row", "repeat", "score", "shared", "all", "none", "confirm"),
    }
)
_ALL_SUBSETS = 4  # tasks up to which every subset is offered


class Task(BaseModel):
    """One sentence task.

    Attributes:
        name: Key of the task in files, params and metrics: lower-case letters, digits, `_`.
        title: Name for people; the name where it is empty.
        is_pair: Whether an example has two sentences.
        classes: Names of the classes, at least two, in the order of their numbers 0, 1, ...; None
            where the label is a number.
        low: Smallest label: 0 for classes.
        high: Largest label: the number of the last class.
        metric: Metric on the dev set. Default: accuracy for classes, Pearson correlation for
            numbers.
        weight: Of the metric in the score, at least 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    name: str
    title: str = ""
    is_pair: bool = False
    classes: Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    low: float = 0.0
    high: float = 1.0
    metric: Metric = "accuracy"
    weight: Annotated[float, Field(ge=0)] = 1.0

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: object) -> object:
        """Set what follows from other fields: title, and for classes the range of labels."""
        if not isinstance(values, dict):
            return values
        filled = {**values, "title": values.get("title") or values.get("name")}
        classes = values.get("classes")
        if isinstance(classes, list | tuple):
            # A tuple: in strict mode pydantic would refuse the list of a JSON file here.
            filled |= {"classes": tuple(classes), "low": 0.0, "high": float(len(classes) - 1)}
        filled.setdefault("metric", "pearson" if classes is None else "accuracy")
        return filled

    @model_validator(mode="after")
    def _check(self) -> Task:
        is_word = re.fullmatch(r"[a-z][a-z0-9_]{0,31}", self.name)
        # `confirm_` begins the keys of the scores on *confirm*.
        if not is_word or self.name in _RESERVED or self.name.startswith("confirm_"):
            raise ValueError(
                f"{self.name!r} cannot be the name of a task; give up to 32 lower-case letters, "
                f"digits and underscores, beginning with a letter, and none of "
                f"{', '.join(sorted(_RESERVED))}"
            )
        if self.classes is not None and len(set(self.classes)) < len(self.classes):
            raise ValueError(f"{self.name}: a class is named twice in {', '.join(self.classes)}")
        if not self.low < self.high:
            raise ValueError(f"{self.name}: labels from {self.low:g} to {self.high:g} are no range")
        allowed = NUMBER_METRICS if self.classes is None else CLASS_METRICS
        if self.metric not in allowed:
            what = "numbers" if self.classes is None else "classes"
            raise ValueError(
                f"{self.name}: {self.metric} is no metric for {what}; give one of "
                f"{', '.join(allowed)}"
            )
        return self

    @property
    def n_classes(self) -> int | None:
        """Number of classes, or None where the label is a number."""
        return None if self.classes is None else len(self.classes)

    @property
    def metric_key(self) -> str:
        """Key of the metric in reports: the name and `acc`, `f1`, `mcc`, `corr` or `spearman`."""
        return f"{self.name}_{_SUFFIXES[self.metric]}"

    @property
    def metric_title(self) -> str:
        """Name of the metric for people."""
        return METRIC_TITLES[self.metric]

    @property
    def kind(self) -> Kind:
        """Which of the five kinds of `TaskConfig` fits."""
        if self.classes is None:
            return "pair_number" if self.is_pair else "single_number"
        if not self.is_pair:
            return "single_classes"
        return "pair_decision" if len(self.classes) == 2 else "pair_classes"


Tasks = Mapping[TaskName, Task]  # the table of a run, in the order of its tasks


def table(*tasks: Task) -> dict[TaskName, Task]:
    """Return tasks by their names.

    Raises:
        ValueError: There is no task, there are more than ten, two have the same name, one has the
            name of another and `_dev`, or two pairs of names give the same word.
    """
    found = {task.name: task for task in tasks}
    if not 1 <= len(tasks) <= MOST_TASKS:
        raise ValueError(f"{len(tasks)} tasks; give 1 to {MOST_TASKS}")
    if len(found) < len(tasks):
        names = [task.name for task in tasks]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two tasks are named {twice!r}; give each a name of its own")
    for name in found:
        if f"{name}_dev" in found:
            raise ValueError(
                f"tasks are named {name!r} and '{name}_dev': `{name}_dev_loss` in reports would be "
                f"of both; give one of them another name"
            )
    _refuse_equal_pairs(tuple(found))
    return found


def _refuse_equal_pairs(names: tuple[TaskName, ...]) -> None:
    """Refuse names of which two pairs give the same word, such as a, b_c and a_b, c."""
    seen: dict[str, tuple[TaskName, TaskName]] = {}
    for pair in combinations(names, 2):
        word = "_".join(pair)
        if word in seen:
            raise ValueError(
                f"`cosine_{word}` in reports would be of the tasks {' and '.join(seen[word])}, and "
                f"also of {' and '.join(pair)}; give one of them another name"
            )
        seen[word] = pair


def nli_task(tasks: Tasks) -> TaskName | None:
    """Return the task whose encoder, pooling and factors NLI batches use; None without pairs.

    That is the last of the tasks that compare two sentences by a number, else of those with pairs.
    """
    pairs = [task for task in tasks.values() if task.is_pair]
    numbers = [task for task in pairs if task.classes is None]
    return (numbers or pairs)[-1].name if pairs else None


def task_subsets(names: tuple[TaskName, ...]) -> tuple[str, ...]:
    """Return the sets of tasks that a stage may train, as `a+b`, the largest first.

    All subsets of up to four tasks; of more, all tasks, all but one, and each alone.
    """
    sizes = range(len(names), 0, -1)
    if len(names) > _ALL_SUBSETS:
        sizes = (len(names), len(names) - 1, 1)  # type: ignore[assignment]
    return tuple("+".join(chosen) for size in sizes for chosen in combinations(names, size))


# The tasks of the five papers and of Stanford CS224N's default project.
COURSE = table(
    Task(
        name="sst",
        title="SST sentiment",
        classes=("very negative", "negative", "neutral", "positive", "very positive"),
    ),
    Task(
        name="para",
        title="Quora paraphrase",
        is_pair=True,
        classes=("no paraphrase", "paraphrase"),
    ),
    Task(name="sts", title="STS similarity", is_pair=True, high=5.0),
)


def is_of_course(task: Task) -> bool:
    """Return whether a task is one of `COURSE`, whatever its weight."""
    return task.model_copy(update={"weight": 1.0}) == COURSE.get(task.name)
