"""One search from options to results; reads like a recipe."""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial

import ray
from ray import tune
from ray.tune import TuneError
from rich.console import Console

from search.cluster.connect import connect
from search.cluster.nodes import Nodes, wait_for_nodes
from search.cluster.preflight.checks import Preflight
from search.cluster.ray_internals import (
    NoTuneProgress,
    quieten_tune,
    registered,
    withhold_credentials,
)
from search.cluster.slots import Resources, resources, servable
from search.cluster.tune import (
    METRIC,
    MODE,
    LimitStopper,
    TuneCallback,
    TuneScheduler,
    TuneSearcher,
)
from search.log.checkpoints import Checkpoints
from search.log.events import EventLog, begin_log, new_event, read_events
from search.log.folder import EVENTS
from search.log.history import History, Journal
from search.log.leaderboard import actor_seconds
from search.log.lock import only_driver
from search.log.mirror import Mirror
from search.log.trial import TrialRecord
from search.loop.dispatcher import Dispatcher
from search.loop.limits import Limits
from search.loop.progress import Progress
from search.loop.watchdog import Watchdog
from search.planning.algorithms import make_scheduler, make_searcher
from search.planning.make_plan import make_plan
from search.planning.options import clock, parse
from search.planning.plan import Plan, describe
from search.planning.resume import changed_versions, check_resumable, header, versions
from search.report.screen import summary
from search.report.tensorboard import TensorBoard
from search.report.write import write_results
from search.searchers.optuna_tpe import STOCK_WARNING
from trainable.errors import InputError
from trainable.worker.ray_trainable import MultitaskTrainable

_ENVIRONMENT = {
    # Our log, TensorBoard files and tables replace Tune's own loggers: fewer files to copy.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",  # Tune's own tables; `verbose=0` silences the old ones
    # Nothing is restored from Tune's snapshots, and each of them holds all trials there were.
    "TUNE_GLOBAL_CHECKPOINT_S": str(10**9),
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}

_FULL = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))


def main(arguments: list[str] | None = None) -> int:
    """Run `search/run.py`; returns the exit status."""
    options = parse(arguments)
    console = Console(highlight=False, soft_wrap=True)
    plan: Plan | None = None
    try:
        plan = make_plan(options)
        if options.dry_run:
            console.print(describe(plan), markup=False)
            return 0
        with only_driver(plan.folder, plan.log_bytes):
            return run_search(plan, console)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (OSError, TuneError) as error:  # Tune wraps what its callbacks raise
        if not any(text in str(error) for text in _FULL):
            raise
        print(f"error: {_full_disk(plan, error)}", file=sys.stderr)
        return 1


def _full_disk(plan: Plan | None, error: Exception) -> str:
    """Say what to do; without a plan the search has not begun."""
    if plan is None:
        return f"{error}; make room, then start the search again"
    return (
        f"{plan.folder.local} is full; nothing that the event log holds is lost: make room, then "
        f"go on with --name {plan.folder.name} --resume"
    )


def run_search(plan: Plan, console: Console) -> int:
    """Run or resume a search and write its results.

    Returns:
        The exit status: 1 if no trial has a score, or if the search could not go on.

    Raises:
        InputError: The cluster cannot serve a trial, or the search cannot be resumed.
    """
    options, started = plan.options, time.monotonic()
    say, notes = partial(console.print, markup=False), list(plan.notes)
    if options.resume:
        check_resumable(plan)
        notes += changed_versions(plan.earlier)
    try:
        say(f"using {connect(options.address)}")
        _end_in_order_on_sigterm()
        wait_for_nodes(say)
        share = resources(options, plan.n_trials)
        say(
            f"search {plan.folder.uri}: {plan.n_trials} trials, {share.max_concurrent} at a time, "
            f"{plan.budget:,} tokens a full run"
        )
        preflight = Preflight(plan.folder, options, share, plan.checkpoint_bytes)
        for note in (*notes, *preflight.check(say)):
            say(note)
        if options.searcher == "tpe":
            say(STOCK_WARNING)
        limits, is_answering = _run_jobs(plan, share, preflight, console)
    finally:
        ray.shutdown()
        _end_in_order_on_sigterm()
    if not is_answering:
        say(
            f"warning: {plan.folder.uri} does not answer; log and results are in "
            f"{plan.folder.local}, where --resume finds them from this machine"
        )
        plan = replace(plan, folder=plan.folder.on_this_machine())
    events = read_events(plan.folder.local / EVENTS)
    history = History(events)
    winner = write_results(plan, history, actor_seconds(events))
    say(f"\nsearch took {clock(time.monotonic() - started)}; results in {plan.folder.uri}")
    if limits.reason:
        say(f"it ended early: {limits.reason}")
    say(summary(plan.folder, options.units, list(history.trials.values()), winner))
    return 1 if winner is None or limits.is_failure else 0


