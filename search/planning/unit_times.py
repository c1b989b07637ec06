"""What the units of a search take: from those that it trained, and from what was known before."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from search.log.history import History
from search.log.trial import Metrics, TrialRecord
from search.planning.unit_cost import UnitCost

# Of twelve searches that were recorded on one busy machine (tests/benchmarks/unit_seconds.json): by
# how much the logarithm of a unit's seconds is above that of the default, and how that varies among
# searches; its standard deviation among configurations; and among the units of one.
_OVER_DEFAULT, _OVER_DEFAULT_ERROR = 0.45, 0.5
_SPREAD, _UNIT_SPREAD = 0.55, 0.3
_WEIGHT = 4  # trials, or units, that these count as
_MEASURED_ERROR = 0.3  # of the logarithm: a few steps of a few configurations were measured
_WARM_SECONDS = 5.0  # until trials begin in processes that have measured something
_RECORDED_ERROR = 0.2  # of the logarithm, from one search to the next on the same machine
_MACHINE = 0.1  # of the logarithm: a machine is not always equally fast
_SWITCH_SECONDS = 0.3  # between two jobs of a slot, besides the start


@dataclass(frozen=True)
class KnownBefore:
    """What is known of a search's units before it trains one.

    Attributes:
        log_mean: Mean over configurations, but for the default, of the logarithm of a unit's
            seconds.
        error: Its standard error.
        last_seconds: What the last unit of a trial takes longer.
        start_seconds: To begin a job.
        startup_seconds: Until the first job has begun.
        source: From where it is known, such as `a measured unit`.
        spread: Standard deviation of that logarithm among configurations.
        over_default: How much it is above that of the default.
        over_default_error: Standard error of that.
    """

    log_mean: float
    error: float
    last_seconds: float
    start_seconds: float
    startup_seconds: float
    source: str
    spread: float = _SPREAD
    over_default: float = _OVER_DEFAULT
    over_default_error: float = _OVER_DEFAULT_ERROR


def measured_before(cost: UnitCost, unit_tokens: float) -> KnownBefore:
    """Return what is known where a unit was measured.

    Args:
        cost: What the parts of a trial take, as the mean over a few configurations.
        unit_tokens: Tokens of a unit.
    """
    return KnownBefore(
        math.log(cost.unit_seconds(unit_tokens)),
        _MEASURED_ERROR,
        cost.last_seconds,
        cost.start_seconds,
        _WARM_SECONDS,
        "a measured unit",
    )


@dataclass(frozen=True)
class UnitTimes:
    """What units take.

    Attributes:
        own: Trial -> mean of the logarithm of its units' seconds, of trials that have any, and the
            standard error of that.
        log_mean: The same of the average trial but the default.
        error: Standard error of that.
        spread: Standard deviation among trials.
        unit_spread: Standard deviation among the units of one trial.
        over_default: How much `log_mean` is above that of the default.
        over_default_error: Standard error of that.
        last_seconds: What the last unit of a trial takes longer.
        start_seconds: To begin a job.
    """

    own: dict[int, tuple[float, float]]
    log_mean: float
    error: float
    spread: float
    unit_spread: float
    over_default: float
    over_default_error: float
    last_seconds: float
    start_seconds: float


def unit_times(
    trials: Sequence[TrialRecord], units: int, last_ratio: float, known: KnownBefore | None
) -> UnitTimes | None:
    """Return what units take; None where nothing is known.

    Each source says something of the average trial, and counts by its precision: what was known
    before, the default, and each other trial.

    Args:
        trials: Of this search.
        units: Of a full run.
        last_ratio: Examples that are evaluated after the last unit, over those of other units.
        known: What was known before.
    """
    found = {trial.number: logs for trial in trials if (logs := unit_logs(trial))}
    unit_spread = _spread(found.values(), _UNIT_SPREAD)
    own = {n: (fmean(logs), unit_spread / len(logs) ** 0.5) for n, logs in found.items()}
    defaults = {trial.number for trial in trials if trial.is_default}
    others = [mean for number, mean in own.items() if number not in defaults]
    spread = _spread([[log for log, _ in others]], _SPREAD if known is None else known.spread)
    said = [(log, spread**2 + error**2) for log, error in others]
    over = _OVER_DEFAULT if known is None else known.over_default
    over_error = _OVER_DEFAULT_ERROR if known is None else known.over_default_error
    timed = [own[number] for number in defaults & own.keys()]
    said += [(log + over, over_error**2 + error**2) for log, error in timed]
    said += [(known.log_mean, known.error**2)] if known else []
    if not said:
        return None
    precision = sum(1 / variance for _, variance in said)
    last, start = _fixed_seconds(trials, units, last_ratio, known)
    return UnitTimes(
        own,
        sum(log / variance for log, variance in said) / precision,
        precision**-0.5,
        spread,
        unit_spread,
        over,
        over_error,
        last,
        start,
    )


def recorded_before(history: History, unit_tokens: float, source: str) -> KnownBefore | None:
    """Return what another search says of units that train so many tokens; None if it says nothing.

    Args:
        history: Of a search with the same encoder and data, on the same kind of device.
        unit_tokens: Tokens of a unit here.
        source: Name of the search.
    """
    trials, ratio = list(history.trials.values()), _tokens_ratio(history, unit_tokens)
    times = unit_times(trials, history.header["units"], 1.0, None)
    defaults = [trial.number for trial in trials if trial.is_default]
    if times is None or ratio is None or not times.own.keys() - defaults:
        return None
    over = {
        number: times.log_mean - times.own[number][0] for number in defaults if number in times.own
    }
    # One that failed in its first unit does not say what that took.
    first = min((t for t in trials if unit_logs(t)), key=lambda t: min(t.reported.values()))
    unit = min(first.reported)
    startup = first.reported[unit] - history.header["time"] - math.exp(unit_logs(first)[0])
    return KnownBefore(
        log_mean=times.log_mean + math.log(ratio),
        error=math.hypot(times.error, _RECORDED_ERROR),
        last_seconds=times.last_seconds,
        start_seconds=times.start_seconds - _SWITCH_SECONDS,
        startup_seconds=max(0.0, startup),
        source=source,
        spread=times.spread,
        over_default=over[0] if over else _OVER_DEFAULT,
        over_default_error=_RECORDED_ERROR if over else _OVER_DEFAULT_ERROR,
    )


def _tokens_ratio(history: History, unit_tokens: float) -> float | None:
    """Return how many times as long a unit takes here as there: training goes with its tokens."""
    before = after = 0.0
    for trial in history.trials.values():
        tokens = trial.last.get("tokens")
        for metrics in trial.reports.values() if tokens else ():
            train, rest = _seconds(metrics, "train_seconds"), _seconds(metrics, "eval_seconds")
            before += train + rest
            after += train * unit_tokens / (float(tokens or 0.0) / trial.units) + rest
    return after / before if before else None


def _spread(groups: Iterable[list[float]], usual: float) -> float:
    """Return the standard deviation inside groups, with what is usual as so many more values."""
    around, n = _WEIGHT * usual**2, float(_WEIGHT)
    for values in groups:
        if len(values) > 1:
            mean = fmean(values)
            around += sum((value - mean) ** 2 for value in values)
            n += len(values) - 1
    return math.sqrt(around / n)


def unit_logs(trial: TrialRecord) -> list[float]:
    """Return the logarithm of the seconds of each unit that did not fail.

    Of the last unit the evaluation counts as that of the unit before: it sees more examples.
    """
    logs, evaluation = [], math.inf
    for _, metrics in sorted(trial.reports.items()):
        train = metrics.get("train_seconds")
        if train:
            evaluation = min(evaluation, metrics.get("eval_seconds") or 0.0)
            rest = (metrics.get("save_seconds") or 0.0) + (metrics.get("prefix_seconds") or 0.0)
            logs.append(math.log(train + evaluation + rest))
    return logs


def _fixed_seconds(
    trials: Sequence[TrialRecord], units: int, last_ratio: float, known: KnownBefore | None
) -> tuple[float, float]:
    """Return what a last unit takes longer, and a start: medians of those that were seen."""
    parts: list[float] = []
    wholes: list[float] = []
    starts: list[float] = []
    for trial in trials:
        for unit, metrics in trial.reports.items():
            (wholes if unit >= units else parts).append(_seconds(metrics, "eval_seconds"))
        starts += [_seconds(trial.last, "start_seconds")] if trial.reports else []
    part = median(parts) if parts else 0.0
    if wholes and parts:
        last = max(0.0, median(wholes) - part)
    elif known is not None:
        last = known.last_seconds
    else:
        last = part * (last_ratio - 1)
    # The first trial loads data and encoder; later ones of a process find them there.
    usual = known.start_seconds if known else 0.0
    return last, (median(starts[1:]) if starts[1:] else usual) + _SWITCH_SECONDS


def _seconds(metrics: Metrics, key: str) -> float:
    return metrics.get(key) or 0.0


class DrawnTimes:
    """Seconds of units, drawn for one search that is played.

    Args:
        times: What units take.
        units: Of a full run.
        draw: A generator that decides nothing else.
    """

    def __init__(self, times: UnitTimes, units: int, draw: random.Random) -> None:
        self._times, self._units, self._draw = times, units, draw
        self._machine = draw.gauss(0.0, _MACHINE)
        self._mean = times.log_mean + draw.gauss(0.0, times.error)
        self._own: dict[int, float] = {}

    def seconds(self, number: int, unit: int) -> float:
        """Return the seconds of a unit of a trial."""
        own = self._own.get(number)
        if own is None:
            own = self._own[number] = self._drawn(number)
        noise = self._machine + self._draw.gauss(0.0, self._times.unit_spread)
        last = self._times.last_seconds if unit >= self._units else 0.0
        return math.exp(own + noise) + last

    def _drawn(self, number: int) -> float:
        times, draw = self._times, self._draw
        if number in times.own:
            return draw.gauss(*times.own[number])
        if number == 0:  # the default comes first
            return self._mean - times.over_default + draw.gauss(0.0, times.over_default_error)
        return self._mean + draw.gauss(0.0, times.spread)
