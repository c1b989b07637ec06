"""The spaces that come with the project.

A space is a few patterns over the dotted names of hyperparameters; the ranges stand beside the
fields of the components.
"""

from __future__ import annotations

from spaces.space import Space
from trainable.component import Domain, FloatRange
from trainable.data.nli import HubNli, NliSource
from trainable.data.pretraining_text import OwnText, TextSource
from trainable.errors import InputError, did_you_mean
from trainable.model.encoder import TINY
from trainable.run_config import RunConfig
from trainable.tasks import Tasks

_TRAINING = (
    "encoder.dropout",
    "encoder.sharing",
    "TASK.*",
    "pair_layer*",
    "multitask.batch_order*",
    "multitask.regularization*",
    "multitask.optimization.*",
    "multitask.averaging*",
)

# `TASK` stands for the name of each task, `PAIR` for those of tasks with two sentences.
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
    "heads": ("TASK.pooling*", "TASK.pair*", "TASK.head*"),
    # The learning rate and the pair encodings, for tests and first looks.
    "smoke": ("multitask.optimization.lr", "PAIR.pair"),
}

SPACE_NAMES = tuple(_VARY)

# An encoder from scratch learns at rates that would destroy a pretrained one.
_FROM_SCRATCH: dict[str, Domain] = {
    "multitask.optimization.lr": FloatRange(1e-3, 1e-2, log=True),
    "multitask.optimization.head_lr": FloatRange(1e-3, 3e-2, log=True),
}


def _patterns(name: str, tasks: Tasks) -> tuple[str, ...]:
    """Return the patterns of a space, with the tasks' names in place of `TASK` and `PAIR`."""
    pairs = [task.name for task in tasks.values() if task.is_pair]
    found: list[str] = []
    for pattern in _VARY[name]:
        for word, names in (("TASK.", list(tasks)), ("PAIR.", pairs)):
            if pattern.startswith(word):
                found += [f"{own}.{pattern.removeprefix(word)}" for own in names]
                break
        else:
            found.append(pattern)
    return tuple(found)


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
    return Space(
        name,
        base,
        _patterns(name, base.data.table),
        narrowed,
        text or (OwnText(),),
        nli or HubNli(),
    )
