"""What a RunConfig says of each task: pooling, dropout, head or pair encoding, loss."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from trainable.component import Choice, Component, FloatRange
from trainable.losses import Loss
from trainable.model.heads import Head, LinearHead
from trainable.model.pairs import JointPair, ParaPair, StsPair
from trainable.model.pooling import ClsPooling, Pooling

PooledDropout = Annotated[float, Field(ge=0, lt=1), FloatRange(0.0, 0.8)]
LabelSmoothing = Annotated[float, Field(ge=0, lt=1), FloatRange(0.0, 0.2)]
PairLoss = Annotated[Literal["bce", "mse"], Choice(("bce", "mse"))]


class SingleTask(Component):
    """A task with one sentence (SST): its loss is the cross entropy over its classes.

    Attributes:
        pooling: From token states to one vector.
        dropout: On that vector.
        head: From that vector to logits.
        label_smoothing: Share of the target that is spread evenly over all classes.
    """

    pooling: Pooling = ClsPooling()
    dropout: PooledDropout = 0.1
    head: Head = LinearHead()
    label_smoothing: LabelSmoothing = 0.0

    @property
    def loss(self) -> Loss:
        """The loss's name."""
        return "cross_entropy"


class ParaTask(Component):
    """Paraphrase: two sentences, one decision.

    Attributes:
        pooling: From token states to one vector for each sequence.
        dropout: On those vectors.
        pair: From two sentences to one output.
        loss: Binary cross entropy, or squared error between the score and 0 or 1.
        label_smoothing: A value s moves the labels 0 and 1 to s / 2 and 1 - s / 2 in either loss.
    """

    pooling: Pooling = ClsPooling()
    dropout: PooledDropout = 0.1
    pair: ParaPair = JointPair()
    loss: PairLoss = "bce"
    label_smoothing: LabelSmoothing = 0.0


class StsTask(Component):
    """Similarity: two sentences, one number.

    Attributes:
        pooling: From token states to one vector for each sequence.
        dropout: On those vectors.
        pair: From two sentences to one output.
        loss: Binary cross entropy with the similarity as a soft target, or squared error.
    """

    pooling: Pooling = ClsPooling()
    dropout: PooledDropout = 0.1
    pair: StsPair = JointPair()
    loss: PairLoss = "bce"


TaskConfig = SingleTask | ParaTask | StsTask
