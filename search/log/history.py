"""What happened in a search: the event log, folded into one record for each trial.

The driver writes through a `Journal`, so that what it knows and what the log says are always the
same; a later driver, a report or a replay gets the same `History` from the log alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import median
from typing import Any

from search.log.events import VERSION, Event, EventLog, new_event
from search.log.leaderboard import lead
from search.log.race import Race, race_of
from search.log.trial import TrialRecord
from search.log.trial_events import apply_to_trial, devices_of, imported_record
from trainable.errors import InputError
from trainable.tasks import Tasks


class History:
    """All trials of a search.

    Attributes:
        trials: By number, in the order in which they were suggested. Numbers may have gaps, where
            runs of finalists came between.
        seed_runs: By number: configurations of finalists with new seeds. They are no trials of the
            search: searcher, scheduler and leaderboard do not see them.
        race: The last race of finalists; None before one.
        imported: Trials of other searches, which only the searcher learns from.
        header: The first event of the log; empty before it is written.
        n_trials: How many trials it will have; 0 before the first event.
        limited: The event after which no more trials may begin; None while they may.
        forecast: The first forecast of the last driver; None where it made none.
        closed: How the last driver ended; None where it did not end in order.
        n_over: How many trials are over.
        changes: The trial's number for each event of a trial: a reader that remembers how many it
            has read finds which trials have changed since.
        reports: (trial, unit) of each report, in the order of the log.
        slots: (time, trials at a time from then on) as drivers begin, change and end; a killed
            driver ended at its last event.
        stints: (begin, end) of each stay of a run in a slot that it gave up.
        last: Time of the last event.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.trials: dict[int, TrialRecord] = {}
        self.seed_runs: dict[int, TrialRecord] = {}
        self.race: Race | None = None
        self.imported: list[TrialRecord] = []
        self.header: Event = {}
        self.n_trials = 0
        self.limited: Event | None = None
        self.forecast: Event | None = None
        self.closed: Event | None = None
        self.n_over = 0
        self.changes: list[int] = []
        self.reports: list[tuple[int, int]] = []
        self.slots: list[tuple[float, int]] = []
        self.stints: list[tuple[float, float]] = []
        self.last = 0.0
        self._devices = 1.0  # of a slot, until the log says how many
        for event in events:
            self.apply(event)

    @property
    def tasks(self) -> Tasks:
        """The tasks of the search, with their weights; none before the first trial."""
        first = next(iter(self.trials.values()), None)
        return {} if first is None else first.config.table

    def apply(self, event: Event) -> None:
        """Take note of one event; the order of the log matters.

        Raises:
            InputError: The log is of another version, names a trial that it does not suggest, or
                names a checkpoint that is not below the folder of the search.
        """
        kind, time = event["event"], event["time"]
        if kind == "search":
            _check_version(event)
            self.header, self.n_trials = event, event["n_trials"]
        elif kind == "limited":
            self.limited = event
        elif kind == "forecast":
            self.forecast = event
        elif kind == "closed":
            self.closed = event
        elif kind == "resumed":
            self.forecast = self.closed = None
            self._charge_lost_slots()
            is_lifted = self._lift_limit(event)
            self._resume(event["n_trials"], is_lifted)
        elif kind == "imported":
            self.imported.append(imported_record(event))
        elif kind == "suggested":
            number, seed_of = event["trial"], event.get("seed_of")
            if seed_of is None and self.race and self.race.n_trials == len(self.trials):
                self._forget_race()
            runs = self.trials if seed_of is None else self.seed_runs
            runs[number] = TrialRecord(
                number,
                event["params"],
                event["run_config"],
                time,
                time,
                event["bracket"],
                event["origin"],
                seed_of=seed_of,
            )
        elif kind in ("finalists", "raced"):
            self._race_on(event)
        elif event.get("trial") in self.seed_runs:
            apply_to_trial(self.seed_runs[event["trial"]], event)
        elif "trial" in event:
            trial = self._known(event)
            if kind == "verdict" and self.race is not None:
                self.race.is_over = True
            self.changes.append(trial.number)
            if kind == "reported":
                self.reports.append((trial.number, event["unit"]))
            was_over = trial.is_over
            apply_to_trial(trial, event)
            self.n_over += trial.is_over - was_over
        if kind == "cost":
            self.stints.append((time - event["seconds"], time))
        if kind in ("resumed", "closed"):
            self.slots.append((time if kind == "closed" else self.last, 0))
        if "slots" in event:
            self.slots.append((time, event["slots"]))
        self.last = time
        if "gpus" in event:
            self._devices = devices_of(event)

    def _race_on(self, event: Event) -> None:
        """A race of finalists begins, or one of its rounds is over."""
        if event["event"] == "finalists":
            self._forget_race()
            self.race = race_of(event)
        elif self.race is not None:
            self.race.rounds.append(event)
            for trial in self.trials.values():
                trial.leads_race = trial.number == event["winner"]

    def _forget_race(self) -> None:
        """With other trials to come, who leads follows from first runs again."""
        for trial in self.trials.values():
            trial.leads_race, trial.verdict = False, None

    @property
    def runs(self) -> list[TrialRecord]:
        """All that was trained: trials, and runs of finalists with new seeds."""
        return [*self.trials.values(), *self.seed_runs.values()]

    def seed_runs_of(self, finalist: int) -> list[TrialRecord]:
        """Return the runs of a finalist's configuration, in the order of their seeds."""
        return [run for run in self.seed_runs.values() if run.seed_of == finalist]

    @property
    def next_number(self) -> int:
        """Number of the next trial, or of the next run with a new seed."""
        return len(self.trials) + len(self.seed_runs)

    def _known(self, event: Event) -> TrialRecord:
        if event["trial"] not in self.trials:
            raise InputError(
                f"the event log has `{event['event']}` of trial {event['trial']} and no line that "
                f"suggests this trial; bring back a whole copy of the log, or keep only the lines "
                f"before the first one that names the trial"
            )
        return self.trials[event["trial"]]

    @property
    def best(self) -> TrialRecord | None:
        """The first of the leaderboard; None where no trial reported a score."""
        return lead(list(self.trials.values())).winner

    def unit_seconds(self) -> float:
        """Return the median seconds of a unit's training and evaluation; NaN before the first.

        Stages before the tasks are not in it, nor units that failed.
        """
        reports = (list(trial.reports.values())[-1:] for trial in self.trials.values())
        seconds = [
            float(metrics["train_seconds"]) + float(metrics["eval_seconds"] or 0.0)
            for own in reports
            for metrics in own
            if metrics["train_seconds"] is not None
        ]
        return median(seconds) if seconds else math.nan

    def _charge_lost_slots(self) -> None:
        """A killed driver could not say what its slots cost: it held them until its last event."""
        for trial in self.runs:
            if trial.slot_since is not None:
                trial.charge(max(0.0, self.last - trial.slot_since), self._devices)

    def _lift_limit(self, resumed: Event) -> bool:
        """Forget the limit if the user now asks for another number of trials or another gain.

        Returns:
            Whether there was a limit and is none any more.
        """
        is_lifted = self.limited is not None and (
            resumed["n_trials"] != self.n_trials
            or resumed["options"].get("min_gain") != self.limited["min_gain"]
        )
        if is_lifted:
            self.limited = None
        return is_lifted

    def _resume(self, n_trials: int, is_lifted: bool) -> None:
        """Take the new number of trials; with more to come, stopped ones may have a chance again.

        Args:
            n_trials: Trials that the search is to have now.
            is_lifted: Whether a limit had kept trials from beginning, and does so no more.
        """
        if n_trials > self.n_trials or is_lifted:
            for trial in self.trials.values():
                if trial.status == "stopped" and self._may_go_on(trial):
                    trial.status, trial.is_closed = "paused", False
                    self.n_over -= 1
        self.n_trials = n_trials

    def _may_go_on(self, trial: TrialRecord) -> bool:
        """Whether a stopped trial could be promoted if there were more trials.

        A trial that was paused before could. A trial that the scheduler stopped at its rung could
        only with promotion-asha, and only if its score is a number.
        """
        unit = max(trial.decided, default=0)
        if trial.decided.get(unit) == "pause":
            return True
        promotes = self.header["options"]["scheduler"] == "promotion-asha"
        return promotes and math.isfinite(trial.score_at(unit))


def _check_version(header: Event) -> None:
    if header["version"] != VERSION:
        raise InputError(
            f"the event log is of version {header['version']}, this program reads {VERSION}; use "
            f"the version of the project that wrote it"
        )


class Journal:
    """The history of a search that is under way, and the log that it is written to.

    Args:
        history: What an earlier driver left, or an empty one.
        log: Where events go first; None in a replay.
    """

    def __init__(self, history: History, log: EventLog | None = None) -> None:
        self.history = history
        self._log = log

    def write(self, kind: str, **fields: Any) -> Event:
        """Write one event, and take note of it."""
        event = new_event(kind, **fields)
        if self._log is not None:
            self._log.append(event)
        self.history.apply(event)
        return event
