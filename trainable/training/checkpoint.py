"""Save a run and resume it: tensors as safetensors, everything else as JSON.

`state.json` is written last and holds the RunConfig. The caller of `save` renames the folder once
both files are there; `load` refuses files that are torn or do not belong together.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainable.errors import InputError
from trainable.run_config import RunConfig
from trainable.training.loop import Run, UnitSoFar
from trainable.training.step import MultitaskTraining

_TENSORS = "state.safetensors"
_STATE = "state.json"
_KEYS = {"run_config", "data_fingerprint", "units", "unit", "multitask"}


def save(run: Run, folder: Path, *, optimizer: bool = True) -> None:
    """Write everything that the next step of the run depends on.

    Args:
        run: The run, between two units or two steps.
        folder: An existing folder.
        optimizer: Whether to keep AdamW's moments, two thirds of the size. Without them a resumed
            run starts them from zero, and their bias correction with them.
    """
    tensors = {f"model.{name}": t.contiguous() for name, t in run.model.state_dict().items()}
    tensors["generator"] = run.generator.get_state()
    tensors["at"] = torch.tensor([run.units, run.steps])
    tensors |= {f"unit.{name}": total for name, total in run.so_far.sums.items()}
    state = {
        "run_config": run.config.to_dict(),
        "data_fingerprint": run.inputs.corpus.fingerprint,
        "units": run.units,
        "unit": _unit_state(run.so_far),
        "multitask": None,
    }
    if run.training is not None:
        tensors |= _training_tensors(run.training, optimizer)
        state["multitask"] = _training_state(run.training)
    # Not `write_tensors`: its fsync takes four times as long as writing.
    save_file(tensors, folder / _TENSORS)
    (folder / _STATE).write_text(json.dumps(state, indent=2, allow_nan=False), encoding="utf-8")


def _unit_state(unit: UnitSoFar) -> dict[str, Any]:
    """Return counts and seconds of a unit that is under way."""
    seconds = {"prefix_seconds": unit.prefix_seconds, "train_seconds": unit.train_seconds}
    return {"counts": dict(unit.counts), **seconds}


def _named_parameters(training: MultitaskTraining) -> dict[str, nn.Parameter]:
    """Return all parameters that the optimizer trains, by name."""
    learned = training.weighting.module.named_parameters(prefix="combination")
    return dict(training.model.named_parameters()) | dict(learned)


def _training_tensors(training: MultitaskTraining, optimizer: bool) -> dict[str, Tensor]:
    """Return the tensors of a multitask stage, except the model's."""
    tensors = {"gradient_generator": training.gradient_generator.get_state()}
    for name, t in training.weighting.module.state_dict().items():
        tensors[f"combination.{name}"] = t
    for name, parameter in _named_parameters(training).items() if optimizer else ():
        for key, value in training.optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{key}.{name}"] = value
    return tensors | {f"average.{n}": t for n, t in training.average.tensors().items()}


def _training_state(training: MultitaskTraining) -> dict[str, Any]:
    """Return the state of a multitask stage that is not in tensors."""
    return {
        "tokens": training.tokens,
        "steps": training.steps,
        "order": training.order.state(),
        "combination": training.weighting.state(),
        "average": training.average.state(),
        "examples": {name: order.position for name, order in training.example_orders.items()},
    }


def load(run: Run, folder: Path) -> None:
    """Make a new run resume where the saved one stopped.

    Args:
        run: A run of the same RunConfig that has not begun.
        folder: Folder that `save` wrote to.

    Raises:
        InputError: A file is missing or torn, or belongs to another run.
    """
    try:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        tensors = load_file(folder / _TENSORS, device=str(run.inputs.device))
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"checkpoint {folder}: not whole ({error})") from error
    if not isinstance(state, dict) or set(state) != _KEYS:
        raise InputError(f"checkpoint {folder}: {_STATE} is not what `save` writes")
    steps = state["multitask"]["steps"] if state["multitask"] else 0
    if tensors["at"].tolist() != [state["units"], steps]:
        raise InputError(f"checkpoint {folder}: its two files are of different steps")
    saved = RunConfig.from_dict(state["run_config"], f"{folder / _STATE}, run_config")
    if saved != run.config:
        raise InputError(f"checkpoint {folder}: it belongs to another RunConfig")
    if state["data_fingerprint"] != run.inputs.corpus.fingerprint:
        raise InputError(f"checkpoint {folder}: the data have changed since it was written")
    run.model.load_state_dict(_below(tensors, "model."))
    run.generator.set_state(tensors["generator"].cpu())
    run.units, unit = state["units"], state["unit"]
    run.so_far = UnitSoFar(
        _below(tensors, "unit."),
        Counter(unit["counts"]),
        unit["prefix_seconds"],
        unit["train_seconds"],
    )
    if run.training is not None:
        _load_training(run.training, state["multitask"], tensors)


def _load_training(
    training: MultitaskTraining, state: dict[str, Any], tensors: dict[str, Tensor]
) -> None:
    training.gradient_generator.set_state(tensors["gradient_generator"].cpu())
    training.weighting.module.load_state_dict(_below(tensors, "combination."))
    named = _named_parameters(training)
    for key_and_name, value in _below(tensors, "optimizer.").items():
        key, name = key_and_name.split(".", 1)
        training.optimizer.state[named[name]][key] = value
    training.tokens, training.steps = state["tokens"], state["steps"]
    training.order.load(state["order"])
    training.weighting.load(state["combination"])
    training.average.load(_below(tensors, "average."), state["average"])
    for name, position in state["examples"].items():
        training.example_orders[name].position = position


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def size_in_bytes(config: RunConfig, n_parameters: int, *, optimizer: bool) -> int:
    """Return the size of a run's checkpoint, without the heads.

    It has the float32 weights, their average if there is one and, if they are kept, AdamW's two
    moments, or three with AMSGrad.

    Args:
        config: The run.
        n_parameters: Of one encoder; with `per_task` each task has one.
        optimizer: Whether the moments are kept.
    """
    stage, copies = config.multitask, 1
    if stage is not None:
        copies += stage.averaging.kind != "none"
        copies += (3 if stage.optimization.amsgrad else 2) if optimizer else 0
    n_encoders = len(config.tasks) if config.encoder.sharing == "per_task" else 1
    return 4 * n_encoders * copies * n_parameters
