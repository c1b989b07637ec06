"""What Ray Tune calls: a searcher, a scheduler, a callback and a stopper around one dispatcher.

To Tune every job is a trial that ends. Tune never pauses a trial or restores a search: the state
that it keeps for that is incomplete (ray-project/ray#30838) and may be torn, and the event log is
neither.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from ray.tune import Callback, Checkpoint, Stopper
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from search.cluster.nodes import Nodes
from search.cluster.ray_internals import drain_node, forget_ended
from search.cluster.slots import Resources
from search.loop.dispatcher import Dispatcher
from search.loop.limits import Limits
from search.planning.plan import Plan
from trainable.tasks import Tasks
from trainable.worker.ray_trainable import report_keys

METRIC, MODE = "score", "max"


class TuneSearcher(Searcher):
    """Hands jobs to Tune as its trials.

    Tune's own limit of concurrent trials is not used: it counts suggestions, and we count slots.

    Args:
        dispatcher: The search.
        plan: Says where checkpoints are.
        nodes: Says how many trials may run at a time, which changes as nodes come and go.
        limits: Say when nothing new may begin.
    """

    def __init__(self, dispatcher: Dispatcher, plan: Plan, nodes: Nodes, limits: Limits) -> None:
        super().__init__(metric=METRIC, mode=MODE)
        self._dispatcher, self._plan, self._nodes, self._limits = dispatcher, plan, nodes, limits

    def suggest(self, trial_id: str) -> Any:
        """Return the config of a job; None: not now; FINISHED: never again."""
        dispatcher = self._dispatcher
        self._limits.look()  # a resumed search may be beyond a limit before it has begun anything
        if self._limits.reached is not None:
            return Searcher.FINISHED
        if len(dispatcher.jobs) >= self._nodes.n_concurrent:
            return None
        job = dispatcher.next_job(trial_id)
        if job is None:
            return Searcher.FINISHED if dispatcher.is_finished else None
        newest_first = sorted(job.trial.checkpoints.items(), reverse=True)
        return {
            "trial": job.trial.number,
            "run_config": json.dumps(job.trial.run_config),  # Tune goes through what is nested
            "storage": self._plan.folder.storage,
            "checkpoints": [f"{self._plan.folder.name}/{path}" for _, path in newest_first],
            "save": self._plan.options.checkpoint,
        }

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Do nothing: `TuneCallback` is told of it, too, with more details."""


class TuneScheduler(FIFOScheduler):
    """Ends a job where the dispatcher says so.

    Args:
        dispatcher: The search.
        tasks: Its tasks.
        say: Prints a line.
    """

    def __init__(self, dispatcher: Dispatcher, tasks: Tasks, say: Callable[[str], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._dispatcher, self._say = dispatcher, say
        self._report_keys = report_keys(tasks)
        self._drained: set[str] = set()  # Ray's ids of nodes

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Return the oldest job that waits for a slot.

        Tune's own goes through all trials that ever were, at every event: at 10,000 trials that is
        the largest part of the driver's work.
        """
        forget_ended(tune_controller)
        live = {trial.trial_id: trial for trial in tune_controller.get_live_trials()}
        jobs = (live.get(id) for id in self._dispatcher.jobs)
        return next((trial for trial in jobs if trial and trial.status == Trial.PENDING), None)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Record a report, and decide whether its job goes on."""
        job = self._dispatcher.jobs.get(trial.trial_id)
        if job is None:  # the report is late: the job has ended already
            return TrialScheduler.STOP
        job.node = str(result.get("node_ip", ""))
        for path, error in result["lost"]:
            self._dispatcher.lost(trial.trial_id, path.partition("/")[2], error)
        if reason := result["leaving"]:
            self._dispatcher.leaving(trial.trial_id, result["unit"], reason)
            self._drain(result["node"], reason, result["deadline"])
            return TrialScheduler.CONTINUE
        metrics = {key: float(result[key]) for key in self._report_keys}
        goes_on = self._dispatcher.reported(
            trial.trial_id, result["unit"], metrics, result["failure"]
        )
        return TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP

    def _drain(self, node: str, reason: str, deadline: float) -> None:
        """Ask Ray, once for each node, to start nothing more on it.

        Where Ray refuses the search goes on: trials that start there leave the node again.
        """
        if node in self._drained:
            return
        self._drained.add(node)
        if problem := drain_node(node, reason, deadline):
            self._say(f"warning: node {node} gets trials until it is gone: {problem}")


class Watcher(Protocol):
    """Is called after every event of Tune's loop, and decides itself how often it acts."""

    def look(self) -> None:
        """Do what is due, if anything is."""


class TuneCallback(Callback):
    """Tells the dispatcher what becomes of jobs, and calls the watchers.

    Args:
        dispatcher: The search.
        resources: Of one trial.
        watchers: In the order in which they are called.
    """

    def __init__(
        self, dispatcher: Dispatcher, resources: Resources, watchers: Sequence[Watcher]
    ) -> None:
        self._dispatcher, self._resources, self._watchers = dispatcher, resources, watchers

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Tell that a job starts, or starts again after its worker was lost."""
        self._dispatcher.started(trial.trial_id)

    def on_checkpoint(
        self,
        iteration: int,
        trials: list[Trial],
        trial: Trial,
        checkpoint: Checkpoint,
        **info: Any,
    ) -> None:
        """Tell that a job saved a checkpoint."""
        path = Path(checkpoint.path)
        self._dispatcher.saved(trial.trial_id, f"{path.parent.name}/{path.name}")

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Tell that a job ended."""
        self._dispatcher.left(trial.trial_id, self._resources.cpus, self._resources.gpus)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Tell that an attempt failed, and that Tune will not try again."""
        error = error_of(trial)
        self._dispatcher.left(trial.trial_id, self._resources.cpus, self._resources.gpus, error)

    def on_trial_recover(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Tell that an attempt failed, and that Tune repeats it from the last checkpoint."""
        self._dispatcher.failed(trial.trial_id, error_of(trial))

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        """Call the watchers, after every event of Tune's loop."""
        for watcher in self._watchers:
            watcher.look()


class LimitStopper(Stopper):
    """Ends Tune's loop when a limit is reached.

    Args:
        limits: Say whether the search is over.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return False: a single trial is never ended here."""
        return False

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles this into a snapshot that nobody reads."""
        return {}

    def stop_all(self) -> bool:
        """Return whether the search is over."""
        return self._limits.reached is not None


def error_of(trial: Trial) -> str:
    """Return the last line of the traceback that Tune kept, which says what went wrong."""
    error = trial.get_pickled_error()  # None where the actor died without raising
    text = "" if error is None else str(error)
    if not text and trial.error_file:
        text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"{type(error).__name__} without a message"
