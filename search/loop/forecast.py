"""How long a search will take, what it will cost, and how much room it needs: as 80 % intervals."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from search.log.events import Event
from search.log.history import History
from search.log.trial import TrialRecord
from search.loop.dispatcher import Dispatcher
from search.loop.simulated_search import Beginning, Ending, Pace, play
from search.planning.amounts import Price, clock, size, span
from search.planning.plan import Plan
from search.planning.unit_cost import UnitCost, recorded_cost
from search.schedulers.rungs import units_per_trial

Interval = tuple[float, float]  # the middle 80 %

_DRAWS = 40
_MOST_PLAYED = 300  # trials: above that, searches take too long to be played while one runs
_USUAL_SPREAD = 0.25  # of the logarithm of a unit's seconds among configurations
_WEIGHT = 3.0  # of what is assumed beforehand, in trials whose units were timed
_DOUBT = 0.05  # of any estimate: a machine is not always equally fast
_LOOK_SECONDS = 60.0  # between two forecasts while the search runs
_FIRST = 3  # trials whose units make the first forecast, where nothing was known beforehand


@dataclass(frozen=True)
class Forecast:
    """What a search will take from now on.

    Attributes:
        seconds: Until it is over.
        device_hours: Of GPUs, or of CPU cores where slots have no GPU.
        disk_bytes: Of checkpoints, at most at the same time.
        units: That will be trained.
    """

    seconds: Interval
    device_hours: Interval
    disk_bytes: Interval
    units: Interval

    def text(self, price: Price | None) -> str:
        """Return the forecast in words, with what it costs if there is a price."""
        hours = "-".join(dict.fromkeys(f"{own:.2g}" for own in self.device_hours))
        disk = " to ".join(dict.fromkeys(size(own) for own in self.disk_bytes))
        cost = f", {price.span(self.device_hours)}" if price else ""
        return f"{span(*self.seconds)}, {hours} device hours{cost}, {disk} of checkpoints"


def forecast(
    beginning: Beginning, pace: Pace, devices: float, checkpoint_bytes: int, seed: int
) -> Forecast:
    """Return the middle 80 % of what a search takes that is played to its end many times.

    Of large searches only the mean is known quickly: how many trials are promoted varies little
    there, so the interval is that of the units' seconds.

    Args:
        beginning: Where the search stands.
        pace: What the parts of a trial take.
        devices: GPUs of a slot, or its CPU cores if it has no GPU.
        checkpoint_bytes: Size of a checkpoint.
        seed: Of the draws.
    """
    if beginning.n_trials > _MOST_PLAYED:
        endings = [_mean_ending(beginning, pace, z) for z in (-1.2816, 0.0, 1.2816)]
    else:
        draw = random.Random(f"{seed} forecast")
        endings = [play(beginning, pace, draw) for _ in range(_DRAWS)]
    return Forecast(
        seconds=_middle([ending.seconds for ending in endings]),
        device_hours=_middle([ending.slot_seconds * devices / 3600 for ending in endings]),
        disk_bytes=_middle([float(ending.checkpoints * checkpoint_bytes) for ending in endings]),
        units=_middle([float(ending.units) for ending in endings]),
    )


def _middle(values: list[float]) -> Interval:
    """Return the quantiles of 10 % and 90 %, between which lie 80 %."""
    ordered = sorted(values)
    outside = round(0.1 * (len(ordered) - 1)) if len(ordered) > 3 else 0
    return ordered[outside], ordered[-1 - outside]


def _mean_ending(beginning: Beginning, pace: Pace, z: float) -> Ending:
    """Return what is left of a large search if its units are slower by z standard errors."""
    levels, n, eta = beginning.levels, beginning.n_trials, beginning.options.eta
    units = n * units_per_trial(levels, eta) - sum(trial.units for trial in beginning.trials)
    units = max(float(len(beginning.spent)), 1.1 * units)
    seconds = pace.unit_seconds * math.exp(z * pace.doubt) * units
    last = levels[-1] * pace.unit_seconds / 2
    waiting = round(n / eta)
    return Ending(
        round(units), seconds / beginning.slots + last, seconds, 2 * beginning.slots + waiting
    )


def pace_of(cost: UnitCost, unit_tokens: float, logs: list[float]) -> Pace:
    """Return the pace of a search from what was known of it, and from units of its own.

    Args:
        cost: What a slot takes.
        unit_tokens: Tokens of a unit.
        logs: Logarithms of the seconds of a unit, one for each trial of this search that has any.
    """
    before = math.log(cost.unit_seconds(unit_tokens))
    n = len(logs)
    mean = (_WEIGHT * before + sum(logs)) / (_WEIGHT + n)
    around = sum((own - sum(logs) / n) ** 2 for own in logs) if n else 0.0
    spread = ((_WEIGHT * _USUAL_SPREAD**2 + around) / (_WEIGHT + max(0, n - 1))) ** 0.5
    doubt = math.hypot(_DOUBT, spread / (_WEIGHT + n) ** 0.5)
    return Pace(math.exp(mean), cost.last_seconds, cost.start_seconds, spread, doubt)


class Forecaster:
    """Forecasts a search before its first trial if it can, and while it runs.

    Args:
        dispatcher: The search.
        plan: Of the search.
        devices: GPUs of a slot, or its CPU cores if it has no GPU.
        known: What a slot takes, and from where that is known; None where nothing is.
        slots: Returns how many trials run at a time.
        say: Prints a line.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        plan: Plan,
        devices: float,
        known: tuple[UnitCost, str] | None,
        slots: Callable[[], int],
        say: Callable[[str], None],
    ) -> None:
        self._dispatcher, self._plan, self._devices = dispatcher, plan, devices
        self._known, self._slots, self._say = known, slots, say
        self._began, self._looked = time.monotonic(), -math.inf
        self._latest: Forecast | None = None
        self._is_said = False

    def look(self) -> None:
        """Make the first forecast as soon as enough is known; called often."""
        if self._is_said:
            return
        history = self._dispatcher.history
        if self._known is None and sum(bool(t.reports) for t in history.trials.values()) < _FIRST:
            return
        source = self._known[1] if self._known else "the first units"
        self._is_said = True
        if self._dispatcher.queue.n_trials <= history.n_over:
            return
        now = time.monotonic()
        latest = self._make(now)
        if latest is None:
            return
        price = self._plan.options.price_per_hour
        self._dispatcher.journal.write(
            "forecast",
            seconds=list(latest.seconds),
            device_hours=list(latest.device_hours),
            cost=[price.per_hour * own for own in latest.device_hours] if price else None,
            disk_bytes=list(latest.disk_bytes),
            units=list(latest.units),
            source=source,
        )
        if not self._plan.options.quiet:
            self._say(f"forecast (80 %, from {source}): {latest.text(price)}")

    def seconds_left(self, now: float) -> Interval | None:
        """Return the 80 % interval of the seconds that are left; None while nothing is known.

        Args:
            now: Seconds of the monotonic clock.
        """
        if self._latest is None or now - self._looked >= _LOOK_SECONDS:
            self._make(now)
        if self._latest is None:
            return None
        low, high = (max(0.0, own - (now - self._looked)) for own in self._latest.seconds)
        return low, high

    def device_hours(self, now: float) -> Interval | None:
        """Return the 80 % interval of the device hours of the whole search, as last forecast."""
        if self._latest is None:
            return None
        used = self._dispatcher.costs.device_seconds(self._devices) / 3600
        share = (now - self._looked) / max(1e-9, self._latest.seconds[1])
        low, high = (used + max(0.0, 1 - share) * own for own in self._latest.device_hours)
        return low, high

    def _make(self, now: float) -> Forecast | None:
        plan, history = self._plan, self._dispatcher.history
        trials = list(history.trials.values())
        recorded = recorded_cost(trials, plan.options.units)
        cost = recorded or (self._known[0] if self._known else None)
        if cost is None:
            return None
        prior = self._known[0] if self._known else cost
        pace = pace_of(prior, plan.budget / plan.options.units, _log_seconds(trials))
        pace = Pace(
            pace.unit_seconds, cost.last_seconds, cost.start_seconds, pace.spread, pace.doubt
        )
        self._looked = now
        self._latest = forecast(
            self._beginning(trials, pace, now),
            pace,
            self._devices,
            plan.checkpoint_bytes,
            plan.options.seed,
        )
        return self._latest

    def _beginning(self, trials: list[TrialRecord], pace: Pace, now: float) -> Beginning:
        usual = math.log(pace.unit_seconds)
        factors = tuple(
            (trial.number, math.exp(own - usual))
            for trial in trials
            for own in _log_seconds([trial])
        )
        jobs = self._dispatcher.jobs.values()
        spent = tuple((j.trial.number, now - j.heard) for j in jobs if j.started is not None)
        return Beginning(
            self._plan.options,
            self._plan.rungs,
            self._dispatcher.queue.n_trials,
            tuple(origin for _, origin in self._plan.points),
            max(1, self._slots()),
            tuple(trials),
            factors,
            spent,
        )