def _end_in_order_on_sigterm() -> None:
    """Let SIGTERM end a search as Ctrl-C does: `ray job stop`, Slurm and Kubernetes send it.

    Ray would exit at once: `ray.init` sets its own handler, and `ray.shutdown` the default.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))


def _open_journal(plan: Plan, share: Resources) -> tuple[Journal, EventLog]:
    """Write how this driver begins, after what an earlier one wrote."""
    path, options = plan.folder.local / EVENTS, plan.options
    places = {"slots": share.max_concurrent, "cpus": share.cpus, "gpus": share.gpus}
    if options.resume:
        log = EventLog(path)
        journal = Journal(plan.earlier, log)
        fields = {"n_trials": plan.n_trials, "versions": versions()}
        journal.write("resumed", options=asdict(options), **fields, **places)
        return journal, log
    first = new_event("search", **places, **header(plan))
    events = [first, *(new_event("imported", **trial) for trial in plan.carried)]
    begin_log(path, events)
    log = EventLog(path)
    return Journal(History(events), log), log


def _run_jobs(
    plan: Plan, share: Resources, preflight: Preflight, console: Console
) -> tuple[Limits, bool]:
    """Let Ray Tune run jobs until nothing is left to do or a limit is reached.

    Returns:
        The limits, and whether the storage still answers.
    """
    journal, log = _open_journal(plan, share)
    options, points = plan.options, list(plan.points)
    scheduler = make_scheduler(options, plan.n_trials, journal.history)
    searcher = make_searcher(options, plan.space, plan.n_trials, plan.rungs)
    dispatcher = Dispatcher(journal, scheduler, searcher, plan.space, points, options.units)

    mirror = Mirror(plan.folder)
    checkpoints = Checkpoints(journal, plan.folder, mirror)
    dispatcher.on_saved = checkpoints.saved
    tensorboard = TensorBoard(plan.folder.local, plan.space.params())
    dispatcher.on_started = dispatcher.on_reported = tensorboard.write

    def closed(trial: TrialRecord) -> None:
        tensorboard.write(trial)
        checkpoints.closed(trial)

    dispatcher.on_closed = closed
    tensorboard.write_all(journal.history)
    dispatcher.settle()

    progress = Progress(dispatcher, options, plan.rungs, console)
    dispatcher.on_left, say = progress.left, progress.say
    limits = Limits(dispatcher, options, share.gpus or share.cpus, say)
    nodes = Nodes(journal, options, share, preflight, limits, say)
    watchdog = Watchdog(
        dispatcher, options, plan.checkpoint_bytes, limits, mirror, lambda: servable(share), say
    )
    try:
        checkpoints.sweep()
        _tune(
            plan,
            share,
            TuneSearcher(dispatcher, plan, nodes, limits),
            TuneScheduler(dispatcher, progress.say),
            TuneCallback(dispatcher, share, [limits, nodes, watchdog, progress]),
            LimitStopper(limits),
        )
        checkpoints.sweep()
    finally:
        dispatcher.interrupt(share.cpus, share.gpus)
        journal.write("closed", reason=limits.reason)
        preflight.close()
        progress.close()
        is_answering = mirror.close()
        log.close()
    return limits, is_answering


@contextmanager
def _libraries_frozen() -> Iterator[None]:
    """Let Python's collector pass over what is there: each look through it takes 0.4 s."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _tune(
    plan: Plan,
    share: Resources,
    searcher: TuneSearcher,
    scheduler: TuneScheduler,
    callback: TuneCallback,
    stopper: LimitStopper,
) -> None:
    """Let Ray Tune ask the searcher for jobs, and run them, until one of these ends it."""
    os.environ.update(_ENVIRONMENT)
    # Read once, and no limit therefore: the searcher knows how many the nodes have room for.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(plan.n_trials)
    withhold_credentials()
    quieten_tune()
    with _libraries_frozen(), registered(MultitaskTrainable) as trainable:
        tune.run(
            trainable,
            name=plan.folder.name,
            storage_path=plan.folder.storage,
            metric=METRIC,
            mode=MODE,
            num_samples=-1,  # the searcher says when it is finished
            search_alg=searcher,
            scheduler=scheduler,
            stop=stopper,
            resources_per_trial={"cpu": share.cpus, "gpu": share.gpus},
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
