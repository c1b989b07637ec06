"""Which trial gets the next job: one that waits, one that is promoted, or a new one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from search.log.history import History, Journal
from search.log.trial import TrialRecord
from search.loop.audit import Audit
from search.loop.finalists import Finalists
from search.schedulers.base import Decision, Scheduler
from search.searchers.base import Searcher, Suggestion
from spaces.fixed_configs import RowSpace
from spaces.space import Space
from trainable.component import Value


class TrialQueue:
    """Chooses the trial of the next job, and writes down suggestions and promotions.

    Attributes:
        n_trials: Trials that the search will have; no new one begins when there are so many.
        waiting: Trials that need another job, whatever the scheduler says: an earlier driver left
            them open, or they lost their machine. They come first, the default before others.
        finalists: Get more seeds when nothing else is left to do; None for none.
        audit: Lets some of the trials that would be stopped run on; these come next.

    Args:
        journal: History and log.
        scheduler: Which paused trials are promoted.
        searcher: Suggests new trials after the first ones.
        space: Turns params into a RunConfig.
        points: Params of the first trials, and who suggested them.
        stop: Stops a paused trial, for a reason.
    """

    def __init__(
        self,
        journal: Journal,
        scheduler: Scheduler,
        searcher: Searcher,
        space: Space | RowSpace,
        points: list[tuple[dict[str, Value], str]],
        stop: Callable[[TrialRecord, str], None],
    ) -> None:
        self._journal, self._scheduler, self._searcher = journal, scheduler, searcher
        self._space, self._points, self._stop = space, points, stop
        self.audit = Audit(journal)
        self._history: History = journal.history
        still_open = [t for t in self._history.runs if t.is_open]
        self.waiting = deque(sorted(still_open, key=lambda trial: not trial.is_default))
        self.finalists: Finalists | None = None
        self.n_trials = self._history.n_trials
        if self._history.limited:
            self.no_more_trials()

    def no_more_trials(self) -> None:
        """Let nothing new begin; what has begun may still be promoted."""
        self.n_trials = len(self._history.trials)

    def next(self, *, others_run: bool) -> TrialRecord | None:
        """Return the trial of the next job, or None where there is none at the moment.

        Args:
            others_run: Whether there are jobs, whose ends may bring the searcher something new.
        """
        if self.waiting:
            return self.waiting.popleft()
        for trial in self._scheduler.unpromotable():
            if not self.audit.takes(trial):
                self._stop(trial, "cannot be promoted any more")
        if (audited := self.audit.next()) is not None:
            return audited
        promotion = self._scheduler.next_promotion(draining=False)
        if promotion is not None:
            return self._promote(*promotion)
        position, number = len(self._history.trials), self._history.next_number
        if position >= self.n_trials:
            return None if self.finalists is None else self.finalists.next()
        suggestion = self._suggest(position, number)
        if suggestion is not None:
            return self._begin(number, suggestion)
        if not others_run:
            self.no_more_trials()
        return None

    def is_drained(self) -> bool:
        """Return whether no trial will need a job any more; call it while there are no jobs.

        The last trial that may still be promoted goes on. Without one, all paused trials are
        stopped, but for those that are drawn for an audit; then the finalists get more seeds.
        """
        if self.waiting or len(self._history.trials) < self.n_trials:
            return False
        promotion = self._scheduler.next_promotion(draining=True)
        if promotion is not None:
            self.waiting.append(self._promote(*promotion))
            return False
        for trial in self._history.trials.values():
            if trial.status == "paused" and not self.audit.takes(trial):
                self._stop(trial, "nothing can be promoted any more")
        run = self.audit.next()
        if run is None and self.finalists is not None:
            run = self.finalists.begin()
        if run is not None:
            self.waiting.append(run)
        return run is None

    def _promote(self, trial: TrialRecord, unit: int, decision: Decision) -> TrialRecord:
        rank, among = decision.rank, decision.among
        self._journal.write("promoted", trial=trial.number, unit=unit, rank=rank, among=among)
        return trial

    def _suggest(self, position: int, number: int) -> Suggestion | None:
        if position >= len(self._points):
            return self._searcher.suggest(number, self._history)
        params, origin = self._points[position]
        return Suggestion(params, origin, self._space.config_of(params))

    def _begin(self, number: int, suggestion: Suggestion) -> TrialRecord:
        self._journal.write(
            "suggested",
            trial=number,
            params=suggestion.params,
            run_config=suggestion.run_config.to_dict(),
            bracket=self._scheduler.bracket(number),
            origin=suggestion.origin,
        )
        return self._history.trials[number]
