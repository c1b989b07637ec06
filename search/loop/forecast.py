"""What a search will take: time, device hours, disk and money, as 80 % intervals."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from search.log.trial import TrialRecord
from search.loop.dispatcher import Dispatcher
from search.loop.rest_of_search import Ending, RestOfSearch
from search.loop.standing import Standing
from search.planning.amounts import numbers, size, span
from search.planning.plan import Plan
from search.planning.unit_times import DrawnTimes, KnownBefore, UnitTimes, unit_times
from trainable.data.split import PART_EXAMPLES

Interval = tuple[float, float]  # the middle 80 %

_DRAWS = 60  # searches that are played
_UNITS = 6000  # of all of them, at most
_LEAST_DRAWS = 24
_LOOK_SECONDS = 60.0  # between two forecasts if nothing is reported
_SHARE = 0.01  # of the driver's time that forecasts may take
_LOG_BYTES = 20_000  # of a trial in the log, in TensorBoard files and results
_EXAMPLE_BYTES = 32  # of an example's predictions, which full runs that are kept have


@dataclass(frozen=True)
class Forecast:
    """What is left of a search.

    Attributes:
        seconds: Until the last trial is over.
        slot_seconds: That slots will be held, all together.
        checkpoints: Checkpoints that there are at a time, at most.
    """

    seconds: Interval
    slot_seconds: Interval
    checkpoints: Interval


def forecast(standing: Standing, times: UnitTimes, seed: str) -> Forecast:
    """Return the middle 80 % of what a search takes that is played to its end many times.

    Args:
        standing: Where it stands.
        times: What its units take.
        seed: Of the draws, which decide nothing else.
    """
    draw, results, endings = random.Random(seed), standing.results(), list[Ending]()
    n_units = 0
    while len(endings) < _DRAWS and (n_units < _UNITS or len(endings) < _LEAST_DRAWS):
        drawn = DrawnTimes(times, standing.levels[-1], draw)
        rest = RestOfSearch(standing, results, drawn.seconds, times.start_seconds, draw)
        endings.append(rest.play())
        n_units += endings[-1].units
    return Forecast(
        _middle([ending.seconds for ending in endings]),
        _middle([ending.slot_seconds for ending in endings]),
        _middle([float(ending.checkpoints) for ending in endings]),
    )


def _middle(values: list[float]) -> Interval:
    """Return the quantiles of 10 % and 90 %, between which lie 80 % of values to come."""
    ordered = sorted(values)
    outside = max(0, round(0.1 * (len(ordered) + 1)) - 1)
    return ordered[outside], ordered[-1 - outside]


def last_ratio(plan: Plan) -> float:
    """Return how many times as many examples are evaluated after the last unit as after others."""
    sizes = plan.sizes.values()
    part = sum(min(own.n_select, PART_EXAMPLES) for own in sizes)
    return sum(own.n_select + own.n_confirm for own in sizes) / max(1, part)


class Forecaster:
    """Forecasts a search before its first trial if it can, and while it runs.

    Args:
        dispatcher: The search.
        plan: Of the search.
        devices: GPUs of a slot, or its CPU cores if it has no GPU.
        known: What was known of its units before; None where nothing was.
        slots: Returns how many trials run at a time.
        say: Prints a line.
        spent: Seconds since the driver began.
        clock: Returns seconds; that of the dispatcher.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        plan: Plan,
        devices: float,
        known: KnownBefore | None,
        slots: Callable[[], int],
        say: Callable[[str], None],
        spent: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dispatcher, self._plan, self._devices, self._known = dispatcher, plan, devices, known
        self._slots, self._say, self._clock = slots, say, clock
        self._began, self._last_ratio = clock() - spent, last_ratio(plan)
        self._latest: Forecast | None = None
        self._created, self._n_before = clock(), len(dispatcher.history.reports)
        self._made, self._took, self._used = -math.inf, 0.0, 0.0
        self._made_at: tuple[int, bool] | None = None  # reports, and whether a job had begun
        self._is_said = False

    def begin(self) -> None:
        """Say before the first trial what the search will take, or that this is not known yet."""
        self.look()
        if not self._is_said and not self._plan.options.quiet:
            self._say("forecast: not known before the first unit")

    def look(self) -> None:
        """Make the first forecast as soon as enough is known; called often."""
        if self._is_said or not self._refresh():
            return
        self._is_said = True
        history, options = self._dispatcher.history, self._plan.options
        if history.n_over >= self._dispatcher.queue.n_trials:
            return
        elapsed = self._clock() - self._began
        (low, high), hours = self._seconds(), self._device_hours()
        self._dispatcher.journal.write(
            "forecast",
            elapsed=elapsed,
            seconds=[low, high],
            device_hours=list(hours),
            disk_bytes=self._disk_bytes(),
            cost=[options.price_per_hour * own for own in hours] if options.price else None,
        )
        if not options.quiet:
            first = "what is trained already" if self._n_before else "the first unit"
            source = first if self._known is None or self._n_before else self._known.source
            whole = span(elapsed + low, elapsed + high)
            self._say(f"forecast (80 %, from {source}): {whole}, {self._costs()}")

    def interval(self) -> Interval:
        """Return the 80 % interval of the seconds that are left, made anew; something is known."""
        self._make()
        return self._seconds()

    def text(self) -> str:
        """Return for the status what is left, and what the whole search takes."""
        if not self._refresh():
            return "time left not known before the first unit"
        return f"{span(*self._seconds())} left, {self._costs()} in all"

    def _costs(self) -> str:
        options, hours = self._plan.options, self._device_hours()
        parts = [f"{numbers(*hours)} device hours", f"disk up to {size(self._disk_bytes())}"]
        if options.price:
            low, high = (options.price_per_hour * own for own in hours)
            parts.append(f"cost {numbers(low, high)}")
        return ", ".join(parts)

    def _refresh(self) -> bool:
        """Make the forecast anew if something happened; returns whether there is one."""
        now, at = self._clock(), (len(self._dispatcher.history.reports), self._has_begun)
        is_due = at != self._made_at or now - self._made >= _LOOK_SECONDS
        if is_due and now - self._made >= self._took / _SHARE:
            self._make()
        return self._latest is not None

    @property
    def _has_begun(self) -> bool:
        """Whether this driver has trained something, or does so."""
        jobs = self._dispatcher.jobs.values()
        has_reports = len(self._dispatcher.history.reports) > self._n_before
        return has_reports or any(job.started is not None for job in jobs)

    def _make(self) -> None:
        began = time.perf_counter()
        history, now = self._dispatcher.history, self._clock()
        options, trials = self._plan.options, list(history.trials.values())
        times = unit_times(trials, options.units, self._last_ratio, self._known)
        if times is not None:
            seed = f"{options.seed} forecast {len(history.reports)}"
            self._latest = forecast(self._standing(trials, now), times, seed)
        self._made, self._made_at = now, (len(history.reports), self._has_begun)
        self._used = self._used_seconds()
        self._took = time.perf_counter() - began

    def _standing(self, trials: list[TrialRecord], now: float) -> Standing:
        options, jobs = self._plan.options, self._dispatcher.jobs.values()
        finalists = self._dispatcher.queue.finalists
        return Standing(
            options.scheduler,
            self._plan.rungs,
            options.eta,
            self._dispatcher.queue.n_trials,
            max(1, self._slots()),
            trials,
            {j.trial.number: now - j.heard for j in jobs if j.started is not None and j.goes_on},
            self._dispatcher.scheduler.bracket,
            () if finalists is None else finalists.left(),
            0 if finalists is None else finalists.at_a_time,
            self._dispatcher.queue.audit.share,
        )

    def _seconds(self) -> Interval:
        """Return the seconds that are left, at most until a limit is reached."""
        assert self._latest is not None
        options, now = self._plan.options, self._clock()
        most = math.inf
        if options.time_limit_seconds is not None:
            most = max(0.0, options.time_limit_seconds - (now - self._began))
        if options.max_device_hours is not None:
            left = options.max_device_hours * 3600 - self._used_seconds()
            most = min(most, max(0.0, left) / self._devices / max(1, self._slots()))
        if self._has_begun:
            gone = now - self._made
        else:  # workers start, and nothing is trained
            startup = self._known.startup_seconds if self._known else 0.0
            gone = -max(0.0, startup - (now - self._created))
        low, high = (own - gone for own in self._latest.seconds)
        return min(most, max(0.0, low)), min(most, max(0.0, high))

    def _device_hours(self) -> Interval:
        """Return the device hours of the whole search, earlier drivers included."""
        assert self._latest is not None
        options, used = self._plan.options, self._used_seconds()
        most = math.inf if options.max_device_hours is None else options.max_device_hours
        if options.time_limit_seconds is not None:
            left = max(0.0, options.time_limit_seconds - (self._clock() - self._began))
            most = min(most, (used + left * max(1, self._slots()) * self._devices) / 3600)
        low, high = (
            max(used, self._used + own * self._devices) / 3600 for own in self._latest.slot_seconds
        )
        return min(most, low), min(most, high)

    def _used_seconds(self) -> float:
        return self._dispatcher.costs.device_seconds(self._devices)

    def _disk_bytes(self) -> int:
        """Return the most that the search will need at a time: checkpoints, predictions, log."""
        assert self._latest is not None
        plan = self._plan
        examples = sum(own.n_select + own.n_confirm for own in plan.sizes.values())
        checkpoints = self._latest.checkpoints[1] * plan.checkpoint_bytes
        trials = self._dispatcher.queue.n_trials
        return round(checkpoints + 2 * _EXAMPLE_BYTES * examples + _LOG_BYTES * trials)
