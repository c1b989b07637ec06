"""The Ray Tune `Trainable` around one run: with `tune_storage` all of this package that knows Ray.

Actors stay warm: encoder, data and the process outlive a trial, and the next trial costs a copy of
the weights. `step()` is one unit. What a user may meet, and what happens:

    a loss that is not a number, out of memory   the trial ends, marked failed, with the worst score
    a run that cannot be started                 the search tries again, then marks it failed
    a lost worker or node                        the search hands the trial out again
    a checkpoint that cannot be read             is reported; the one before it is taken, else none
    notice that a spot machine is taken away     between two steps the trial reports that it leaves;
                                                 its checkpoint is saved, the actor ends, and the
                                                 search lets it go on elsewhere: no step is repeated
                                                 (a stage before the tasks begins anew)
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import pyarrow.fs
import ray
import torch
from ray import tune

from trainable.errors import InputError
from trainable.metrics import SCORE_KEYS, WORST_SCORE
from trainable.run_config import RunConfig
from trainable.stages.pretraining_loop import StageFailed
from trainable.training import checkpoint
from trainable.training.inputs import InputsSpec, RunInputs, open_inputs
from trainable.training.loop import Run, RunFailed, RunLeft
from trainable.training.predictions import LABELLED, PREDICTIONS, Found, write_probabilities
from trainable.training.step import STEP_METRICS
from trainable.worker.scratch import use_scratch
from trainable.worker.spot_notice import SpotWatcher, watch_spot
from trainable.worker.tune_storage import save_in_place

log = logging.getLogger(__name__)

# Every report has all of these numbers, NaN where they are not known.
NUMBERS = (
    *SCORE_KEYS,
    *(f"confirm_{key}" for key in SCORE_KEYS),
    *STEP_METRICS,
    "unit",
    "tokens",
    "steps",
    "prefix_seconds",
    "train_seconds",
    "eval_seconds",
    "start_seconds",
    "save_seconds",
    "peak_memory_bytes",
)
# One failure of the machine must not cost the trial; these belong to the trial itself.
_TRIAL_FAILURES = (RunFailed, StageFailed, torch.OutOfMemoryError, MemoryError)


class NodeLeaving(RuntimeError):
    """The machine is about to be taken away, and the trial has left it."""


class MultitaskTrainable(tune.Trainable):
    """One minBERT multitask run as a Tune trial.

    Config keys:
        run_config: A RunConfig as a dictionary, or that as JSON: Tune copies and flattens every
            value of a config for each trial and result.
        storage: Folder or URI of searches.
        checkpoints: Paths below it to go on from, newest first; without any the run starts anew.
        save: `full`, or `weights` for checkpoints without the optimizer's moments.
    """

    # The last trial's inputs, and what it was made from.
    _inputs: RunInputs | None = None
    _source: InputsSpec | None = None
    _spot: SpotWatcher | None = None

    def setup(self, config: dict[str, Any]) -> None:
        """Start the first trial of this actor."""
        share = self.trial_resources.required_resources if self.trial_resources else {}
        torch.set_num_threads(max(1, int(share.get("CPU", 1))))
        # A GPU that the trial did not ask for belongs to somebody else.
        self._device = torch.device("cuda" if share.get("GPU", 0) else "cpu")
        use_scratch()
        self._spot = watch_spot()
        self._start(config)

    def cleanup(self) -> None:
        """Called at the end of this actor."""
        if self._spot is not None:
            self._spot.stop()
        gc.unfreeze()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start another trial in this actor.

        Never returns False and never raises: Tune would lose the trial or wait for ever. What goes
        wrong is raised by the next `step`, where Tune counts it as a failure of the trial.
        """
        self._start(new_config)
        return True

    def _start(self, config: dict[str, Any]) -> None:
        started = time.perf_counter()
        self._run: Run | None = None
        self._found: Found = {}
        self._lost: list[tuple[str, str]] = []
        self._has_left = False
        self._save_optimizer = config.get("save", "full") == "full"
        self.start_error: Exception | None = None
        try:
            _release_memory()
            values = config["run_config"]
            values = json.loads(values) if isinstance(values, str) else values
            run_config = RunConfig.from_dict(values, "trial")
            self._run = self._continued(run_config, config) or self._new_run(run_config)
        except Exception as error:  # kept, and raised by step(): see reset_config
            log.exception("the trial could not be started")
            self.start_error = error
        self.start_seconds = time.perf_counter() - started
        self.save_seconds = 0.0

    def _new_run(self, config: RunConfig) -> Run:
        if self._inputs is None or self._source != InputsSpec.of(config):
            gc.unfreeze()  # else the other one would stay
            self._inputs = open_inputs(config, self._device)
            self._source = InputsSpec.of(config)
        return Run(config, self._inputs)

    def _continued(self, run_config: RunConfig, config: dict[str, Any]) -> Run | None:
        """Return a run that goes on from the newest checkpoint that can be read, if any can."""
        for path in config.get("checkpoints", ()):
            run = self._new_run(run_config)
            try:
                with _stored(config["storage"], path).as_directory() as folder:
                    checkpoint.load(run, Path(folder))
            except (OSError, InputError) as error:
                log.warning("checkpoint %s could not be read: %s", path, error)
                self._lost.append((path, str(error)))
            else:
                return run
        return None

    def step(self) -> dict[str, Any]:
        """Train one unit, evaluate on *select*, and report every key.

        Where the machine is about to be taken away, it reports `leaving` and the state between two
        steps. The next step fails: an actor whose trial ended well would be used again.

        Without Tune's `done`: that would end the trial before the scheduler has seen the report.
        """
        if self.start_error is not None:
            raise self.start_error
        assert self._run is not None
        if self._has_left:
            raise NodeLeaving("the trial has left this machine")
        if self._run.done:
            raise RuntimeError(f"the run is over after unit {self._run.units}")
        try:
            self._leave_if_noticed()
            return self._report(self._unit(self._run))
        except RunLeft:
            self._has_left = True
            return self._report(self._leaving())
        except _TRIAL_FAILURES as error:
            log.warning("the trial failed: %s", error)
            message = f"{type(error).__name__}: {error}"
            worst = dict.fromkeys(SCORE_KEYS, WORST_SCORE)
            self._run.model.zero_grad(set_to_none=True)
            _release_memory()
            return self._report({**worst, "failure": message})

    def _leave_if_noticed(self, *progress: Any) -> None:
        """Called between two steps."""
        if self._spot is not None and self._spot.notice is not None:
            raise RunLeft(str(self._spot.notice))

    def _leaving(self) -> dict[str, Any]:
        """Return why the trial leaves, which node, and when that ends; Tune flattens results."""
        assert self._spot is not None
        assert self._spot.notice is not None
        node = ray.get_runtime_context().get_node_id()
        notice = self._spot.notice
        return {"leaving": str(notice), "node": node, "deadline": notice.deadline}

    def _unit(self, run: Run) -> dict[str, Any]:
        """Return the numbers of one unit; with the *confirm* scores after the last one."""
        metrics: dict[str, Any] = run.train_unit(self._leave_if_noticed)
        started = time.perf_counter()
        # What a finished run says of each example is kept: the report looks at it.
        splits = LABELLED if run.done else ("select",)
        self._found = {split: run.probabilities(split) for split in splits}
        metrics |= run.score("select", self._found["select"])
        broken = [key for key in SCORE_KEYS if not math.isfinite(metrics[key])]
        if broken:
            raise RunFailed(f"{broken[0]} is {metrics[broken[0]]} in unit {run.units}")
        if run.done:
            confirm = run.score("confirm", self._found["confirm"])
            metrics |= {f"confirm_{key}": value for key, value in confirm.items()}
        return metrics | {"eval_seconds": time.perf_counter() - started}

    def _report(self, metrics: dict[str, Any]) -> dict[str, Any]:
        """Return all keys: a result that lacks one would end the whole search in Tune."""
        run = self._run
        assert run is not None
        own = {
            "unit": run.units,
            "tokens": run.tokens,
            "steps": run.steps,
            "start_seconds": self.start_seconds,
            "save_seconds": self.save_seconds,
            "failure": "",
            "lost": self._lost,
            "leaving": "",
        }
        self._lost = []
        if torch.cuda.is_available():
            own["peak_memory_bytes"] = torch.cuda.max_memory_allocated()
        return dict.fromkeys(NUMBERS, math.nan) | own | metrics

    def save(self, checkpoint_dir: str | None = None) -> Any:
        """As Tune's own, but straight to where the checkpoint stays, if that is a folder."""
        saved = save_in_place(self) if checkpoint_dir is None else None
        return super().save(checkpoint_dir) if saved is None else saved

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write safetensors and JSON; returns None, so that Ray pickles nothing.

        Of a run that is over, no moments of the optimizer: nothing goes on from there.
        """
        started = time.perf_counter()
        if self._run is not None:
            optimizer = self._save_optimizer and not self._run.done
            checkpoint.save(self._run, Path(checkpoint_dir), optimizer=optimizer)
            if self._run.done and self._found:
                write_probabilities(self._run, Path(checkpoint_dir) / PREDICTIONS, self._found)
        self.save_seconds = time.perf_counter() - started

    def load_checkpoint(self, checkpoint_dir: str) -> None:  # type: ignore[override]
        """Go on where the checkpoint was written: Tune's way, where a node was drained."""
        if self._run is not None:  # else the next step raises what went wrong
            checkpoint.load(self._run, Path(checkpoint_dir))


def _release_memory() -> None:
    """Give what earlier trials freed back to the GPU and to the machine."""
    gc.collect()
    # What is left stays: libraries, encoder, data. To look through it at every switch takes 0.3 s.
    gc.freeze()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    # glibc keeps freed blocks between those in use: gigabytes after fifty trials on the CPU.
    with contextlib.suppress(AttributeError, OSError):  # another libc has no such function
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _stored(storage: str, path: str) -> tune.Checkpoint:
    """Return a checkpoint below a folder or URI."""
    if "://" not in storage:
        return tune.Checkpoint(str(Path(storage) / path))
    filesystem, root = pyarrow.fs.FileSystem.from_uri(storage)
    return tune.Checkpoint(f"{root.rstrip('/')}/{path}", filesystem)
