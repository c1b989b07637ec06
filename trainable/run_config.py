"""RunConfig: everything that decides what one run computes, and nothing else.

It is the only thing that passes between the packages: `spaces` builds it, `search` carries it,
`trainable` runs it, export writes it, retrain reads it back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from torch import nn

from trainable.component import Component
from trainable.data.features import InputFeatures
from trainable.data.sources import DataSource, SampleData
from trainable.errors import InputError, did_you_mean
from trainable.model.encoder import EncoderConfig
from trainable.model.pairs import NoPairLayer, PairLayer
from trainable.stages.head_tuning import HeadTuning, NoHeadTuning
from trainable.stages.language_modelling import FurtherPretraining, NoFurtherPretraining
from trainable.stages.multitask import Multitask, NliAuxiliary
from trainable.stages.nli_training import NliTraining, NoNli
from trainable.task_config import TaskConfig, default_config
from trainable.task_fields import fill_in
from trainable.tasks import Task, TaskName, nli_task

SCHEMA_VERSION = 3
_TORCH_NAMES = frozenset(dir(nn.ModuleDict()))  # which holds the modules of tasks by their names
_TRUTHS = ("True", "False")  # as kinds, which are words


class RunConfig(Component):
    """One run: an encoder, one to ten tasks, and the stages that train them.

    The data source says which tasks there are. Whatever the configuration says of each task is
    filled in where it is missing. The last four fields are the stages, in their order; one of kind
    `none` is left out.

    Attributes:
        schema_version: Version of this format.
        seed: Every random draw of the run derives from it.
        data: Where examples come from.
        encoder: The encoder, or encoders.
        features: What the encoder reads besides the words.
        tasks: Task -> pooling, head, loss.
        objective: Task -> weight of its metric in the score, at least 0, not all 0.
        pair_layer: A layer that all pair tasks share.
        further_pretraining: Language modelling on text.
        nli: Natural language inference.
        multitask: Fine-tuning of encoder and heads; None leaves it out.
        head_tuning: Training of heads on the frozen encoder.
    """

    schema_version: Literal[3] = 3
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataSource = SampleData()
    encoder: EncoderConfig = EncoderConfig()
    features: InputFeatures = InputFeatures()
    tasks: dict[TaskName, TaskConfig] = Field(default_factory=dict)
    objective: dict[TaskName, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    pair_layer: PairLayer = NoPairLayer()
    further_pretraining: FurtherPretraining = NoFurtherPretraining()
    nli: NliTraining = NoNli()
    multitask: Multitask | None = Multitask()
    head_tuning: HeadTuning = NoHeadTuning()

    @model_validator(mode="after")
    def _validated(self) -> Self:
        return self._fill_in()

    def _fill_in(self) -> Self:
        """Give every task its entries, and refuse those of tasks that the data do not have."""
        table = self.data.table
        for name in (*self.tasks, *self.objective):
            if name not in table:
                near = did_you_mean(name, table)
                raise ValueError(
                    f"no task {name!r} in the data, which have {', '.join(table)}{near}"
                )
        for name in table:
            if name in _TORCH_NAMES:
                raise ValueError(f"{name!r} cannot be the name of a task, as torch uses it itself")
        filled: dict[str, Any] = {
            "tasks": {n: self.tasks.get(n) or default_config(task) for n, task in table.items()},
            "objective": {n: self.objective.get(n, task.weight) for n, task in table.items()},
        }
        for name, own in filled["tasks"].items():
            if own.kind != table[name].kind:
                raise ValueError(f"tasks.{name}.kind is {own.kind!r}; give {table[name].kind!r}")
        if not any(filled["objective"].values()):
            raise ValueError("objective: all weights are 0; give one task a weight above 0")
        for stage in ("multitask", "head_tuning"):
            if (own := getattr(self, stage)) is not None:
                filled[stage] = fill_in(own, table)
        auxiliary = self.multitask.auxiliary if self.multitask else None
        if isinstance(auxiliary, NliAuxiliary) and nli_task(table) is None:
            raise ValueError("multitask.auxiliary is 'nli', which needs a task with pairs")
        self.__dict__.update(filled)  # frozen: nobody has seen the object yet
        return self

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with other values, in which every task has its entries, too.

        Raises:
            ValueError: There is no such field, or a field names a task that is not there.
        """
        for name in update or ():
            if name not in type(self).model_fields:
                raise ValueError(f"a RunConfig has no field {name!r}")
        copied = super().model_copy(update=update, deep=deep)
        copied._fill_in()
        return copied

    @property
    def table(self) -> dict[TaskName, Task]:
        """The tasks, with their weights in this run's score."""
        return {
            name: task.model_copy(update={"weight": self.objective[name]})
            for name, task in self.data.table.items()
        }

    @property
    def units(self) -> int:
        """Reports of a full run.

        They divide the multitask stage. Head tuning belongs to the last one; without a multitask
        stage there is only one.
        """
        return 1 if self.multitask is None else self.multitask.units

    def to_dict(self) -> dict[str, Any]:
        """Return every field as plain JSON values."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, values: Any, origin: str) -> RunConfig:
        """Read what `to_dict` wrote.

        Args:
            values: Decoded JSON.
            origin: Name of the file, for messages.

        Raises:
            InputError: A field is unknown, missing or out of range, or the format is another. A
                missing field is not filled in: a default that changed later must not change what
                an old file means.
        """
        config = cls.from_part(values, origin)
        missing = _first_missing(config.to_dict(), values, "")
        if missing:
            raise InputError(f"{origin}: field {missing!r} is missing; every field must be there")
        return config

    @classmethod
    def from_part(cls, values: Any, origin: str) -> RunConfig:
        """Read a part of what `to_dict` writes; whatever is missing has its default.

        Args:
            values: Decoded JSON or YAML. A component in it has its kind.
            origin: Name of the file, for messages.

        Raises:
            InputError: A field is unknown or out of range, or the format is another.
        """
        if not isinstance(values, dict):
            raise InputError(f"{origin}: a RunConfig is a JSON object, not {type(values).__name__}")
        version = values.get("schema_version")
        if isinstance(version, int) and version != SCHEMA_VERSION:
            other = "a newer" if version > SCHEMA_VERSION else "an older"
            raise InputError(
                f"{origin}: schema_version is {version}, this program reads {SCHEMA_VERSION}; "
                f"use {other} version of the project for this file"
            )
        try:
            # Strict: "3" is no number and true is no 1. From JSON, so that lists may be tuples.
            return cls.model_validate_json(json.dumps(values), strict=True)
        except ValidationError as error:
            raise InputError(f"{origin}: {explain(error)}") from error


def _first_missing(full: Any, given: Any, path: str) -> str | None:
    """Return the path of the first key of `full` that `given` lacks."""
    if isinstance(full, dict):
        for key, value in full.items():
            here = f"{path}.{key}" if path else key
            if key not in given:
                return here
            found = _first_missing(value, given[key], here)
            if found:
                return found
    if isinstance(full, list):
        for index, (value, other) in enumerate(zip(full, given, strict=True)):
            found = _first_missing(value, other, f"{path}.{index}")
            if found:
                return found
    return None


def explain(error: ValidationError) -> str:
    """One line per problem: the field, what is wrong, the value."""
    lines = []
    for problem in error.errors(include_url=False):
        parts = [str(part) for part in problem["loc"]]
        if parts[:1] == ["tasks"]:
            del parts[2:3]  # pydantic's name of the kind of task
        path, message = ".".join(parts), problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            name = str(problem["loc"][-1])
            message = f"unknown field{did_you_mean(name, _all_field_names())}"
        elif problem["type"] == "union_tag_not_found":
            message = "has no 'kind'; say which one"
        if isinstance(problem["input"], bool) or problem.get("ctx", {}).get("tag") in _TRUTHS:
            message += "; YAML reads yes, no, on and off as true and false: put a word in quotes"
        lines.append(f"field {path!r}: {message} (got {problem['input']!r:.80})")
    return "; ".join(lines)


def _all_field_names() -> set[str]:
    """Names of all fields of all components, for "did you mean"."""
    names: set[str] = set()
    waiting: list[type[Component]] = [Component]
    while waiting:
        model = waiting.pop()
        names.update(model.model_fields)
        waiting.extend(model.__subclasses__())
    return names
