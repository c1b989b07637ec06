"""The Ray Tune `Trainable` around one run. Only this file and `tune_storage` know Ray.

Actors stay warm: encoder, data and the process outlive a trial, and the next trial costs a copy of
the weights. `step()` is one unit. What may happen, and what follows:

    a loss that is not a number, out of memory   the trial ends, marked failed, with the worst score
    a run that cannot be started                 the search tries again, then marks it failed
    a lost worker or node                        the search hands the trial out again
    a storage that does not answer               is asked again, for half a minute
    a checkpoint that cannot be read             is reported; the one before it is taken, else none
    notice that a spot machine is taken away     between two steps the trial reports that it leaves;
                                                 its checkpoint is saved, the actor ends, and the
                                                 search lets it go on elsewhere: no step is repeated
                                                 (a stage before the tasks begins anew)
"""

from __future__ import annotations

import gc
import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from trainable.errors import InputError
from trainable.learning import learning_keys
from trainable.metrics import score_keys, worst_score
from trainable.run_config import RunConfig
from trainable.stages.pretraining_loop import StageFailed
from trainable.tasks import Tasks
from trainable.training import checkpoint
from trainable.training.inputs import InputsSpec, RunInputs, open_inputs
from trainable.training.loop import Run, RunFailed, RunLeft
from trainable.training.predictions import PREDICTIONS, Found, write_probabilities
from trainable.training.step import step_metrics
from trainable.worker.release_memory import release_memory
from trainable.worker.scratch import use_scratch
from trainable.worker.spot_notice import SpotWatcher, watch_spot
from trainable.worker.tune_storage import save_in_place, stored_checkpoint

log = logging.getLogger(__name__)

# These belong to the trial itself. Any other failure is the machine's, and the trial is repeated.
_TRIAL_FAILURES = (RunFailed, StageFailed, torch.OutOfMemoryError, MemoryError)
_PAUSES = (5.0, 30.0)  # seconds until a checkpoint that is there is read again


def report_keys(tasks: Tasks) -> tuple[str, ...]:
    """Return the numbers that every report has, NaN where they are not known."""
    keys = score_keys(tasks)
    return (
        *keys,
        *(f"confirm_{key}" for key in keys),
        *learning_keys(tasks),
        *step_metrics(tasks),
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

    # What the last trial read, and where that came from.
    _inputs: RunInputs | None = None
    _source: InputsSpec | None = None
    _spot: SpotWatcher | None = None

    def setup(self, config: dict[str, Any]) -> None:
        """Start the first trial of this actor."""
        resources = self.trial_resources.required_resources if self.trial_resources else {}
        torch.set_num_threads(max(1, int(resources.get("CPU", 1))))
        # A GPU that the trial did not ask for belongs to somebody else.
        self._device = torch.device("cuda" if resources.get("GPU", 0) else "cpu")
        use_scratch()
        self._spot = watch_spot()
        self._start(config)

    def cleanup(self) -> None:
        """End what `setup` began, when this actor ends."""
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
        self._has_left = self._has_failed = False
        self._save_optimizer = config.get("save", "full") == "full"
        self.start_error: Exception | None = None
        try:
            release_memory()
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
            gc.unfreeze()  # else the memory of the earlier inputs would not be freed
            self._inputs = open_inputs(config, self._device)
            self._source = InputsSpec.of(config)
        return Run(config, self._inputs)

    def _continued(self, run_config: RunConfig, config: dict[str, Any]) -> Run | None:
        """Return a run that goes on from the newest checkpoint that can be read, if any can."""
        for path in config.get("checkpoints", ()):
            run = self._new_run(run_config)
            try:
                _load_stored(run, config["storage"], path)
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
            table = self._run.config.table
            worst = dict.fromkeys(score_keys(table), worst_score(table))
            self._run.model.zero_grad(set_to_none=True)
            self._has_failed = True
            release_memory()
            return self._report({**worst, "failure": message})

    def _leave_if_noticed(self, *progress: Any) -> None:
        """Raise `RunLeft` if the machine is about to be taken away; called between two steps."""
        if self._spot is not None and self._spot.notice is not None:
            raise RunLeft(str(self._spot.notice))

    def _leaving(self) -> dict[str, Any]:
        """Return why the trial leaves, the id of its node, and when the node ends."""
        assert self._spot is not None
        assert self._spot.notice is not None
        node = ray.get_runtime_context().get_node_id()
        notice = self._spot.notice
        return {"leaving": str(notice), "node": node, "deadline": notice.deadline}

    def _unit(self, run: Run) -> dict[str, Any]:
        """Return the metrics of one unit, on a part of *select*.

        After the last unit they are on all of *select*, and with the *confirm* scores.
        """
        metrics: dict[str, Any] = run.train_unit(self._leave_if_noticed)
        started = time.perf_counter()
        part = None if run.done else run.inputs.corpus.select_part
        found = run.probabilities("select", part)
        scored = run.score("select", found, part)
        scored |= run.learning("select", found, scored, part)
        run.refuse_broken(scored)
        metrics |= scored
        if run.done:
            # What a finished run says of each example is kept: the report looks at it.
            self._found = {"select": found, "confirm": run.probabilities("confirm")}
            confirm = run.score("confirm", self._found["confirm"])
            metrics |= {f"confirm_{key}": value for key, value in confirm.items()}
        return metrics | {"eval_seconds": time.perf_counter() - started}

    def _report(self, metrics: dict[str, Any]) -> dict[str, Any]:
        """Return a result with all keys: Tune ends the whole search where one is missing."""
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
        return dict.fromkeys(report_keys(run.config.data.table), math.nan) | own | metrics

    def save(self, checkpoint_dir: str | None = None) -> Any:
        """Save as Tune does, but where the storage is a folder, directly to it."""
        saved = save_in_place(self) if checkpoint_dir is None else None
        return super().save(checkpoint_dir) if saved is None else saved

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write safetensors and JSON; returns None, so that Ray pickles nothing.

        The moments of the optimizer are left out of a run that is over: nothing goes on from it.
        Of a run that failed nothing is written.
        """
        started = time.perf_counter()
        if self._run is not None and not self._has_failed:
            optimizer = self._save_optimizer and not self._run.done
            checkpoint.save(self._run, Path(checkpoint_dir), optimizer=optimizer)
            if self._run.done and self._found:
                write_probabilities(self._run, Path(checkpoint_dir) / PREDICTIONS, self._found)
        self.save_seconds = time.perf_counter() - started

    def load_checkpoint(self, checkpoint_dir: str) -> None:  # type: ignore[override]
        """Load the state of a checkpoint; Tune calls this where a node was drained."""
        if self._run is not None:  # else the next step raises what went wrong
            checkpoint.load(self._run, Path(checkpoint_dir))


def _load_stored(run: Run, storage: str, path: str) -> None:
    """Load a checkpoint, also from a storage that does not answer for a moment.

    Args:
        run: A run of the same RunConfig that has not begun.
        storage: Folder or URI of searches.
        path: Of the checkpoint, below `storage`.

    Raises:
        InputError: The checkpoint is damaged, or of another run.
        OSError: It is not there, or the storage does not answer.
    """
    for pause in (*_PAUSES, None):
        try:
            with stored_checkpoint(storage, path).as_directory() as folder:
                checkpoint.load(run, Path(folder))
            return
        except OSError as error:
            if pause is None or isinstance(error, FileNotFoundError):
                raise
            log.warning("checkpoint %s is read again in %.0f s: %s", path, pause, error)
            time.sleep(pause)
