"""The trials of a search: Ray Tune runs its jobs, and log, files and limits follow what they do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pyarrow
from rich.console import Console

from search.cluster.nodes import Nodes
from search.cluster.preflight.checks import Preflight
from search.cluster.run_tune import run_tune
from search.cluster.slots import Resources, any_node_fits
from search.cluster.trackers import Trackers, open_trackers
from search.cluster.tune import LimitStopper, TuneCallback, TuneScheduler, TuneSearcher, Watcher
from search.commands.open_journal import open_journal
from search.log.checkpoints import Checkpoints
from search.log.mirror import Mirror
from search.log.trial import TrialRecord
from search.loop.dispatcher import Dispatcher
from search.loop.finalists import Finalists
from search.loop.forecast import Forecaster
from search.loop.interruption import Interruption
from search.loop.limits import Limits
from search.loop.make_dispatcher import make_dispatcher
from search.loop.progress import Progress
from search.loop.watchdog import Watchdog
from search.planning.plan import Plan
from search.planning.unit_times import KnownBefore
from search.report.comparison import Comparison
from search.report.page.live_page import LivePage
from search.report.seed_covariance import SeedCovariance
from search.report.tensorboard import TensorBoard
from trainable.worker.ray_trainable import MultitaskTrainable


def run_jobs(
    plan: Plan,
    resources: Resources,
    preflight: Preflight,
    interruption: Interruption,
    console: Console,
    spent: float,
    known: KnownBefore | None,
) -> tuple[Limits, str]:
    """Run jobs until nothing is left to do, a limit is reached, or a signal comes.

    Args:
        plan: Of the search.
        resources: What a job holds, and how many may run at a time.
        preflight: Looks at nodes that come later.
        interruption: Of the search by a signal.
        console: Where to print.
        spent: Seconds of the search so far.
        known: Times of units that were measured before; None for none.

    Returns:
        The limits, which say why the search ended early; and why nothing more may be written to
        the storage, or nothing.
    """
    options = plan.options
    journal, log = open_journal(plan, resources)
    dispatcher = make_dispatcher(plan, journal)
    mirror = Mirror(plan.folder)
    checkpoints = Checkpoints(journal, plan.folder, mirror)
    printed = partial(console.print, markup=False)
    trackers = open_trackers(options, plan.folder.local, journal.history, printed)
    _follow_trials(dispatcher, plan, checkpoints, trackers)
    dispatcher.settle()

    progress = Progress(dispatcher, options, console)
    dispatcher.on_left = dispatcher.on_stopped = progress.left
    say, devices = progress.say, resources.gpus or resources.cpus
    if options.finalists:
        covariance = SeedCovariance(plan.folder, plan.sizes)
        dispatcher.queue.finalists = Finalists(
            journal, options.finalists, plan.finalist_runs, covariance, say
        )
    limits = Limits(dispatcher, options, devices, say, spent)
    nodes = Nodes(journal, options, resources, preflight, limits, say)
    forecaster = Forecaster(
        dispatcher, plan, devices, known, lambda: nodes.n_concurrent, say, spent
    )
    progress.forecast = forecaster.text
    page = LivePage(plan.folder, journal.history, say)
    fits = partial(any_node_fits, resources)
    watchdog = Watchdog(dispatcher, options, plan.checkpoint_bytes, limits, mirror, fits, say)
    watchers: list[Watcher] = [limits, nodes, watchdog, forecaster, progress, page, interruption]
    try:
        _sweep(checkpoints, say)
        forecaster.begin()
        run_tune(
            MultitaskTrainable,
            plan,
            resources,
            TuneSearcher(dispatcher, plan, nodes, limits),
            TuneScheduler(dispatcher, plan.tasks, say),
            TuneCallback(dispatcher, resources, watchers),
            LimitStopper(limits),
            trackers,
        )
        if not limits.is_failure:  # else the storage may not answer; --resume sweeps, too
            _sweep(checkpoints, say)
    finally:
        dispatcher.interrupt(resources.cpus, resources.gpus)
        journal.write("closed", reason=limits.reason)
        trackers.close()
        preflight.close()
        progress.close()
        not_stored = mirror.close()
        log.close()
    return limits, not_stored


def _sweep(checkpoints: Checkpoints, say: Callable[[str], None]) -> None:
    try:
        checkpoints.sweep()
    except (OSError, pyarrow.ArrowException) as error:
        say(f"warning: checkpoints that nobody needs could not be deleted: {error}")


def _follow_trials(
    dispatcher: Dispatcher, plan: Plan, checkpoints: Checkpoints, trackers: Trackers
) -> None:
    """Let files, trackers and the comparison with the default follow what happens to trials."""
    tensorboard = TensorBoard(plan.folder.local, plan.space.params(), plan.tasks)
    comparison = Comparison(dispatcher.journal, plan.folder, plan.sizes)

    def changed(trial: TrialRecord) -> None:
        if trial.seed_of is None:  # a finalist's run with a new seed is no trial
            tensorboard.write(trial)
            trackers.write(trial)

    def closed(trial: TrialRecord) -> None:
        changed(trial)
        if trial.status == "done":
            comparison.update()
        checkpoints.closed(trial)

    dispatcher.on_started = dispatcher.on_reported = changed
    dispatcher.on_saved = checkpoints.saved
    dispatcher.on_closed = closed
    comparison.update()  # what an earlier driver had no time for, or was too old for
    tensorboard.write_all(dispatcher.history)
