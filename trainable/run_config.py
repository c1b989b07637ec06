"""RunConfig: everything that decides what one run computes, and nothing else.

It is the only thing that passes between the packages: `spaces` builds it, `search` carries it,
`trainable` runs it, export writes it, retrain reads it back.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from trainable.component import Component
from trainable.data.features import InputFeatures
from trainable.data.sources import DataSource, SampleData
from trainable.errors import InputError, did_you_mean
from trainable.model.encoder import EncoderConfig
from trainable.model.pairs import NoPairLayer, PairLayer
from trainable.stages.head_tuning import HeadTuning, NoHeadTuning
from trainable.stages.language_modelling import FurtherPretraining, NoFurtherPretraining
from trainable.stages.multitask import Multitask
from trainable.stages.nli_training import NliTraining, NoNli
from trainable.task_config import ParaTask, SingleTask, StsTask

SCHEMA_VERSION = 2
_TRUTHS = ("True", "False")  # as kinds, which are words


class RunConfig(Component):
    """One run: an encoder, three tasks, and the stages that train them.

    The last four fields are the stages, in their order; one of kind `none` is left out.

    Attributes:
        schema_version: Version of this format.
        seed: Every random draw of the run derives from it.
        data: Where examples come from.
        encoder: The encoder, or encoders.
        features: What the encoder reads besides the words.
        sst: Sentiment.
        para: Paraphrase.
        sts: Similarity.
        pair_layer: A layer that paraphrase and similarity share.
        further_pretraining: Language modelling on text.
        nli: Natural language inference.
        multitask: Fine-tuning of encoder and heads; None leaves it out.
        head_tuning: Training of heads on the frozen encoder.
    """

    schema_version: Literal[2] = 2
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataSource = SampleData()
    encoder: EncoderConfig = EncoderConfig()
    features: InputFeatures = InputFeatures()
    sst: SingleTask = SingleTask()
    para: ParaTask = ParaTask()
    sts: StsTask = StsTask()
    pair_layer: PairLayer = NoPairLayer()
    further_pretraining: FurtherPretraining = NoFurtherPretraining()
    nli: NliTraining = NoNli()
    multitask: Multitask | None = Multitask()
    head_tuning: HeadTuning = NoHeadTuning()

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
            raise InputError(f"{origin}: {_explain(error)}") from error


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


def _explain(error: ValidationError) -> str:
    """One line per problem: the field, what is wrong, the value."""
    lines = []
    for problem in error.errors(include_url=False):
        path = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"]
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
