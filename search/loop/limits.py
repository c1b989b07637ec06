"""When a search ends early: by time, device-hours, failures, or since little more can be gained."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable

from search.log.history import History
from search.loop.dispatcher import Dispatcher
from search.planning.options import SearchOptions

_LOOK_SECONDS = 1.0
_FAILURES = 6
_MORE_RUNS = 10  # full runs whose gain is forecast
_LEAST_RUNS = 8  # full runs that a forecast needs
_DRAWS = 2000


class Limits:
    """Ends a search when it reaches one of its limits.

    Attributes:
        reached: Why the search ends now; None while it goes on.
        is_failure: Whether it ends because it cannot go on.

    Args:
        dispatcher: The search.
        options: The limits, and the seed of forecasts.
        devices: GPUs of a slot, or CPU cores of one without a GPU.
        say: Prints a line.
        spent: Seconds of the time limit that are gone already.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        options: SearchOptions,
        devices: float,
        say: Callable[[str], None],
        spent: float,
    ) -> None:
        self._dispatcher, self._options = dispatcher, options
        self._devices, self._say = devices, say
        self._started, self._looked = time.monotonic() - spent, -math.inf
        self._n_judged = 0  # full runs that the last forecast was made from
        self.reached: str | None = None
        self.is_failure = False

    @property
    def seconds_left(self) -> float | None:
        """Until the time limit; None where there is none."""
        limit = self._options.time_limit_seconds
        return None if limit is None else limit - (time.monotonic() - self._started)

    @property
    def reason(self) -> str:
        """Why the search ends before its trials do, or begins no more of them; else empty."""
        limited = self._dispatcher.history.limited
        return self.reached or (limited["reason"] if limited else "")

    def fail(self, reason: str) -> None:
        """End the search: it cannot go on."""
        self.reached, self.is_failure = reason, True

    def look(self) -> None:
        """See whether a limit is reached; called often, and before the first trial begins."""
        now = time.monotonic()
        if self.reached is not None or now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        options = self._options
        left = self.seconds_left
        if left is not None and left <= 0:
            self.reached = f"--time-limit {options.time_limit} is over"
        elif options.max_device_hours is not None:
            hours = self._dispatcher.costs.device_seconds(self._devices) / 3600
            if hours >= options.max_device_hours:
                self.reached = f"--max-device-hours {options.max_device_hours:g} are used"
        self._look_at_failures()
        self._look_at_gain()

    def _look_at_gain(self) -> None:
        """Let no more trials begin if they would hardly help; this binds later drivers, too."""
        dispatcher, options = self._dispatcher, self._options
        trials = dispatcher.history.trials
        if options.min_gain is None or len(trials) >= dispatcher.queue.n_trials:
            return
        n_done = sum(trial.status == "done" for trial in trials.values())
        if n_done == self._n_judged:
            return
        self._n_judged = n_done
        gain = expected_gain(dispatcher.history, options.seed)
        if gain is not None and gain < options.min_gain:
            reason = (
                f"--min-gain {options.min_gain:g}: {_MORE_RUNS} more full runs would raise the "
                f"best score by about {gain:.4f}"
            )
            dispatcher.journal.write("limited", reason=reason, min_gain=options.min_gain)
            dispatcher.queue.no_more_trials()
            self._say(f"no new trials begin: {reason}")

    def _look_at_failures(self) -> None:
        """End the search at a mistake that every trial runs into, before each fails three times."""
        errors = self._dispatcher.early_failures.errors
        if len(errors) >= _FAILURES:
            self.fail(f"{_FAILURES} attempts failed and none succeeded: {errors[-1]}")


def expected_gain(history: History, seed: int) -> float | None:
    """Return by how much ten more full runs would raise the best score, on average.

    Scores to come are drawn from the scores of the newer half of all full runs, smoothed by a
    Gaussian kernel. This estimate knows nothing of the space, and grows with their spread.

    Source: expected improvement (Mockus 1978). Deviation: over the distribution of the scores that
    the searcher's recent suggestions had, instead of over a model of the space. The bandwidth
    follows Scott's rule.

    Returns:
        The gain, at least 0; None before eight full runs.
    """
    done = [trial.score for trial in history.trials.values() if trial.status == "done"]
    scores = [score for score in done if math.isfinite(score)]
    if len(scores) < _LEAST_RUNS:
        return None
    recent = scores[len(scores) // 2 :]
    mean = sum(recent) / len(recent)
    deviation = (sum((s - mean) ** 2 for s in recent) / (len(recent) - 1)) ** 0.5
    width = deviation * len(recent) ** -0.2
    draw = random.Random(f"{seed} gain {len(scores)}")
    top = max(scores)
    gains = [
        max(0.0, max(draw.gauss(draw.choice(recent), width) for _ in range(_MORE_RUNS)) - top)
        for _ in range(_DRAWS)
    ]
    return sum(gains) / len(gains)
