"""The finalists of a search: who got more seeds, how they stood, and what is claimed."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from search.log.events import Event


@dataclass(frozen=True)
class Verdict:
    """What is claimed of the winner, on *confirm* and with new seeds alone.

    Attributes:
        default: Number of the default's trial.
        seeds: New seeds of each of the two.
        score: Mean score of the winner over them; None where it is not known.
        score_width: Half of the width of its interval; None where it is not known.
        gain: Mean score minus that of the default; None for the default, or where it is not known.
        gain_width: Half of the width of its interval; None where it is not known.
        interval: Share of cases in which such an interval covers the truth, in (0, 1).
        is_better: Whether the winner is better than the default, with a confidence of 0.95.
    """

    default: int
    seeds: int
    score: float | None
    score_width: float | None
    gain: float | None
    gain_width: float | None
    interval: float
    is_better: bool

    @property
    def claim(self) -> str:
        """The score with its interval, and what was gained."""
        if self.score is None or self.score_width is None:
            return self.sentence
        return f"{self.score:.4f} ± {self.score_width:.4f} on confirm; {self.sentence}"

    @property
    def sentence(self) -> str:
        """What was gained, in plain words."""
        with_seeds = f"{100 * self.interval:.0f} % interval, {_seeds(self.seeds)} of each"
        if self.gain is None:
            return "no difference was shown: nothing was gained over the default"
        if self.gain_width is None:
            return (
                f"no difference was shown: {100 * self.gain:+.1f} points over the default on "
                f"confirm, with {_seeds(self.seeds)} of each: too few to know the error"
            )
        amount = f"{100 * abs(self.gain):.1f} ± {100 * self.gain_width:.1f} points"
        if self.is_better:
            return f"better than the default by {amount} on confirm ({with_seeds})"
        sign = "-" if self.gain < 0 else "+"
        return f"no difference was shown: {sign}{amount} over the default on confirm ({with_seeds})"


@dataclass
class Race:
    """A race of finalists, as far as the log tells it.

    Attributes:
        finalists: Numbers of their trials, the best first; the default is the last one. Empty where
            there was nothing to race.
        asked: How many there may be beside the default.
        n_runs: Runs with new seeds that they may have together.
        n_trials: Trials of the search when they were chosen.
        first: Number of the first run that this race may begin.
        rounds: The events `raced`, one for each seed.
        is_over: Whether no more seeds follow, and the verdict, if there is one, is in the log.
    """

    finalists: list[int]
    asked: int
    n_runs: int
    n_trials: int
    first: int
    rounds: list[Event] = field(default_factory=list)
    is_over: bool = False

    @property
    def live(self) -> list[int]:
        """Those that get the next seed."""
        return list(self.rounds[-1]["live"]) if self.rounds else self.finalists


def race_of(event: Event) -> Race:
    """Return the race that an event `finalists` begins."""
    return Race(
        finalists=event["trials"],
        asked=event["asked"],
        n_runs=event["n_runs"],
        n_trials=event["n_trials"],
        first=event["first"],
        is_over=not event["trials"],
    )


def verdict_of(event: Event) -> Verdict:
    """Return what an event `verdict` says."""
    return Verdict(**{own.name: event[own.name] for own in fields(Verdict)})


def _seeds(n: int) -> str:
    return f"{n} new seed{'' if n == 1 else 's'}"
