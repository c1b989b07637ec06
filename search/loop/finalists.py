"""The finalists: the best finished trials and the default get more seeds, while they may win.

The winner of a search is the luckiest of many: of its seed, and of the examples in *select*. So its
configuration and those next to it run again with other seeds, in rounds of one seed each. After a
round, whoever is clearly behind on *select* gets no more; the race is over when one is better than
all others, or when the runs are used up. Then, once, *confirm* is asked whether the winner is
better than the default, over new seeds only: neither these examples nor these seeds had a part in
choosing the finalists.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from search.log.history import Journal
from search.log.leaderboard import leaderboard
from search.log.race import Race
from search.log.trial import TrialRecord
from search.loop import racing
from search.loop.finalist_scores import Covariance, FinalistScores, has_score

LEAST_SEEDS = 2  # new ones of each, for a claim
_OTHER_SEEDS = 1000  # is added to the seed of a trial, so that no retraining has the same ones
_SEEDS = 2**31


class Finalists:
    """Begins runs with new seeds, and writes down what follows from them.

    All of its state is in the log, so a later driver goes on where this one stopped.

    Attributes:
        n_runs: Runs with new seeds that finalists may have together.

    Args:
        journal: History and log.
        most: How many there are beside the default, at most; at least 1.
        n_runs: Runs with new seeds that they may have together, at least 4.
        covariance: Tells how scores vary with the examples.
        say: Prints a line.
    """

    def __init__(
        self,
        journal: Journal,
        most: int,
        n_runs: int,
        covariance: Covariance,
        say: Callable[[str], None],
    ) -> None:
        self._journal, self._history = journal, journal.history
        self._most, self.n_runs = most, n_runs
        self._covariance, self._say = covariance, say

    def begin(self) -> TrialRecord | None:
        """Choose the finalists, if nothing else is left to do; returns the first run to train."""
        race = self._history.race
        if race is None or (race.asked, race.n_trials) != (self._most, len(self._history.trials)):
            self._choose()
        return self.next()

    def next(self) -> TrialRecord | None:
        """Return the next run to train; None where there is none at the moment, or at all."""
        race = self._history.race
        if race is None or race.n_trials != len(self._history.trials):
            return None
        while not race.is_over:
            if race.rounds and race.rounds[-1]["is_over"]:
                self._conclude(race)
                return None
            number = len(race.rounds) + 1
            runs = self._runs(race)
            missing = [own for own in race.live if len(runs[own]) < number]
            if missing:
                return self._begin_run(missing[0], number)
            if any(not runs[own][number - 1].is_over for own in race.live):
                return None
            self._end_round(race, number, runs)
        return None

    def _choose(self) -> None:
        done = [
            trial
            for trial in leaderboard(self._history.trials.values())
            if trial.status == "done" and math.isfinite(trial.score)
        ]
        default = next((trial for trial in done if trial.is_default), None)
        n = min(self._most, self.n_runs // LEAST_SEEDS - 1)
        others = [trial.number for trial in done if not trial.is_default][:n]
        chosen = [*others, default.number] if default is not None and others else []
        self._journal.write(
            "finalists",
            trials=chosen,
            asked=self._most,
            n_runs=self.n_runs,
            n_trials=len(self._history.trials),
            first=self._history.next_number,
        )
        if not chosen:
            self._say("no finalists: the default and another trial must run to their ends first")
            return
        named = ", ".join(f"trial {number}" for number in others)
        self._say(f"finalists: {named} and the default, up to {self.n_runs} runs with new seeds")

    def left(self) -> list[int]:
        """Return how many units each run has that is under way, or may still begin."""
        race = self._history.race
        if race is not None and race.is_over:
            return []
        runs = self._history.seed_runs.values()
        return [run.units for run in runs if not run.is_over] + [0] * (self.n_runs - len(runs))

    @property
    def at_a_time(self) -> int:
        """How many of them may run at a time: one of each finalist."""
        race = self._history.race
        return self._most + 1 if race is None else len(race.live)

    def _runs(self, race: Race) -> dict[int, list[TrialRecord]]:
        """Return finalist -> its runs with new seeds, in the order of their seeds."""
        return {own: self._history.seed_runs_of(own) for own in race.finalists}

    def _begin_run(self, finalist: int, number: int) -> TrialRecord:
        trial, own = self._history.trials[finalist], self._history.next_number
        seed = (trial.config.seed + _OTHER_SEEDS + number) % _SEEDS
        self._journal.write(
            "suggested",
            trial=own,
            params=trial.params,
            run_config=trial.config.model_copy(update={"seed": seed}).to_dict(),
            bracket=0,
            origin=f"seed {number} of trial {finalist}",
            seed_of=finalist,
        )
        return self._history.seed_runs[own]

    def _end_round(self, race: Race, number: int, runs: dict[int, list[TrialRecord]]) -> None:
        """Write down how the finalists stand, and who gets the next seed."""
        default = race.finalists[-1]
        able = [own for own in race.live if has_score(runs[own][number - 1])]
        before = {line["trial"]: line for line in self._standings(race)}
        if default not in able or len(able) < 2:
            why = "of the default failed" if default not in able else "of all others failed"
            leader = race.rounds[-1]["winner"] if race.rounds else default
            self._write_round(race, number, leader, [], list(before.values()), f"the runs {why}")
            return
        scores = FinalistScores(
            self._history.trials, runs, number, "select", self._covariance, able
        )
        leader = max(able, key=lambda own: (scores.with_first(own), own == default))
        behind = {own: scores.difference(leader, own) for own in able if own != leader}
        kept = [own for own in behind if own == default or not racing.has_lost(behind[own])]
        kept.sort(key=lambda own: (own != default, behind[own].mean))
        left = race.n_runs - sum(run >= race.first for run in self._history.seed_runs)
        live = [own for own in race.finalists if own in [leader, *kept][:left]]
        level = racing.corrected(len(race.finalists) - 1, race.n_runs // 2)
        reason = ""
        if left < 2:
            reason = "the runs are used up"
        elif live == [default]:
            reason = "none may still win but the default"
        elif (
            number >= LEAST_SEEDS
            and len(live) == 2
            and all(behind[own].is_above(level) for own in live if own != leader)
        ):
            reason = f"trial {leader} is ahead of all others"
        lines = before | {
            own: {
                "trial": own,
                "seeds": number,
                "mean": float(scores.of(own).mean()),
                "behind": behind[own].mean if own in behind else 0.0,
                "error": behind[own].error if own in behind else None,
                "left": None if own in live or (reason and own in [leader, *kept]) else number,
            }
            for own in able
        }
        for own in set(race.live) - set(able):
            lines[own] = before[own] | {"left": number}
        winner = self._winner(able, default, scores)
        self._write_round(race, number, winner, live, list(lines.values()), reason)

    def _winner(self, able: list[int], default: int, scores: FinalistScores) -> int:
        """Return who leads: the default, until another beats it by more than the error."""
        best = max((own for own in able if own != default), key=scores.with_first)
        gain = scores.with_first(best) - scores.with_first(default)
        return best if gain > scores.difference(best, default).error else default

    def _standings(self, race: Race) -> list[dict[str, Any]]:
        if race.rounds:
            return list(race.rounds[-1]["standings"])
        empty = {"seeds": 0, "mean": None, "behind": None, "error": None, "left": None}
        return [{"trial": own, **empty} for own in race.finalists]

    def _write_round(
        self, race: Race, number: int, winner: int, live: list[int], lines: list[Any], reason: str
    ) -> None:
        self._journal.write(
            "raced",
            winner=winner,
            live=live,
            is_over=bool(reason),
            reason=reason,
            standings=lines,
        )
        kept = ", ".join(str(own) for own in live)
        more = f"it ends: {reason}" if reason else f"another seed for trials {kept}"
        self._say(f"finalists after {number} new seeds: trial {winner} leads on select; {more}")

    def _conclude(self, race: Race) -> None:
        """Ask *confirm*, once, whether the winner is better than the default."""
        winner, default = race.rounds[-1]["winner"], race.finalists[-1]
        runs = self._runs(race)
        both = [winner] if winner == default else [winner, default]
        n = min(sum(map(has_score, runs[own])) for own in both)
        level = racing.corrected(len(race.finalists) - 1)
        score = gain = None
        if n:
            able = [own for own in race.finalists if sum(map(has_score, runs[own]))]
            scores = FinalistScores(
                self._history.trials, runs, len(race.rounds), "confirm", self._covariance, able
            )
            score = scores.mean(winner)
            gain = None if winner == default else scores.difference(winner, default)
        is_known = n >= LEAST_SEEDS
        self._journal.write(
            "verdict",
            trial=winner,
            default=default,
            seeds=n,
            score=score and score.mean,
            score_width=score.half_width(level) if score and is_known else None,
            gain=gain and gain.mean,
            gain_width=gain.half_width(level) if gain and is_known else None,
            interval=2 * level - 1,
            is_better=gain is not None and is_known and gain.is_above(level),
        )
