"""The command line of search/run.py: one search, from its options to its results."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pyarrow
from ray.tune import TuneError
from rich.console import Console

from search.cluster.connect import connect
from search.cluster.local_ray import shut_down
from search.cluster.measure import measure
from search.cluster.nodes import wait_for_nodes
from search.cluster.preflight.checks import Preflight
from search.cluster.run_tune import remove_tune_state
from search.cluster.slots import Resources, resolve_resources
from search.cluster.trackers import check_trackers
from search.commands.run_jobs import run_jobs
from search.log.events import read_events
from search.log.folder import EVENTS
from search.log.history import History
from search.log.lock import only_driver
from search.loop.interruption import Interruption, SearchConsole
from search.loop.limits import Limits
from search.planning.amounts import clock
from search.planning.describe import describe
from search.planning.finalist_runs import more_runs
from search.planning.fit_limit import fit_limit, usual_configs
from search.planning.make_plan import make_plan
from search.planning.options import parse
from search.planning.past_forecast import how_good
from search.planning.plan import Plan, is_left_to_choose
from search.planning.recorded_search import recorded_search
from search.planning.resume import changed_versions, check_resumable
from search.planning.unit_times import KnownBefore, measured_before
from search.report.ablation_table import ablation_rows, ablation_text
from search.report.logged_search import LoggedSearch
from search.report.screen import summary
from search.report.write import write_results
from search.searchers.optuna_tpe import TPE_NOTE
from trainable.errors import InputError, is_full_disk


def main(arguments: list[str] | None = None, prog: str = "search/run.py") -> int:
    """Run `search/run.py`; returns the exit status."""
    options = parse(arguments, prog)
    console = SearchConsole(highlight=False, soft_wrap=True)
    plan: Plan | None = None
    try:
        if not options.dry_run:
            check_trackers(options)
        plan = make_plan(options)
        if options.dry_run:
            if options.resume:
                check_resumable(plan)
            print(describe(plan))
            return 0
        with only_driver(plan.folder, plan.log_bytes):
            return run_search(plan, console)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (OSError, TuneError) as error:  # Tune wraps what its callbacks raise
        if not is_full_disk(error):
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
        KeyboardInterrupt: Ctrl-C or SIGTERM, before the search has begun.
    """
    started, say = time.monotonic(), partial(console.print, markup=False)
    with Interruption("stopping: writing results") as interruption:
        try:
            plan, limits, not_stored = _run_trials(plan, console, interruption, started)
        finally:
            shut_down()
            interruption.install()
        if not_stored:
            plan = _on_this_machine(plan, not_stored, say)
        remove_tune_state(plan.folder)
        history = History(read_events(plan.folder.local / EVENTS))
        winner = write_results(plan, history)
        try:
            plan.folder.publish()
        except (OSError, pyarrow.ArrowException) as error:
            if is_full_disk(error):
                raise
            not_stored = f"did not take the results ({error})"
            plan = _on_this_machine(plan, not_stored, say)
        say(f"\nsearch took {clock(time.monotonic() - started)}; results in {plan.folder.uri}")
        if limits.reason:
            say(f"it ended early: {limits.reason}")
        if history.race is not None and not history.race.is_over:
            say("the finalists are not done; the same command with --name and --resume goes on")
        if line := how_good(history):
            say(line)
        trials = list(history.trials.values())
        say(summary(plan, trials, winner))
        if rows := ablation_rows(LoggedSearch(plan.folder.name, history)):
            say(f"\n{ablation_text(rows)}")
    return 1 if winner is None or limits.is_failure or not_stored else 0


def _on_this_machine(plan: Plan, why: str, say: Callable[[str], None]) -> Plan:
    """Say why the storage has not all of a search; returns the plan as one of this machine."""
    say(
        f"warning: {plan.folder.uri} {why}; log and results are in {plan.folder.local}, where "
        f"--resume finds them from this machine"
    )
    return replace(plan, folder=plan.folder.on_this_machine())


def _run_trials(
    plan: Plan, console: Console, interruption: Interruption, started: float
) -> tuple[Plan, Limits, str]:
    """Connect to Ray, look at its nodes, and run all trials.

    Args:
        plan: Of the search; trials and budget may be left to choose.
        console: Where to print.
        interruption: Of the search by a signal.
        started: When the search began, in seconds of the monotonic clock.

    Returns:
        The plan, with what was chosen for the time limit; the limits; and why nothing more may be
        written to the storage, or nothing.
    """
    options, say = plan.options, partial(console.print, markup=False)
    if options.resume:
        check_resumable(plan)
    say(f"using {connect(options.address)}")
    interruption.install()
    wait_for_nodes(say)
    is_open = is_left_to_choose(options)
    resources = resolve_resources(options, sys.maxsize if is_open else plan.n_trials)
    preflight = Preflight(plan.folder, options, resources, plan.checkpoint_bytes)
    notes = preflight.check(say)
    measured: KnownBefore | None = None
    if is_open:
        plan, resources, measured = _fit_limit(plan, resources, started, say)
    say(
        f"search {plan.folder.uri}: {plan.n_trials} trials, {resources.max_concurrent} at a "
        f"time, {plan.budget:,} tokens a full run{more_runs(plan.finalist_runs)}"
    )
    changed = changed_versions(plan.earlier) if options.resume else []
    for note in (*plan.notes, *changed, *notes):
        say(note)
    if options.searcher == "tpe":
        say(TPE_NOTE)
    interruption.defer()
    spent = time.monotonic() - started
    known = recorded_search(plan, resources.cpus, resources.gpus) if measured is None else measured
    limits, not_stored = run_jobs(plan, resources, preflight, interruption, console, spent, known)
    return plan, limits, not_stored


def _fit_limit(
    plan: Plan, resources: Resources, started: float, say: Callable[[str], None]
) -> tuple[Plan, Resources, KnownBefore]:
    """Measure what a trial takes, and choose trials and budget for what is left of the limit."""
    optimizer = plan.options.checkpoint == "full"
    say("measuring what trials take, to choose --trials and --budget for --time-limit")
    cost = measure(usual_configs(plan), resources, optimizer=optimizer)
    spent = time.monotonic() - started
    plan, chosen = fit_limit(plan, spent, resources.max_concurrent, cost)
    say(chosen)
    resources = replace(resources, max_concurrent=min(resources.max_concurrent, plan.n_trials))
    return plan, resources, measured_before(cost, plan.budget / plan.options.units)
