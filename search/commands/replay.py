"""The command of search/replay.py: what other schedulers would have found, on one's own curves.

It needs the log of a search only: neither data nor encoder nor cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.console import Console

from search.commands.log_command import print_answer, read_history
from search.log.find_folder import named_folder
from search.log.history import History
from search.planning.own_space import ROW_SPACES
from search.replaying.candidates import Candidate, Recording
from search.replaying.curve_ends import CurveEnds
from search.replaying.verdict import compare, conclusion, table, tells
from trainable.errors import InputError

_LEAST_FULL = 4  # full runs, from which the ends of other curves are drawn


@dataclass(frozen=True)
class ReplayOptions:
    """Say what other schedulers would have found on the learning curves of a search.

    It plays the configurations that the search tried, in random orders; the ends of curves that
    were stopped early are drawn from those that were not.
    """

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SEARCH")]
    """Name of the search below --storage, or its folder or URI."""

    storage: str = "runs"
    """Where the search is kept: a folder, or any URI that Ray can read, such as
    s3://bucket/prefix."""

    draws: int = 60
    """Replays of each scheduler, each with another order and other ends of curves."""

    seed: int = 0
    """Seed of the draws."""


def main(arguments: list[str] | None = None, prog: str = "search/replay.py") -> int:
    """Run `search/replay.py`; returns the exit status."""
    options = tyro.cli(ReplayOptions, prog=prog, args=arguments)
    return print_answer(lambda: _replay(options))


def _replay(options: ReplayOptions) -> str:
    """Replay, and return the table and a sentence."""
    if not 20 <= options.draws <= 10_000:
        raise InputError(f"--draws {options.draws}: give a number from 20 to 10,000")
    folder = named_folder(options.name, options.storage)
    history = read_history(folder)
    recording, own = recording_of(history, folder.uri)
    ends = CurveEnds(recording.trials, recording.units)
    if line := tells(ends, _LEAST_FULL):
        return line
    winner = history.best
    assert winner is not None  # there is a full run
    with Console(stderr=True).status("replaying") as status:
        rows = compare(
            recording,
            own,
            options.draws,
            options.seed,
            lambda done: status.update(f"replaying: {done} of {options.draws} draws"),
        )
    n, budget = len(recording.trials), recording.spent / recording.units
    note = (
        f"{folder.name}: {n} trials, {budget:.1f} full runs spent, {recording.slots} at a time; "
        f"{options.draws} draws of an order, and of the ends that curves lack ({ends.n_drawn} of "
        f"them) from {len(ends.full)} full runs. A replay has only the configurations that this "
        f"search tried: they come in random order, and no searcher learns from them. Scores are "
        f"those on select of full runs of what is found; `winner`: how often that is trial "
        f"{winner.number}, after half and after all of the budget."
    )
    found = table(rows, recording.units, winner.number)
    return "\n\n".join([note, found, conclusion(rows, budget)])


def recording_of(history: History, uri: str) -> tuple[Recording, Candidate]:
    """Return what a replay needs of a search, and what the search ran with.

    Args:
        history: Of the search.
        uri: Where it is, for messages.

    Raises:
        InputError: The search ran rows, or no trial has run to its end.
    """
    header, options = history.header, history.header["options"]
    if options["space"] in ROW_SPACES:
        raise InputError(
            f"{uri}: --space {options['space']} runs its rows as they are, and no scheduler "
            f"chooses among them; give a search of another space"
        )
    trials = [trial for trial in history.trials.values() if trial.reports]
    if not any(trial.status == "done" for trial in trials):
        raise InputError(
            f"{uri}: none of its {len(trials)} trials with a score has run to its end yet; replay "
            f"it once one has"
        )
    units = header["units"]
    recording = Recording(
        trials,
        units,
        slots=max(1, int(header["slots"])),
        spent=sum(own.units for own in trials),
    )
    return recording, Candidate(options["scheduler"], options["eta"], units)