def _log_seconds(trials: list[TrialRecord]) -> list[float]:
    """Return the logarithm of the mean seconds of a unit, of each trial that has one.

    The last unit is evaluated on more examples, so its evaluation counts as that of the others.
    """
    found = []
    for trial in trials:
        units = [metrics for metrics in trial.reports.values() if metrics.get("train_seconds")]
        if units:
            train = sum(float(metrics["train_seconds"] or 0.0) for metrics in units)
            rest = min(float(metrics.get("eval_seconds") or 0.0) for metrics in units)
            rest += min(float(metrics.get("save_seconds") or 0.0) for metrics in units)
            found.append(math.log(train / len(units) + rest))
    return found


def how_good(events: list[Event]) -> str:
    """Return how good the forecast of the last driver was, in one line; empty without one.

    It is not judged where the search ended before its trials did.
    """
    start = max((n for n, e in enumerate(events) if e["event"] in ("search", "resumed")), default=0)
    own = [event for event in events[start:] if event["event"] == "forecast"]
    closed = [event for event in events[start:] if event["event"] == "closed"]
    if not own or not closed or closed[-1]["reason"] or not _is_over(events):
        return ""
    first, took = own[0], closed[-1]["time"] - own[0]["time"]
    inside = first["seconds"][0] <= took <= first["seconds"][1]
    gone = first["time"] - events[start]["time"]
    after = f" more after {clock(gone)}" if gone >= 5 else ""
    return (
        f"forecast {span(*first['seconds'])}{after}, took {span(took, took)}: "
        f"{'inside' if inside else 'outside'} the 80 % interval"
    )


def _is_over(events: list[Event]) -> bool:
    history = History(events)
    return history.n_over >= len(history.trials) and not history.limited
