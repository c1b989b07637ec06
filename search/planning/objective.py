"""`--objective`: the weight of each task in the score."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from trainable.errors import InputError, did_you_mean

if TYPE_CHECKING:  # it brings torch, which takes seconds to import
    from trainable.run_config import RunConfig


def parse_objective(text: str) -> dict[str, float]:
    """Return task -> weight of a text such as `rte=2,cola=1`; which tasks there are is not checked.

    Raises:
        InputError: It is not of this form, a task is named twice, or a weight is no number of at
            least 0.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        task, equals, number = (piece.strip() for piece in part.partition("="))
        if not (task and equals):
            raise InputError(
                f"--objective {text!r}: {part!r} is no task with a weight; give TASK=WEIGHT, with "
                f"commas between them, such as rte=2,cola=1"
            )
        if task in found:
            raise InputError(f"--objective {text!r}: {task} is named twice; give one weight")
        try:
            weight = float(number)
        except ValueError:
            weight = math.nan
        if not 0 <= weight < math.inf:  # NaN too
            raise InputError(
                f"--objective {text!r}: the weight of {task} is {number!r}; give a number of at "
                f"least 0, such as 2"
            )
        found[task] = weight
    return found


def weights_of(text: str, defaults: Mapping[str, float]) -> dict[str, float]:
    """Return task -> weight, for every task of a run; those that are not named keep theirs.

    Args:
        text: What the user gave.
        defaults: Task -> weight where the user says nothing.

    Raises:
        InputError: The text is wrong, names another task, or leaves no task with a weight.
    """
    given = parse_objective(text)
    for task in given:
        if task not in defaults:
            near = did_you_mean(task, defaults)
            raise InputError(
                f"--objective {text!r}: there is no task {task!r} in these data; give "
                f"{', '.join(defaults)}{near}"
            )
    weights = {task: given.get(task, weight) for task, weight in defaults.items()}
    if not any(weights.values()):
        raise InputError(f"--objective {text!r}: all weights are 0; give one task more than 0")
    return weights


def with_objective(config: RunConfig, text: str | None) -> tuple[RunConfig, tuple[str, ...]]:
    """Return a configuration with the weights that the user wants, and a note that lists them.

    Raises:
        InputError: See `weights_of`.
    """
    if text is None:
        return config, ()
    weights = weights_of(text, config.objective)
    return config.model_copy(update={"objective": weights}), (objective_note(text, weights),)


def objective_note(text: str, weights: Mapping[str, float]) -> str:
    """Return a sentence for the user: all weights, and which of them are defaults."""
    given = parse_objective(text)
    listed = ", ".join(
        f"{task} {weight:g}{'' if task in given else ' (as before)'}"
        for task, weight in weights.items()
    )
    return f"weights in the score: {listed}"
