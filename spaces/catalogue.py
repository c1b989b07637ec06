"""The spaces that come with the project.

A space is a few patterns over the dotted names of hyperparameters; the ranges stand beside the
fields of the components.
"""

from __future__ import annotations

from spaces.space import Space
from trainable.batch_orders.all_tasks import LockStep
from trainable.component import Domain, FloatRange
from trainable.data.nli import HubNli, NliSource
from trainable.data.pretraining_text import OwnText, TextSource
from trainable.data.sources import DataSource
from trainable.errors import InputError, did_you_mean
from trainable.model.encoder import TINY, EncoderConfig
from trainable.model.heads import MlpHead
from trainable.model.pairs import SiamesePair
from trainable.model.pooling import MeanPooling
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask
from trainable.task_config import ParaTask, SingleTask, StsTask

_TASKS = ("sst", "para", "sts")

_TRAINING = (
    "encoder.dropout",
    "encoder.sharing",
    *(f"{task}.*" for task in _TASKS),
    "pair_layer*",
    "multitask.batch_order*",
    "multitask.regularization*",
    "multitask.optimization.*",
    "multitask.averaging*",
)

_VARY: dict[str, tuple[str, ...]] = {
    # Everything about one training of encoder and heads.
    "full": _TRAINING,
    # The same, and the stages before and after that training.
    "stages": (
        *_TRAINING,
        "further_pretraining*",
        "nli*",
        "multitask.tasks",
        "multitask.auxiliary*",
        "head_tuning*",
    ),
    # Poolings, pair encodings and heads; the training stays that of the base.
    "heads": tuple(f"{task}.{part}*" for task in _TASKS for part in ("pooling", "pair", "head")),
    # Three params, for tests and first looks.
    "smoke": ("multitask.optimization.lr", "para.pair", "sts.pair"),
}

SPACE_NAMES = tuple(_VARY)

# An encoder from scratch learns at rates that would destroy a pretrained one.
_FROM_SCRATCH: dict[str, Domain] = {
    "multitask.optimization.lr": FloatRange(1e-3, 1e-2, log=True),
    "multitask.optimization.head_lr": FloatRange(1e-3, 3e-2, log=True),
}


def base_config(encoder: EncoderConfig, data: DataSource, seed: int, stage: Multitask) -> RunConfig:
    """Return the configuration that a search varies: sound defaults for the encoder.

    Args:
        encoder: Which encoder.
        data: Which data.
        seed: Seed of the runs.
        stage: Budget, units and precision. For `tiny`, other learning rates and another batch order
            replace those of the stage.
    """
    if encoder.source != TINY:
        return RunConfig(seed=seed, data=data, encoder=encoder, multitask=stage)
    # An encoder from scratch learns to compare two vectors long before it learns attention between
    # two sentences.
    pair = SiamesePair(features="uv_diff_sq", head=MlpHead())
    rates = stage.optimization.model_copy(update={"lr": 2e-3, "head_lr": 4e-3})
    order = LockStep()
    return RunConfig(
        seed=seed,
        data=data,
        encoder=encoder,
        sst=SingleTask(pooling=MeanPooling()),
        para=ParaTask(pooling=MeanPooling(), pair=pair),
        sts=StsTask(pooling=MeanPooling(), pair=pair),
        multitask=stage.model_copy(update={"optimization": rates, "batch_order": order}),
    )


def make_space(
    name: str,
    base: RunConfig,
    text: tuple[TextSource, ...] | None = None,
    nli: NliSource | None = None,
) -> Space:
    """Return a space by name.

    Args:
        name: One of `SPACE_NAMES`.
        base: Gives the value of everything that the space does not vary.
        text: Text for further pretraining. Default: the tasks' own.
        nli: Examples of inference. Default: those of the Hub.

    Raises:
        InputError: There is no such space.
    """
    if name not in _VARY:
        near = did_you_mean(name, SPACE_NAMES)
        raise InputError(f"unknown space {name!r}; known: {', '.join(SPACE_NAMES)}{near}")
    narrowed = _FROM_SCRATCH if base.encoder.source == TINY else {}
    return Space(name, base, _VARY[name], narrowed, text or (OwnText(),), nli or HubNli())
