"""The one call of `ray.tune.run`; what the search does itself is turned off in Tune."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ray import tune

from search.cluster.local_ray import shut_down
from search.cluster.ray_internals import (
    NoTuneProgress,
    quieten_tune,
    registered,
    withhold_credentials,
)
from search.cluster.slots import Resources
from search.cluster.trackers import Trackers
from search.cluster.tune import (
    METRIC,
    MODE,
    LimitStopper,
    TuneCallback,
    TuneScheduler,
    TuneSearcher,
)
from search.log.folder import SearchFolder
from search.planning.plan import Plan

_ENVIRONMENT = {
    # Our log, TensorBoard files and tables replace Tune's own loggers: fewer files to copy.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",  # Tune's own tables; `verbose=0` silences the old ones
    # Nothing is restored from Tune's snapshots, and each of them holds all trials there were.
    "TUNE_GLOBAL_CHECKPOINT_S": str(10**9),
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Tune's own would wait for the steps of all trials
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


# Names that Tune gives to its snapshots, to a test of the storage, and to pickled errors.
_TUNE_STATE = (
    *("experiment_state-*.json", "search_gen_state-*.json", "basic-variant-state-*.json"),
    *(".validate_storage_marker", "trial_*/error.pkl"),
)


def run_tune(
    trainable: type[tune.Trainable],
    plan: Plan,
    resources: Resources,
    searcher: TuneSearcher,
    scheduler: TuneScheduler,
    callback: TuneCallback,
    stopper: LimitStopper,
    trackers: Trackers,
) -> None:
    """Let Ray Tune run jobs until the searcher or the stopper ends it, or a KeyboardInterrupt.

    A KeyboardInterrupt disconnects from Ray, which ends all trials at once.

    Args:
        trainable: Class of the actors that run jobs.
        plan: Of the search.
        resources: Of one trial.
        searcher: Gives jobs to Tune as its trials.
        scheduler: Decides after each report whether a job goes on.
        callback: Is told what becomes of jobs.
        stopper: Ends the search when a limit is reached.
        trackers: Are closed before Ray is, since some have processes there.
    """
    os.environ.update(_ENVIRONMENT)
    # Tune reads this once, while nodes come and go: the searcher counts instead of it.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(plan.n_trials)
    withhold_credentials()
    quieten_tune()
    try:
        with _libraries_frozen(), registered(trainable) as name:
            tune.run(
                name,
                name=plan.folder.name,
                storage_path=plan.folder.storage,
                metric=METRIC,
                mode=MODE,
                num_samples=-1,  # the searcher says when it is finished
                search_alg=searcher,
                scheduler=scheduler,
                stop=stopper,
                resources_per_trial={"cpu": resources.cpus, "gpu": resources.gpus},
                reuse_actors=True,
                max_failures=0,  # the dispatcher hands a trial out again
                raise_on_failed_trial=False,
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1),
                callbacks=[callback, NoTuneProgress()],
                trial_dirname_creator=lambda trial: (
                    f"trial_{trial.config['trial']:04d}_{trial.trial_id}"
                ),
                verbose=0,
            )
    except KeyboardInterrupt:
        trackers.close()
        shut_down()


def remove_tune_state(folder: SearchFolder) -> None:
    """Remove what Tune has left in a search that is over and that nobody reads.

    Args:
        folder: Of the search. A remote storage is left as it is: to list it takes long, and it has
            no empty folders.
    """
    if folder.is_copied:
        return
    for pattern in _TUNE_STATE:
        for path in folder.local.glob(pattern):
            path.unlink(missing_ok=True)
    for path in folder.local.glob("trial_*"):
        with contextlib.suppress(OSError):  # it holds a checkpoint, or the error of a trial
            path.rmdir()


@contextmanager
def _libraries_frozen() -> Iterator[None]:
    """Let Python's garbage collector skip all present objects, through which it looks for 0.4 s."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
