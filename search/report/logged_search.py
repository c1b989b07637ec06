"""A search as its event log tells it: what the page and the tables beside it read.

It needs no plan, so a page can be written by a driver that is at work and by `search/export.py` on
another machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from search.log.history import History
from search.log.leaderboard import Lead, lead, leaderboard
from search.log.trial import TrialRecord
from spaces.params import Param, param_from_json
from trainable.tasks import Tasks

Floats = NDArray[np.float64]
_LONG = 3 * 3600.0  # seconds


@dataclass(frozen=True)
class LoggedSearch:
    """A search, under way or over.

    Attributes:
        name: Its name.
        history: What happened in it; has its header.
    """

    name: str
    history: History

    @cached_property
    def ranked(self) -> list[TrialRecord]:
        """All trials, best first."""
        return leaderboard(self.history.trials.values())

    @cached_property
    def with_scores(self) -> list[TrialRecord]:
        """The trials that reported a finite score and did not fail, best first."""
        return [t for t in self.ranked if t.status != "failed" and np.isfinite(t.score)]

    @cached_property
    def lead(self) -> Lead:
        """Who leads, and why."""
        return lead(list(self.history.trials.values()))

    @property
    def winner(self) -> TrialRecord | None:
        """The best trial; None where no trial reported a score."""
        return self.lead.winner

    @cached_property
    def default(self) -> TrialRecord | None:
        """The trial of the configuration that the search began from, which the winner beat.

        Where none has run to its end, it is the one that came furthest.
        """
        return self.lead.default or next((t for t in self.ranked if t.is_default), None)

    @cached_property
    def tasks(self) -> Tasks:
        """The tasks of the search."""
        return self.history.tasks

    @property
    def units(self) -> int:
        """Units of a full run."""
        return int(self.history.header["units"])

    @cached_property
    def params(self) -> tuple[Param, ...]:
        """All params of the space."""
        space = self.history.header["space"]
        return tuple(param_from_json(name, fields) for name, fields in space.items())

    @property
    def is_over(self) -> bool:
        """Whether every trial of the search is there and none goes on."""
        return self.history.n_over == self.history.n_trials > 0

    @property
    def has_driver(self) -> bool:
        """Whether no driver has said that it ended; a killed one could not."""
        return not self.history.slots or self.history.slots[-1][1] > 0

    @cached_property
    def _knots(self) -> tuple[Floats, Floats]:
        """Return times of changes, and the seconds that drivers had run by then."""
        steps = self.history.slots
        if not steps:  # older logs and tests: from the first trial on
            started = min((t.started for t in self.history.trials.values()), default=0.0)
            steps = [(started, 1)]
        end = max(self.history.last, *(t.ended for t in self.history.trials.values()), steps[-1][0])
        times = np.array([time for time, _ in steps] + [end])
        runs = np.diff(times) * np.array([n > 0 for _, n in steps])
        return times, np.concatenate([[0.0], np.cumsum(runs)])

    def elapsed(self, times: Floats | float) -> Floats:
        """Return the seconds that drivers had run by these times; pauses of the search are out."""
        return np.asarray(np.interp(times, *self._knots), float)

    @property
    def time_unit(self) -> tuple[str, float]:
        """Name and seconds of the unit in which people read how long the search ran."""
        whole = float(self.elapsed(self._knots[0][-1]))
        return ("hours", 3600.0) if whole > _LONG else ("minutes", 60.0)

    @property
    def slot_seconds(self) -> float:
        """Seconds for which slots for trials existed, busy or not."""
        times, _ = self._knots
        slots = np.array([n for _, n in self.history.slots] or [1])
        return float(np.sum(np.diff(times) * slots))


def name_of(trial: TrialRecord) -> str:
    """Return what people call a trial: the name of its row and repeat, or who suggested it."""
    row, repeat = trial.params.get("row"), trial.params.get("repeat", 0)
    if row is None:
        return trial.origin or "-"
    return f"{row} #{int(repeat) + 1}" if repeat else str(row)


def default_name(trial: TrialRecord | None) -> str:
    """Return `base` where the search began from a file or runs rows, else `default`."""
    return "base" if trial is not None and "base" in trial.origin.split(", ") else "default"
