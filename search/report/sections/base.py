"""What every section of the report is: a function from a finished search to paragraphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from search.log.history import History
from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.report.logged_search import LoggedSearch


@dataclass(frozen=True)
class FinishedSearch:
    """What a section may read.

    Attributes:
        plan: The search.
        history: What happened in it.
    """

    plan: Plan
    history: History

    @property
    def trials(self) -> list[TrialRecord]:
        """All trials, in the order in which they were suggested."""
        return list(self.history.trials.values())

    @cached_property
    def logged(self) -> LoggedSearch:
        """What follows from the log alone."""
        return LoggedSearch(self.plan.folder.name, self.history)

    @property
    def folder(self) -> Path:
        """Local folder of the search."""
        return self.plan.folder.local


# Returns the paragraphs of the section, its heading first; none where there is nothing to say.
Section = Callable[[FinishedSearch], list[str]]
