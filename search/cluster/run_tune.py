"""The one call of `ray.tune.run`; what the search does itself is turned off in Tune."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ray import tune

from search.cluster.ray_internals import (
    NoTuneProgress,
    quieten_tune,
    registered,
    withhold_credentials,
)
from search.cluster.slots import Resources
from search.cluster.tune import (
    METRIC,
    MODE,
    LimitStopper,
    TuneCallback,
    TuneScheduler,
    TuneSearcher,
)
from search.planning.plan import Plan

_ENVIRONMENT = {
    # Our log, TensorBoard files and tables replace Tune's own loggers: fewer files to copy.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",  # Tune's own tables; `verbose=0` silences the old ones
    # Nothing is restored from Tune's snapshots, and each of them holds all trials there were.
    "TUNE_GLOBAL_CHECKPOINT_S": str(10**9),
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


def run_tune(
    trainable: type[tune.Trainable],
    plan: Plan,
    resources: Resources,
    searcher: TuneSearcher,
    scheduler: TuneScheduler,
    callback: TuneCallback,
    stopper: LimitStopper,
) -> None:
    """Let Ray Tune run jobs until the searcher or the stopper ends it.

    Args:
        trainable: Class of the actors that run jobs.
        plan: Of the search.
        resources: Of one trial.
        searcher: Gives jobs to Tune as its trials.
        scheduler: Decides after each report whether a job goes on.
        callback: Is told what becomes of jobs.
        stopper: Ends the search when a limit is reached.
    """
    os.environ.update(_ENVIRONMENT)
    # Tune reads this once, while nodes come and go: the searcher counts instead of it.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(plan.n_trials)
    withhold_credentials()
    quieten_tune()
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


@contextmanager
def _libraries_frozen() -> Iterator[None]:
    """Let Python's garbage collector skip all present objects, through which it looks for 0.4 s."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
