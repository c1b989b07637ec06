"""One trial of a search: what is known of it from the event log."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from search.log.race import Verdict
from trainable.component import Value
from trainable.run_config import RunConfig

Status = Literal["running", "paused", "done", "stopped", "failed", "interrupted"]
Action = Literal["continue", "pause", "stop"]
Metrics = dict[str, float | None]


@dataclass(frozen=True)
class Gain:
    """How much more a trial scored than the default, after full runs of both.

    Attributes:
        default: Number of the default's trial.
        select: Difference of the scores on *select*.
        select_error: Its standard error; NaN where there are too few examples.
        confirm: Difference on *confirm*; None where it is not known.
        confirm_error: Its standard error; None where it is not known.
        is_paired: Whether the errors are of the differences on the same examples. Without the
            predictions of both they are those of two independent scores, which are larger.
    """

    default: int
    select: float
    select_error: float
    confirm: float | None
    confirm_error: float | None
    is_paired: bool


@dataclass
class TrialRecord:
    """What is known of one trial; `search.log.trial_events` says which event changes what.

    Attributes:
        number: 0, 1, ... in the order in which trials were suggested; -1 for an imported one.
        params: What the searcher chose.
        run_config: What ran, as a dictionary.
        started: Seconds since 1970.
        ended: Seconds since 1970, of its last event; to delete a checkpoint is none of them.
        bracket: Which of the scheduler's brackets it belongs to.
        origin: Where it is from: `default` or `base`, `portfolio/NAME`, names of rows, `random`,
            `change of trial N`, ...
        id: Ray's, of the last time it got a slot; empty before the first.
        reports: Unit -> metrics, None for what is not known.
        reported: Unit -> when, in seconds since 1970.
        decided: Unit of a rung -> `continue`, `pause` or `stop`.
        promoted: Units of the rungs from which it was let on after a pause.
        checkpoints: Unit -> path below the folder of the search; what was deleted is not there.
        status: `running` from the suggestion on, also while it waits for a slot; `stopped` is by
            the scheduler, `interrupted` by the end of the search.
        error: Why it failed, or None.
        failures: Attempts that failed since the last report.
        last_failure: Error of the last attempt that failed; empty before the first.
        notice: Why it left its last machine, of which it had notice; empty once it has another.
        slot_seconds: How long it held slots that it gave up; pauses are not in it.
        device_seconds: The same, times the GPUs of the slot, or the cores of one without a GPU.
        slot_since: Since when it holds a slot, in seconds since 1970; None while it does not.
        gain: Over the default; None before the two are compared.
        seed_of: Number of the finalist whose configuration it runs with a new seed; None for a
            trial of the search.
        leads_race: Whether it leads the finalists after their last round.
        verdict: What is claimed of it, if it has won the race of the finalists; else None.
        audited_at: Unit of the rung that would have stopped it, if it runs on as an audit; else 0.
        is_closed: Whether the log says that it ended; a driver may have been killed when the log
            said only that it is stopped.
    """

    number: int
    params: dict[str, Value]
    run_config: dict[str, Any]
    started: float
    ended: float
    bracket: int = 0
    origin: str = ""
    id: str = ""
    reports: dict[int, Metrics] = field(default_factory=dict)
    reported: dict[int, float] = field(default_factory=dict)
    decided: dict[int, Action] = field(default_factory=dict)
    promoted: set[int] = field(default_factory=set)
    checkpoints: dict[int, str] = field(default_factory=dict)
    status: Status = "running"
    error: str | None = None
    failures: int = 0
    last_failure: str = ""
    notice: str = ""
    slot_seconds: float = 0.0
    device_seconds: float = 0.0
    slot_since: float | None = None
    gain: Gain | None = None
    seed_of: int | None = None
    leads_race: bool = False
    verdict: Verdict | None = None
    audited_at: int = 0
    is_closed: bool = False
    _config: RunConfig | None = None

    @property
    def config(self) -> RunConfig:
        """What ran. It is parsed on first use, since parsing ten thousand takes seconds."""
        if self._config is None:
            self._config = RunConfig.from_dict(self.run_config, f"event log, trial {self.number}")
        return self._config

    @property
    def units(self) -> int:
        """Units that the trial finished."""
        return max(self.reports, default=0)

    @property
    def last(self) -> Metrics:
        """Metrics of its last unit; empty before the first."""
        return self.reports.get(self.units, {})

    @property
    def score(self) -> float:
        """Score on *select* after its last unit; minus infinity before the first."""
        return self.score_at(self.units)

    @property
    def elapsed_seconds(self) -> float:
        """Seconds from the suggestion to the last event, pauses and waiting included.

        For the time in which it trained, see `slot_seconds`.
        """
        return self.ended - self.started

    @property
    def is_open(self) -> bool:
        """Whether a later driver goes on with it at once."""
        return self.status in ("running", "interrupted")

    @property
    def is_over(self) -> bool:
        """Whether it will not train any more, unless the search gets more trials."""
        return self.status in ("done", "stopped", "failed")

    @property
    def is_audited(self) -> bool:
        """Whether a rung would have stopped it, and it runs on to show what that cuts."""
        return self.audited_at > 0

    @property
    def is_default(self) -> bool:
        """Whether it is the configuration that the search begins from, perhaps as a row, too."""
        return not {"default", "base"}.isdisjoint(self.origin.split(", "))

    @property
    def rank_key(self) -> tuple[bool, int, float, int]:
        """What decides which of two trials is better: that with the higher key.

        The default is an exception, see `search.log.leaderboard`.

        Scores after different numbers of units are not comparable, so a trial that finished more
        units ranks higher: the scheduler preferred it to those that it left behind. Of trials with
        equal scores the one that was suggested first ranks higher. An audited trial that is not
        done ranks where the rung left it behind.
        """
        units = self.audited_at if self.is_audited and self.status != "done" else self.units
        return self.status != "failed", units, self.score_at(units), -self.number

    def charge(self, seconds: float, devices: float) -> None:
        """Add the cost of a slot that the trial gave up.

        Args:
            seconds: How long it held the slot.
            devices: GPUs of the slot, or the cores of one without a GPU.
        """
        self.slot_seconds += seconds
        self.device_seconds += seconds * devices
        self.slot_since = None

    def score_at(self, unit: int) -> float:
        """Score on *select* after a unit; minus infinity where it is not known."""
        value = self.reports.get(unit, {}).get("score")
        return -math.inf if value is None else value
