"""What a RunConfig says of each task: pooling, dropout, head or pair encoding, loss.

There are five kinds of tasks (`Task.kind`), and a model for each. tests/benchmarks/README.md says
by which runs the defaults were chosen.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from trainable.component import Choice, Component, FloatRange, PriorSpread
from trainable.losses import Loss
from trainable.model.heads import Head, LinearHead
from trainable.model.pairs import (
    DecisionCosine,
    DecisionPair,
    NumberCosine,
    NumberPair,
    Pair,
    SiamesePair,
    VectorPair,
)
from trainable.model.pooling import MeanPooling, Pooling
from trainable.model.scalings import LearnedScaling, ReluScaling
from trainable.tasks import Kind, Task

PooledDropout = Annotated[float, Field(ge=0, lt=1), FloatRange(0.0, 0.8)]
LabelSmoothing = Annotated[float, Field(ge=0, lt=1), FloatRange(0.0, 0.2), PriorSpread(0.25)]
ShareLoss = Annotated[Literal["bce", "mse"], Choice(("bce", "mse"))]


class SingleClasses(Component):
    """One sentence, two or more classes: the loss is the cross entropy over them.

    Attributes:
        pooling: From token states to one vector.
        dropout: On that vector.
        head: From that vector to a logit for each class.
        label_smoothing: Share of the target that is spread evenly over all classes.
    """

    kind: Literal["single_classes"] = "single_classes"
    pooling: Pooling = MeanPooling()
    dropout: PooledDropout = 0.1
    head: Head = LinearHead()
    label_smoothing: LabelSmoothing = 0.0

    @property
    def loss(self) -> Loss:
        """The loss's name."""
        return "cross_entropy"


class SingleNumber(Component):
    """One sentence, one number.

    Attributes:
        pooling: From token states to one vector.
        dropout: On that vector.
        head: From that vector to one output.
        loss: Binary cross entropy with the number, as a share of its range, as a soft target; or
            squared error.
    """

    kind: Literal["single_number"] = "single_number"
    pooling: Pooling = MeanPooling()
    dropout: PooledDropout = 0.1
    head: Head = LinearHead()
    loss: ShareLoss = "bce"


class PairDecision(Component):
    """Two sentences, two classes: one output decides.

    Attributes:
        pooling: From token states to one vector for each sequence.
        dropout: On those vectors.
        pair: From two sentences to one output.
        loss: Binary cross entropy, or squared error between the score and 0 or 1.
        label_smoothing: A value s moves the labels 0 and 1 to s / 2 and 1 - s / 2 in either loss.
    """

    kind: Literal["pair_decision"] = "pair_decision"
    pooling: Pooling = MeanPooling()
    dropout: PooledDropout = 0.1
    pair: DecisionPair = DecisionCosine(scaling=LearnedScaling(center=0.75))
    loss: ShareLoss = "bce"
    label_smoothing: LabelSmoothing = 0.0


class PairClasses(Component):
    """Two sentences, three or more classes: the loss is the cross entropy over them.

    Attributes:
        pooling: From token states to one vector for each sequence.
        dropout: On those vectors.
        pair: From two sentences to a logit for each class.
        label_smoothing: Share of the target that is spread evenly over all classes.
    """

    kind: Literal["pair_classes"] = "pair_classes"
    pooling: Pooling = MeanPooling()
    dropout: PooledDropout = 0.1
    pair: VectorPair = SiamesePair(features="uv_diff_sq")
    label_smoothing: LabelSmoothing = 0.0

    @property
    def loss(self) -> Loss:
        """The loss's name."""
        return "cross_entropy"


class PairNumber(Component):
    """Two sentences, one number.

    Attributes:
        pooling: From token states to one vector for each sequence.
        dropout: On those vectors.
        pair: From two sentences to one output.
        loss: Binary cross entropy with the number, as a share of its range, as a soft target; or
            squared error.
    """

    kind: Literal["pair_number"] = "pair_number"
    pooling: Pooling = MeanPooling()
    dropout: PooledDropout = 0.1
    pair: NumberPair = NumberCosine(scaling=ReluScaling())
    loss: ShareLoss = "bce"


TaskConfig = Annotated[
    SingleClasses | SingleNumber | PairDecision | PairClasses | PairNumber,
    Field(discriminator="kind"),
]
TASK_CONFIGS: dict[Kind, type[TaskConfig]] = {
    "single_classes": SingleClasses,
    "single_number": SingleNumber,
    "pair_decision": PairDecision,
    "pair_classes": PairClasses,
    "pair_number": PairNumber,
}


def default_config(task: Task) -> TaskConfig:
    """Return the defaults for a task of this kind."""
    return TASK_CONFIGS[task.kind]()


def n_outputs(task: Task, config: TaskConfig) -> int:
    """Return the outputs of a task's head: one for each class under cross entropy, else one."""
    return task.n_classes or 1 if config.loss == "cross_entropy" else 1


def pair_of(config: TaskConfig) -> Pair | None:
    """Return the pair encoding of a task; None where every example is one sentence."""
    return None if isinstance(config, SingleClasses | SingleNumber) else config.pair
