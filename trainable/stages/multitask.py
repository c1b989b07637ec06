"""Configuration of the stage that trains the encoder and the heads together."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from trainable.batch_orders.family import BatchOrderConfig
from trainable.batch_orders.in_turn import RoundRobin
from trainable.component import Component, FloatRange, Needs, PriorWeights, TaskSubset
from trainable.data.nli import NliSource, SampleNli
from trainable.optim.adamw import Optimization
from trainable.optim.averaging import Averaging, NoAveraging
from trainable.tasks import NLI, TaskName

TaskSet = Annotated[str, TaskSubset()]


class NoAuxiliary(Component):
    """Training on the tasks only."""

    kind: Literal["none"] = "none"


class NliAuxiliary(Component):
    """Contrastive NLI batches among those of the tasks.

    Source: "BERT Goes to College", section 4: SNLI batches in place of similarity. They use the
    pooling of the task `nli_task`, whose vectors they are meant to improve.

    Attributes:
        source: Source of premises and hypotheses.
        temperature: Temperature of the contrastive loss.
    """

    needs: ClassVar[Needs] = Needs(pairs=1)
    kind: Literal["nli"] = "nli"
    source: NliSource = SampleNli()
    temperature: Annotated[float, Field(gt=0, le=10), FloatRange(0.05, 1.0, log=True)] = 0.5


Auxiliary = Annotated[NoAuxiliary | NliAuxiliary, Field(discriminator="kind")]


class NoRegularization(Component):
    """Dropout and weight decay only."""

    kind: Literal["none"] = "none"


class RDrop(Component):
    """R-Drop: the outputs of two passes with different dropout must agree. Doubles a step's tokens.

    Source: Liang et al. 2021 (arXiv:2106.14448), equations 1 to 4; see `losses.r_drop_divergence`.

    Attributes:
        alpha: Weight of the disagreement.
    """

    kind: Literal["r_drop"] = "r_drop"
    alpha: Annotated[float, Field(gt=0, le=100), FloatRange(0.1, 5.0, log=True)] = 1.0


Regularization = Annotated[
    NoRegularization | RDrop, Field(discriminator="kind"), PriorWeights({"none": 3})
]


class Multitask(Component):
    """Fine-tuning of the encoder and the heads.

    Attributes:
        tasks: Tasks that it trains, as `a+b`, or `all`; the heads of the others stay as they are.
        auxiliary: Further training data besides the tasks' own.
        batch_order: Decides which tasks give a batch at each step; holds the weighting of their
            gradients.
        regularization: Regularization besides dropout and weight decay.
        optimization: AdamW and its schedule.
        averaging: Weights that are evaluated: those of the last step, or an average.
        budget_tokens: Real tokens through forward and backward, over the whole stage.
        units: Reporting intervals that the budget is cut into.
        precision: `fp32`, or `bf16` autocast over float32 weights.
    """

    tasks: TaskSet = "all"
    auxiliary: Auxiliary = NoAuxiliary()
    batch_order: BatchOrderConfig = RoundRobin()
    regularization: Regularization = NoRegularization()
    optimization: Optimization = Optimization()
    averaging: Averaging = NoAveraging()
    budget_tokens: Annotated[int, Field(ge=1)] = 1_000_000
    units: Annotated[int, Field(ge=1)] = 9
    precision: Literal["fp32", "bf16"] = "fp32"

    @property
    def trains_on(self) -> tuple[TaskName, ...]:
        """Names that give batches: the tasks, and `nli` if it is the auxiliary."""
        names = tuple(self.tasks.split("+"))
        return (*names, NLI) if isinstance(self.auxiliary, NliAuxiliary) else names
