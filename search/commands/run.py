"""The command line of search/run.py: one search, from its options to its results."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from dataclasses import replace
from functools import partial

import ray
from ray.tune import TuneError
from rich.console import Console

from search.cluster.connect import connect
from search.cluster.nodes import Nodes, wait_for_nodes
from search.cluster.preflight.checks import Preflight
from search.cluster.run_tune import run_tune
from search.cluster.slots import Resources, any_node_fits, resolve_resources
from search.cluster.tune import LimitStopper, TuneCallback, TuneScheduler, TuneSearcher
from search.commands.open_journal import open_journal
from search.log.checkpoints import Checkpoints
from search.log.events import read_events
from search.log.folder import EVENTS
from search.log.history import History
from search.log.leaderboard import actor_seconds
from search.log.lock import only_driver
from search.log.mirror import Mirror
from search.loop.dispatcher import Dispatcher
from search.loop.limits import Limits
from search.loop.progress import Progress
from search.loop.watchdog import Watchdog
from search.planning.algorithms import make_scheduler, make_searcher
from search.planning.amounts import clock
from search.planning.make_plan import make_plan
from search.planning.options import parse
from search.planning.plan import Plan, describe
from search.planning.resume import changed_versions, check_resumable
from search.report.screen import summary
from search.report.tensorboard import TensorBoard
from search.report.write import write_results
from search.searchers.optuna_tpe import TPE_NOTE
from trainable.errors import InputError
from trainable.worker.ray_trainable import MultitaskTrainable

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
    """Return the message of a full disk; where there is no plan the search has not begun."""
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
        resources = resolve_resources(options, plan.n_trials)
        say(
            f"search {plan.folder.uri}: {plan.n_trials} trials, {resources.max_concurrent} at a "
            f"time, {plan.budget:,} tokens a full run"
        )
        preflight = Preflight(plan.folder, options, resources, plan.checkpoint_bytes)
        for note in (*notes, *preflight.check(say)):
            say(note)
        if options.searcher == "tpe":
            say(TPE_NOTE)
        limits, is_answering = _run_jobs(plan, resources, preflight, console)
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


def _run_jobs(
    plan: Plan, resources: Resources, preflight: Preflight, console: Console
) -> tuple[Limits, bool]:
    """Let Ray Tune run jobs until nothing is left to do or a limit is reached.

    Returns:
        The limits, and whether the storage still answers.
    """
    journal, log = open_journal(plan, resources)
    options, points = plan.options, list(plan.points)
    scheduler = make_scheduler(options, plan.n_trials, journal.history)
    searcher = make_searcher(options, plan.space, plan.n_trials, plan.rungs)
    dispatcher = Dispatcher(journal, scheduler, searcher, plan.space, points, options.units)

    mirror = Mirror(plan.folder)
    checkpoints = Checkpoints(journal, plan.folder, mirror)
    dispatcher.on_saved, dispatcher.on_closed = checkpoints.saved, checkpoints.closed
    tensorboard = TensorBoard(plan.folder.local, plan.space.params())
    dispatcher.on_started = dispatcher.on_reported = tensorboard.write
    tensorboard.write_all(journal.history)
    dispatcher.settle()

    progress = Progress(dispatcher, options, plan.rungs, console)
    dispatcher.on_left = dispatcher.on_stopped = progress.left
    say = progress.say
    limits = Limits(dispatcher, options, resources.gpus or resources.cpus, say)
    nodes = Nodes(journal, options, resources, preflight, limits, say)
    fits = partial(any_node_fits, resources)
    watchdog = Watchdog(dispatcher, options, plan.checkpoint_bytes, limits, mirror, fits, say)
    try:
        checkpoints.sweep()
        run_tune(
            MultitaskTrainable,
            plan,
            resources,
            TuneSearcher(dispatcher, plan, nodes, limits),
            TuneScheduler(dispatcher, progress.say),
            TuneCallback(dispatcher, resources, [limits, nodes, watchdog, progress]),
            LimitStopper(limits),
        )
        checkpoints.sweep()
    finally:
        dispatcher.interrupt(resources.cpus, resources.gpus)
        journal.write("closed", reason=limits.reason)
        preflight.close()
        progress.close()
        is_answering = mirror.close()
        log.close()
    return limits, is_answering
