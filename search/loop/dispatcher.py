"""What runs next, and what becomes of it: the search without Ray.

A trial runs in *jobs*: each job holds a slot and trains from a checkpoint, or from the start, until
the scheduler ends it. A trial that was paused and is promoted, one that a killed driver left open,
one whose worker was lost and one that left a machine in time all go on in the same way: by another
job from the last checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from search.log.history import History, Journal
from search.log.trial import TrialRecord
from search.loop.early_failures import EarlyFailures
from search.loop.endings import Endings
from search.loop.job import Job
from search.loop.slot_costs import SlotCosts
from search.loop.trial_queue import TrialQueue
from search.loop.unsettled import MAX_FAILURES, jobs_to_close
from search.schedulers.base import Decision, Scheduler
from search.searchers.base import Searcher
from spaces.fixed_configs import RowSpace
from spaces.space import Space
from trainable.component import Value


class Dispatcher:
    """Hands out jobs, hears what they report, and writes all of it down.

    Ray Tune calls it through search/cluster/tune.py; tests and benchmarks do it in a plain loop.
    What Tune says of a job that has ended already is ignored: it may say it late, or twice. The
    whole search is this, where each `id` is a job, and jobs run at the same time:

        settle()                              decide what an earlier driver left undecided
        repeat, at every event of Tune:
            Tune asks for a trial:            next_job(id): of a trial that waits for another job,
                                              else of scheduler.next_promotion(), else of a new
                                              trial: a given point, then searcher.suggest()
            there is no job to hand out:      stop if is_finished, else wait for the next event
            the job gets its slot:            started(id), and trains from the last checkpoint
            it finishes a unit:               reported(id), and at a rung scheduler.decide()
            it has notice to leave its node:  leaving(id), instead of a report
            its checkpoint is there:          saved(id)
            it ends as was decided:           left(id): paused, stopped, done or failed
            it ends with a node, or leaves:   left(id, error): waits for another job
        interrupt()                           close what a limit or Ctrl-C left under way

    Attributes:
        journal: History and log.
        history: What happened so far.
        jobs: The jobs that are under way, by Ray's id, in the order in which they were handed out.
        scheduler: Which trials go on after a rung.
        queue: Chooses the trial of the next job.
        costs: How long slots were held.
        early_failures: Attempts that failed before this driver heard of a checkpoint.
        on_started: Called with a trial's record when it got a slot, once that is in the log.
        on_reported: Called with its record when it finished a unit, once the scheduler has decided.
        on_saved: Called with its record when it saved a checkpoint, and with the path of the one
            that this replaces, or None.
        on_closed: Called with its record when it was paused or came to an end.
        on_left: Called with its record when it gave up its slot, after `on_closed`.
        on_stopped: Called with its record when it was stopped while it was paused.

    Args:
        journal: History and log.
        scheduler: Which trials go on after a rung.
        searcher: Suggests new trials.
        space: Turns params into a RunConfig.
        points: Params of the first trials, and who suggested them.
        units: Units of a full run.
        clock: Returns seconds; the simulator has its own.
    """

    def __init__(
        self,
        journal: Journal,
        scheduler: Scheduler,
        searcher: Searcher,
        space: Space | RowSpace,
        points: list[tuple[dict[str, Value], str]],
        units: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.journal, self.scheduler, self._units, self._clock = journal, scheduler, units, clock
        self.history: History = journal.history
        self.jobs: dict[str, Job] = {}
        self.queue = TrialQueue(journal, scheduler, searcher, space, points, self._stop_paused)
        self._endings = Endings(journal, units, lambda trial: self.on_closed(trial))
        self.costs = SlotCosts(journal, self.jobs, clock)
        self.early_failures = EarlyFailures()
        self.on_started: Callable[[TrialRecord], None] = lambda trial: None
        self.on_reported: Callable[[TrialRecord], None] = lambda trial: None
        self.on_saved: Callable[[TrialRecord, str | None], None] = lambda trial, replaced: None
        self.on_closed: Callable[[TrialRecord], None] = lambda trial: None
        self.on_left: Callable[[TrialRecord], None] = lambda trial: None
        self.on_stopped: Callable[[TrialRecord], None] = lambda trial: None

    def settle(self) -> None:
        """Decide what an earlier driver heard of and had no time to decide.

        Call it once, before the first job.
        """
        for job in jobs_to_close(list(self.queue.waiting), self._units, self._decide):
            if job.verdict is not None and self.queue.audit.spares(job.trial, job.verdict):
                continue
            self.queue.waiting.remove(job.trial)
            self._endings.close(job)
        for trial in self.history.trials.values():
            if trial.status == "stopped" and not trial.is_closed:
                self._endings.end(trial, "stopped")

    def next_job(self, id: str) -> Job | None:
        """Hand out a job under Ray's id, or None where there is nothing to do at the moment."""
        trial = self.queue.next(others_run=bool(self.jobs))
        if trial is None:
            return None
        now = self._clock()
        self.jobs[id] = Job(trial, max(trial.checkpoints, default=0), now, now)
        return self.jobs[id]

    @property
    def is_finished(self) -> bool:
        """Whether nothing runs, is new or can be promoted any more; stops what is paused then."""
        return not self.jobs and self.queue.is_drained()

    def started(self, id: str) -> None:
        """A job got its slot, for the first time or after its worker was lost."""
        job = self._heard(id)
        if job is None:
            return
        job.started = job.heard if job.started is None else job.started
        self.journal.write("started", trial=job.trial.number, id=id, unit=job.unit)
        self.on_started(job.trial)

    def reported(self, id: str, unit: int, metrics: dict[str, float], failure: str = "") -> bool:
        """Write a report down and decide; returns whether the job goes on.

        A unit that was reported before (its checkpoint came too late) changes nothing, nor does
        what a job reports after it was told to end.
        """
        job = self._heard(id)
        if job is None or job.failure:
            return False
        trial = job.trial
        if unit in trial.reports and not failure:
            job.reported = unit
            return job.goes_on and unit < self._units
        if not job.goes_on or job.reported >= self._units:
            return False
        job.failure, job.reported = failure, unit
        self.journal.write(
            "reported", trial=trial.number, unit=unit, metrics=metrics, failure=failure
        )
        is_over = bool(failure) or unit >= self._units
        if not is_over:
            job.verdict = self._decide(trial, unit)
        self.on_reported(trial)
        return job.goes_on and not is_over

    def _decide(self, trial: TrialRecord, unit: int) -> Decision | None:
        # Nothing is decided of runs of finalists, nor of audited trials any more.
        is_free = unit >= self._units or trial.is_audited or trial.seed_of is not None
        decision = None if is_free else self.scheduler.decide(trial, unit)
        if decision is not None:
            self.journal.write(
                "decided",
                trial=trial.number,
                unit=unit,
                decision=decision.action,
                rank=decision.rank,
                among=decision.among,
            )
            if self.queue.audit.spares(trial, decision):
                return None
        return decision

    def leaving(self, id: str, unit: int, reason: str) -> None:
        """A job had notice that its machine is taken away, and stopped between two steps.

        That is in the middle of the unit after `unit`, so there is nothing to decide. Its
        checkpoint and an error follow; then the trial gets another job.
        """
        job = self._heard(id)
        if job is None or job.is_leaving or job.failure or not job.goes_on:
            return  # a job that was told to end leaves its slot anyway
        job.reported, job.is_leaving = unit, True
        self.journal.write("leaving", trial=job.trial.number, unit=unit, reason=reason)

    def saved(self, id: str, path: str) -> None:
        """A checkpoint is there, of the unit that the job reported last.

        One of a run that failed is of no use, and is not written down.
        """
        job = self._heard(id)
        if job is None or job.failure:
            return
        job.unit = job.reported
        self.early_failures.end()
        replaced = job.trial.checkpoints.get(job.unit)
        if replaced == path:
            return
        self.journal.write("saved", trial=job.trial.number, unit=job.unit, path=path)
        self.on_saved(job.trial, replaced)

    def lost(self, id: str, path: str, error: str) -> None:
        """A checkpoint could not be read."""
        job = self._heard(id)
        if job is None:
            return
        trial = job.trial
        unit = next((u for u, known in trial.checkpoints.items() if known == path), 0)
        self.journal.write("lost", trial=trial.number, unit=unit, path=path, error=error)

    def failed(self, id: str, error: str) -> None:
        """An attempt failed and will be repeated."""
        job = self._heard(id)
        if job is None:
            return
        if job.is_leaving:
            job.is_leaving = False
        else:
            self._write_failure(job, error)

    def left(self, id: str, cpus: float, gpus: float, error: str | None = None) -> None:
        """A job gave up its slot: at a rung, at the end of the run, or with an error."""
        job = self.jobs.pop(id, None)
        if job is None:
            return
        self.costs.charge(job, cpus, gpus)
        if error is not None and self._gets_another_job(job, error):
            self.queue.waiting.append(job.trial)
        else:
            self._endings.close(job)
        self.on_left(job.trial)

    def _gets_another_job(self, job: Job, error: str) -> bool:
        """Write an error down; returns whether the trial goes on with another job.

        An error of the machine, such as a lost node, must not cost the trial: it gets another job,
        unless it fails again and again without a report. What was decided before it stays so.
        """
        if job.is_leaving:
            return True
        if job.failure:
            return False
        self._write_failure(job, error)
        if job.goes_on and job.trial.failures >= MAX_FAILURES:
            job.failure = error
        return job.goes_on and not job.failure

    def _write_failure(self, job: Job, error: str) -> None:
        self.journal.write("failed", trial=job.trial.number, error=error)
        self.early_failures.add(error, job.asked, self._clock())

    def interrupt(self, cpus: float, gpus: float) -> None:
        """Close every job that is under way; a later driver goes on with what did not fail."""
        for id in list(self.jobs):
            job = self.jobs.pop(id)
            self.costs.charge(job, cpus, gpus)
            if job.failure:
                self._endings.close(job)
            else:
                self._endings.end(job.trial, "interrupted")
        for trial in self.queue.waiting:
            if trial.status == "running":
                self._endings.end(trial, "interrupted")

    def _heard(self, id: str) -> Job | None:
        """Return the job that Tune speaks of; None if it has ended already."""
        job = self.jobs.get(id)
        if job is not None:
            job.heard = self._clock()
        return job

    def _stop_paused(self, trial: TrialRecord, reason: str) -> None:
        self._endings.stop(trial, reason)
        self.on_stopped(trial)
