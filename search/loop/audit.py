"""The audit: a few of the trials that a rung stops run on to their end, to see what rungs cut."""

from __future__ import annotations

import math
import random

from search.log.history import Journal
from search.log.trial import TrialRecord
from search.planning.audit_share import audit_share
from search.schedulers.base import Decision


class Audit:
    """Lets a seeded share of the trials that would be stopped run on to their end.

    An audited trial takes no place in a higher rung: nothing is decided about it any more. Whether
    a trial is drawn depends on the seed and on its number alone, so that a later driver draws the
    same. The options are those in the first line of the log.

    Args:
        journal: History and log.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._due: dict[int, TrialRecord] = {}

    @property
    def share(self) -> float:
        """Share of the trials that would be stopped that run on, in [0, 1]."""
        return audit_share(self._journal.history.header.get("options", {}))

    def spares(self, trial: TrialRecord, decision: Decision) -> bool:
        """Return whether a trial that is to be stopped at a rung runs on; the log says so then."""
        spared = decision.action == "stop" and self._is_drawn(trial)
        if spared:
            self._begin(trial)
        return spared

    def takes(self, trial: TrialRecord) -> bool:
        """Return whether a paused trial that is to be stopped waits for a slot instead."""
        drawn = self._is_drawn(trial)
        if drawn:
            self._due[trial.number] = trial
        return drawn

    def next(self) -> TrialRecord | None:
        """Return one of those that wait for a slot, once that is in the log; None without one."""
        if not self._due:
            return None
        trial = self._due.pop(next(iter(self._due)))
        self._begin(trial)
        return trial

    def _begin(self, trial: TrialRecord) -> None:
        self._journal.write("audited", trial=trial.number, unit=trial.units)

    def _is_drawn(self, trial: TrialRecord) -> bool:
        if not math.isfinite(trial.score):  # it was stopped since nothing is known of it
            return False
        options = self._journal.history.header.get("options", {})
        draw = random.Random(f"{options.get('seed', 0)} audit {trial.number}").random()
        return draw < self.share
