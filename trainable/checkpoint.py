"""Save a run and go on from it: tensors as safetensors, all else as JSON, each file whole.

`state.json` is written last and names the run, so a folder with it is complete.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from trainable.errors import InputError
from trainable.files import write_json, write_tensors
from trainable.loop import Run
from trainable.run_config import RunConfig

_TENSORS = "state.safetensors"
_STATE = "state.json"
_KEYS = {
    "run_config",
    "data_fingerprint",
    "tokens",
    "steps",
    "units",
    "batch_order",
    "examples",
}


def save(run: Run, folder: Path) -> None:
    """Write everything that the next step of the run depends on.

    Args:
        run: The run, between two units.
        folder: An existing folder.
    """
    tensors = {f"model.{name}": t.contiguous() for name, t in run.model.state_dict().items()}
    for name, parameter in run.model.named_parameters():
        for key, value in run.optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{key}.{name}"] = value
    tensors["generator"] = run.generator.get_state()
    tensors["gradient_generator"] = run.gradient_generator.get_state()
    tensors["units"] = torch.tensor(run.units)
    write_tensors(folder / _TENSORS, tensors)
    state = {
        "run_config": run.config.to_dict(),
        "data_fingerprint": run.workbench.corpus.fingerprint,
        "tokens": run.tokens,
        "steps": run.steps,
        "units": run.units,
        "batch_order": run.batch_order.state(),
        "examples": {task: order.position for task, order in run.examples.items()},
    }
    write_json(folder / _STATE, state)


def load(run: Run, folder: Path) -> None:
    """Make a new run go on where the saved one stopped.

    Args:
        run: A run of the same RunConfig that has not begun.
        folder: What `save` wrote.

    Raises:
        InputError: A file is missing or torn, or belongs to another run.
    """
    try:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        tensors = load_file(folder / _TENSORS, device=str(run.workbench.device))
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"checkpoint {folder}: not whole ({error})") from error
    if not isinstance(state, dict) or set(state) != _KEYS:
        raise InputError(f"checkpoint {folder}: {_STATE} is not what `save` writes")
    if state["units"] != tensors["units"].item():
        raise InputError(f"checkpoint {folder}: its two files are of different units")
    saved = RunConfig.from_dict(state["run_config"], f"{folder / _STATE}, run_config")
    if saved != run.config:
        raise InputError(f"checkpoint {folder}: it belongs to another RunConfig")
    if state["data_fingerprint"] != run.workbench.corpus.fingerprint:
        raise InputError(f"checkpoint {folder}: the data have changed since it was written")
    model_state = {
        n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")
    }
    run.model.load_state_dict(model_state)
    for name, parameter in run.model.named_parameters():
        for key in ("step", "exp_avg", "exp_avg_sq"):
            value = tensors.get(f"optimizer.{key}.{name}")
            if value is not None:
                run.optimizer.state[parameter][key] = value
    run.generator.set_state(tensors["generator"].cpu())
    run.gradient_generator.set_state(tensors["gradient_generator"].cpu())
    run.tokens, run.steps, run.units = state["tokens"], state["steps"], state["units"]
    run.batch_order.load(state["batch_order"])
    for task, order in run.examples.items():
        order.position = state["examples"][task]


def size_in_bytes(n_parameters: int) -> int:
    """Return the size of a checkpoint: float32 weights and two AdamW moments."""
    return 3 * 4 * n_parameters
