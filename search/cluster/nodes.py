"""Nodes that come and go while a search runs."""

from __future__ import annotations

import time
from collections.abc import Callable

from search.cluster.connect import Resources, room
from search.cluster.preflight.checks import Preflight
from search.log.history import Journal
from search.loop.limits import Limits
from search.planning.options import SearchOptions

_LOOK_SECONDS = 3.0


class Nodes:
    """Follows what the nodes of the cluster have room for, and looks at those that join.

    Attributes:
        room: Trials that may run at the same time.

    Args:
        journal: Is told when the room changes.
        options: How many trials may run at a time, if the user said so.
        share: What a trial gets.
        preflight: Looks at nodes.
        limits: Ends the search where trials cannot run on a node.
        say: Prints a line.
    """

    def __init__(
        self,
        journal: Journal,
        options: SearchOptions,
        share: Resources,
        preflight: Preflight,
        limits: Limits,
        say: Callable[[str], None],
    ) -> None:
        self._journal, self._options, self._share = journal, options, share
        self._preflight, self._limits, self._say = preflight, limits, say
        self._looked = time.monotonic()
        self.room = share.max_concurrent

    def look(self) -> None:
        """See which nodes there are; called often."""
        now = time.monotonic()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        if wrong := self._preflight.look(self._say):
            self._limits.fail(wrong)
        there = room(self._options, self._share, self._journal.history.n_trials)
        if there != self.room:
            self.room = there
            self._journal.write("places", slots=there)
