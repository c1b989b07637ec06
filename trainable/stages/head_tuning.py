"""Configuration of the stage that trains heads on a frozen encoder; `tune_heads` runs it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from trainable.component import Choice, Component, FloatRange, IntRange
from trainable.stages.multitask import TaskSet


class NoHeadTuning(Component):
    """The heads stay as the stages before left them."""

    kind: Literal["none"] = "none"


class CachedHeadTuning(Component):
    """Each head is trained alone, on sentence vectors that the frozen encoder computes once.

    Source: "MT-BERT", section 4: "we freeze the BERT layers and fine-tune the
    task-specific layers, one task at a time". Deviation: the vectors are computed once, without
    dropout in the encoder, and kept; the heads keep their dropout. The pair layer, which tasks
    share, is frozen too.

    Attributes:
        tasks: Tasks whose heads are trained, as `a+b`, or `all`.
        epochs: Passes over each task's train set.
        batch_size: Examples of a step.
        lr: Peak learning rate; it falls linearly to zero.
        weight_decay: Decoupled weight decay, not on biases and LayerNorm.
    """

    kind: Literal["cached"] = "cached"
    tasks: TaskSet = "all"
    epochs: Annotated[int, Field(ge=1, le=1000), IntRange(1, 15)] = 5
    batch_size: Annotated[int, Field(ge=1, le=65536), Choice((4, 8, 16, 32, 64, 128))] = 32
    lr: Annotated[float, Field(gt=0, le=1), FloatRange(1e-5, 1e-2, log=True)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0, le=1), FloatRange(0.0, 0.1)] = 1e-2


HeadTuning = Annotated[NoHeadTuning | CachedHeadTuning, Field(discriminator="kind")]
