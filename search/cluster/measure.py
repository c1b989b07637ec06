"""Measure what the parts of a trial take: slots train a few steps at the same time.

It runs in short tasks of Ray with a slot's resources, since slots share cores, caches and disks.
Their processes have then loaded torch and the data, and take trials.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import ray
import torch
from ray.exceptions import GetTimeoutError, RayError

from search.cluster.slots import Resources, alive_nodes, n_slots
from search.planning.unit_cost import UnitCost, mean_cost
from trainable.data.split import PART_EXAMPLES
from trainable.errors import InputError
from trainable.run_config import RunConfig
from trainable.tasks import TaskName
from trainable.training import checkpoint
from trainable.training.corpus import Corpus, Rows
from trainable.training.inference import task_probabilities
from trainable.training.inputs import open_inputs
from trainable.training.loop import Run

_MOST_SLOTS = 8  # that measure at the same time
_WARM_STEPS = 2  # the first ones allocate memory, and choose algorithms
_STEPS = 4  # at least
_STEP_SECONDS = 1.0  # more steps are made until so many seconds are over
_EVALUATED = (16, 64, 256)  # examples of a task, one try after the other
_EVALUATION_SECONDS = 0.5  # then there is no next try
_PATIENCE = 900.0  # seconds; BERT-large on one slow core stays far below that


def measure(configs: Sequence[RunConfig], resources: Resources, *, optimizer: bool) -> UnitCost:
    """Return what the parts of a trial take in a slot, on average.

    A configuration that fails says nothing: as a trial it would take no time either.

    Args:
        configs: What is trained; each in a slot of its own, or one after the other.
        resources: Of one trial.
        optimizer: Whether checkpoints hold the optimizer's moments.

    Raises:
        InputError: All of them fail; the message says what went wrong.
    """
    present = sum(n_slots(node["Resources"], resources) for node in alive_nodes())
    slots = max(1, min(resources.max_concurrent, present, _MOST_SLOTS))
    task = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus, max_retries=0)(time_parts)
    all_configs = math.ceil(slots / len(configs)) * list(configs)
    asked = [task.remote(config.to_dict(), resources, optimizer) for config in all_configs]
    ray.wait(asked, num_returns=len(asked), timeout=_PATIENCE)
    costs, why = [], ""
    for answer in asked:
        try:
            costs.append(ray.get(answer, timeout=0))
        except (RayError, GetTimeoutError) as error:
            ray.cancel(answer, force=True)
            why = why or str(error).strip().splitlines()[-1].strip()
    if not costs:
        raise InputError(
            f"what a unit takes cannot be measured: {why}; mend that, or give --trials and --budget"
        )
    return mean_cost(costs)


def time_parts(values: dict[str, object], resources: Resources, optimizer: bool) -> UnitCost:
    """Train and evaluate for some seconds in this process; returns what the parts take.

    Args:
        values: A RunConfig as a dictionary.
        resources: Of one trial.
        optimizer: Whether checkpoints hold the optimizer's moments.
    """
    torch.set_num_threads(max(1, int(resources.cpus)))
    device = torch.device("cuda" if resources.gpus else "cpu")
    config = RunConfig.from_dict(values, "the first trial")
    inputs = open_inputs(config, device)
    run = Run(config, inputs)  # which loads what the later trials of a process have already
    start_seconds = _seconds(lambda: Run(config, inputs), device)
    speed = _tokens_per_second(run)
    part, whole = _evaluation_seconds(run)
    with tempfile.TemporaryDirectory() as folder:
        save_seconds = _seconds(
            lambda: checkpoint.save(run, Path(folder), optimizer=optimizer), device
        )
    return UnitCost(speed, part, whole, save_seconds, start_seconds)


def _tokens_per_second(run: Run) -> float:
    training = run.training
    assert training is not None  # a search has a multitask stage
    run.model.train()
    for _ in range(_WARM_STEPS):
        training.step()
    _wait(run.inputs.device)
    began, before, n = time.perf_counter(), training.tokens, 0
    while n < _STEPS or time.perf_counter() - began < _STEP_SECONDS:
        training.step()
        _wait(run.inputs.device)
        n += 1
    return (training.tokens - before) / (time.perf_counter() - began)


def _evaluation_seconds(run: Run) -> tuple[float, float]:
    """Return the seconds of a part of *select*, and of the whole of *select* and *confirm*."""
    run.model.eval()
    part = whole = 0.0
    for task, rows in run.inputs.corpus.splits["select"].items():
        per_example = _seconds_of_example(run, task, rows)
        part += per_example * min(len(rows), PART_EXAMPLES)
        whole += per_example * (len(rows) + len(run.inputs.corpus.splits["confirm"][task]))
    return part, whole


def _seconds_of_example(run: Run, task: TaskName, rows: Rows) -> float:
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    per_example = math.inf  # the first passes allocate memory
    for n in _EVALUATED:
        some = _with_select(run.inputs.corpus, task, rows, order[:n])
        evaluate = partial(task_probabilities, run.model, run.config, some, "select", task)
        seconds = _seconds(evaluate, run.inputs.device)
        per_example = min(per_example, seconds / min(n, len(rows)))
        if seconds >= _EVALUATION_SECONDS or n >= len(rows):
            break
    return per_example


def _with_select(corpus: Corpus, task: TaskName, rows: Rows, numbers: torch.Tensor) -> Corpus:
    """Return a corpus whose *select* has only these examples of a task."""
    labels = None if rows.labels is None else rows.labels[numbers]
    ids = tuple(rows.ids[number] for number in numbers.tolist())
    own = Rows(rows.starts[:, numbers], rows.lengths[:, numbers], labels, ids)
    return replace(corpus, splits={**corpus.splits, "select": {task: own}})


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    """Wait for a GPU, which computes while Python goes on."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
