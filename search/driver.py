"""One search from options to results; reads like a recipe."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

import ray
from ray import tune
from rich.console import Console

from search.callback import SearchCallback
from search.cluster import Resources, connect, resources
from search.curves import TensorBoard
from search.events import EventLog, read_events
from search.export import write_results
from search.options import parse
from search.plan import Plan, describe, make_plan
from search.progress import Progress, clock, summary
from search.results import TrialRecord, actor_seconds, records
from search.resume import check_resumable, header
from search.scheduler import make_scheduler
from search.searcher import METRIC, MODE, make_searcher
from search.storage import EVENTS
from trainable.errors import InputError
from trainable.ray_trainable import MultitaskTrainable

_MAX_FAILURES = 3  # of the machine, per trial; a failed training is not repeated


def main(arguments: list[str] | None = None) -> int:
    """Run `search/run.py`; returns the exit status."""
    options = parse(arguments)
    console = Console(highlight=False, soft_wrap=True)
    try:
        plan = make_plan(options)
        if options.dry_run:
            console.print(describe(plan), markup=False)
            return 0
        return run_search(plan, console)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def run_search(plan: Plan, console: Console) -> int:
    """Run or resume a search and write its results; returns the exit status.

    Raises:
        InputError: The cluster cannot serve a trial, or the search cannot be resumed.
    """
    options, events_path = plan.options, plan.folder.local / EVENTS
    earlier: list[TrialRecord] = []
    if options.resume:
        check_resumable(plan)
        earlier = records(read_events(events_path))
    started = time.monotonic()
    try:
        console.print(f"using {connect(options.address)}")
        share = resources(options, plan.n_trials)
        console.print(
            f"search {plan.folder.uri}: {plan.n_trials} trials, {share.max_concurrent} at a time, "
            f"{plan.budget:,} tokens a full run",
            markup=False,
        )
        for note in plan.notes:
            console.print(note, markup=False)
        _run_tune(plan, share, earlier, events_path, console)
    finally:
        ray.shutdown()
    events = read_events(events_path)
    trials = records(events)
    winner = write_results(plan, trials, actor_seconds(events))
    console.print(
        f"\nsearch took {clock(time.monotonic() - started)}; results in {plan.folder.uri}",
        markup=False,
    )
    console.print(summary(plan, trials, winner), markup=False)
    return 0 if winner else 1


def _run_tune(
    plan: Plan, share: Resources, earlier: list[TrialRecord], events_path: Path, console: Console
) -> None:
    """The part that Ray Tune does."""
    options = plan.options
    # Our log, TensorBoard files and tables replace Tune's own loggers: fewer files to copy.
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # Tune's own tables; `verbose=0` silences the old ones
    log = EventLog(events_path)
    if options.resume:
        log.append("resumed", slots=share.max_concurrent, options=asdict(options))
    else:
        log.append("search", slots=share.max_concurrent, **header(plan))
    scheduler = make_scheduler(plan, earlier)
    callback = SearchCallback(
        log,
        TensorBoard(plan.folder.local, plan.space.params()),
        Progress(plan, console),
        scheduler,
        earlier,
    )
    try:
        tune.run(
            MultitaskTrainable,
            name=plan.folder.name,
            storage_path=plan.folder.storage,
            metric=METRIC,
            mode=MODE,
            num_samples=plan.n_trials,
            search_alg=make_searcher(plan),
            scheduler=scheduler,
            max_concurrent_trials=share.max_concurrent,
            resources_per_trial={"cpu": share.cpus, "gpu": share.gpus},
            reuse_actors=True,
            time_budget_s=plan.time_limit,
            max_failures=_MAX_FAILURES,
            raise_on_failed_trial=False,
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1, num_to_keep=2),
            callbacks=[callback],
            trial_dirname_creator=lambda trial: f"trial_{trial.trial_id}",
            resume=options.resume,
            verbose=0,
        )
    finally:
        callback.close()
        log.append("closed")
        log.close()
