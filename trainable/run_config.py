"""RunConfig: everything that decides what one run computes, and nothing else.

It is the only thing that passes between the packages: `spaces` builds it, `search` carries it,
`trainable` runs it, export writes it, retrain reads it back.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from trainable.batch_order import BatchOrderConfig, Proportional
from trainable.component import Choice, Component, FloatRange
from trainable.data.sources import DataSource, SampleData
from trainable.encoder import EncoderConfig
from trainable.errors import InputError, did_you_mean
from trainable.heads import Head, LinearHead
from trainable.losses import Loss
from trainable.optimization import Optimization
from trainable.pairs import JointPair, Pair
from trainable.pooling import ClsPooling, Pooling

SCHEMA_VERSION = 1  # the newest that this program reads
PooledDropout = Annotated[float, Field(ge=0, lt=1), FloatRange(0.0, 0.5)]


class SingleTask(Component):
    """A task with one sentence (SST): its loss is the cross entropy over its classes.

    Attributes:
        pooling: From token states to one vector.
        dropout: On that vector.
        head: From that vector to logits.
    """

    pooling: Pooling = ClsPooling()
    dropout: PooledDropout = 0.1
    head: Head = LinearHead()

    @property
    def loss(self) -> Loss:
        """The loss's name."""
        return "cross_entropy"


class PairTask(Component):
    """A task with two sentences (paraphrase, STS).

    Attributes:
        pooling: From token states to one vector for each sequence.
        dropout: On those vectors.
        pair: From two sentences to one output.
        loss: Binary cross entropy, or squared error.
    """

    pooling: Pooling = ClsPooling()
    dropout: PooledDropout = 0.1
    pair: Pair = JointPair()
    loss: Annotated[Literal["bce", "mse"], Choice(("bce", "mse"))] = "bce"


class Multitask(Component):
    """The stage that trains the encoder and all heads on the three tasks.

    Attributes:
        batch_order: Which tasks give a batch at each step; it holds the gradient combination.
        optimization: AdamW and its schedule.
        budget_tokens: Real tokens through forward and backward, over the whole stage.
        units: Reporting intervals that the budget is cut into.
        precision: `fp32`, or `bf16` autocast over float32 weights.
    """

    kind: Literal["multitask"] = "multitask"
    batch_order: BatchOrderConfig = Proportional()
    optimization: Optimization = Optimization()
    budget_tokens: Annotated[int, Field(ge=1)] = 1_000_000
    units: Annotated[int, Field(ge=1)] = 9
    precision: Literal["fp32", "bf16"] = "fp32"


class RunConfig(Component):
    """One run.

    Attributes:
        schema_version: Version of this format.
        seed: Every random draw of the run derives from it.
        data: Where examples come from.
        encoder: The shared encoder.
        sst: Sentiment.
        para: Paraphrase.
        sts: Similarity.
        stages: What is done with them, in turn. One stage, multitask fine-tuning, for now.
    """

    schema_version: Literal[1] = 1
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    data: DataSource = SampleData()
    encoder: EncoderConfig = EncoderConfig()
    sst: SingleTask = SingleTask()
    para: PairTask = PairTask()
    sts: PairTask = PairTask()
    stages: tuple[Multitask] = (Multitask(),)

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
            InputError: A field is unknown, missing or out of range, or the format is newer. A
                missing field is not filled in: a default that changed later must not change what
                an old file means.
        """
        if not isinstance(values, dict):
            raise InputError(f"{origin}: a RunConfig is a JSON object, not {type(values).__name__}")
        version = values.get("schema_version")
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise InputError(
                f"{origin}: schema_version is {version}, this program reads up to "
                f"{SCHEMA_VERSION}; install a newer version of the project"
            )
        try:
            # Strict: "3" is no number and true is no 1. From JSON, so that lists may be tuples.
            config = cls.model_validate_json(json.dumps(values), strict=True)
        except ValidationError as error:
            raise InputError(f"{origin}: {_explain(error)}") from error
        missing = _first_missing(config.to_dict(), values, "")
        if missing:
            raise InputError(f"{origin}: field {missing!r} is missing; every field must be there")
        return config


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
