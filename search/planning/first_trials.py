"""The space of a search, and the rows that it runs or begins with."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from search.log.history import History
from search.planning.corpora import (
    FEATURES,
    given_corpora,
    nli_data,
    rows_with,
    text_data,
    why_missing,
)
from search.planning.options import SearchOptions
from search.planning.own_space import ROW_SPACES, read_edits
from spaces.ablation import ablation
from spaces.catalogue import make_space
from spaces.edit_space import edit_space, moved
from spaces.fixed_configs import RowSpace, matching
from spaces.published import load_published
from spaces.space import Space
from trainable.component import Value
from trainable.data.nli import HubNli
from trainable.errors import InputError
from trainable.run_config import RunConfig


def row_space(
    options: SearchOptions, base: RunConfig, earlier: History
) -> tuple[RowSpace, list[str]]:
    """Return the rows that `--space published` or `--space ablation` runs, and notes.

    Args:
        options: Which rows, and how often.
        base: Has the data, the encoder and the budget of all rows.
        earlier: A search that goes on has the rows that it began with.

    Raises:
        InputError: A pattern fits no row, or a chosen row cannot be run.
    """
    if options.space == "published":
        rows = published(options, base)
        begun = earlier.header.get("space", {}).get("row", {}).get("values", [])
        kept = {name: config for name, config in rows.items() if name in begun}
        kept, left_out = (kept, []) if kept else with_features(options, rows)
        return RowSpace(options.space, base, kept, options.repeats), left_out
    text, nli = given_corpora(options, base)
    known = dict(ablation(base, text, nli or HubNli()))
    # Every row is compared with the base, so it runs whatever --rows names.
    names = {"base", *_chosen(options, known)}
    chosen = {name: config for name, config in known.items() if name in names}
    return RowSpace(options.space, base, chosen, options.repeats), []


def rows_stopped(options: SearchOptions, levels: Sequence[int]) -> list[str]:
    """Return a note if rungs stop most of the rows of a new search before their end.

    Args:
        options: Its space, its scheduler and its eta count.
        levels: Units after which the scheduler decides, ascending; the last one ends the run.
    """
    if options.space not in ROW_SPACES or options.resume or len(levels) < 2:
        return []
    return [
        f"--scheduler {options.scheduler}: rungs stop about {options.eta - 1} of {options.eta} "
        f"rows before their end, and only full runs can be compared; --scheduler none runs all of "
        f"them"
    ]


def published(options: SearchOptions, base: RunConfig) -> dict[str, RunConfig]:
    """Return id -> configuration, for the published rows that `--rows` names.

    Raises:
        InputError: A pattern fits no row; a row that it names in full cannot be run.
    """
    known = {row.id: row for row in load_published()}
    rows = [known[name] for name in _chosen(options, known)]
    refused = [row for row in rows if row.why_not]
    named = _named(options)
    if any(row.id in named for row in refused) or len(refused) == len(rows):
        reasons = "; ".join(f"{row.id}: {row.why_not}" for row in refused)
        raise InputError(f"--rows {options.rows!r}: cannot be run ({reasons})")
    text, nli = text_data(options), nli_data(options)
    return {row.id: row.config(base, text, nli) for row in rows if not row.why_not}


def _named(options: SearchOptions) -> set[str]:
    """Return the rows that `--rows` names in full, and its patterns."""
    return {name.strip() for name in (options.rows or "").split(",")}


def with_features(
    options: SearchOptions, rows: dict[str, RunConfig]
) -> tuple[dict[str, RunConfig], list[str]]:
    """Return the rows whose input features can be had here, and a note on those left out.

    A row that `--rows` names in full stays, and so do all where none would be left: for these
    `check_corpora` refuses the search.
    """
    refused: dict[str, str] = {}
    for feature in FEATURES:
        names = [name for name in rows_with(feature, rows) if name not in _named(options)]
        if names and (reason := why_missing(feature)):
            refused |= dict.fromkeys(names, reason)
    kept = {name: config for name, config in rows.items() if name not in refused}
    if not kept:
        return rows, []
    return kept, [f"row {name} is left out: {reason}" for name, reason in refused.items()]


def _chosen(options: SearchOptions, names: Iterable[str]) -> list[str]:
    """Return the names that `--rows` chooses, or all of them without it."""
    try:
        return matching(names, options.rows or "*")
    except InputError as error:
        raise InputError(f"--rows {options.rows!r}: {error}") from error


def own_space(options: SearchOptions, base: RunConfig) -> tuple[Space, list[str]]:
    """Return the space that the options ask for, and notes about its first trial.

    Raises:
        InputError: A change of the space is refused; see `edit_space`.
    """
    name, edits = read_edits(options)
    text, nli = given_corpora(options, base)
    space = before = make_space(name, base, text, nli)
    for own in edits:
        space = edit_space(space, own)
    if edits or options.base is not None:
        space = replace(space, base=space.complete(space.nearest(base)))
    return space, moved(before, space)


def warm_points(
    options: SearchOptions, space: Space, base: RunConfig
) -> tuple[dict[str, RunConfig], list[dict[str, Value]], list[str]]:
    """Return the rows of `--warm-start`, their params in the space, and notes on those left out.

    Raises:
        InputError: The space cannot express a row that `--rows` names in full, or none at all; the
            message names each and says why.
    """
    if options.warm_start != "published":
        return {}, [], []
    rows = published(options, base)
    reasons = {name: space.why_not(config) for name, config in rows.items()}
    refused = {name: reason for name, reason in reasons.items() if reason}
    kept = {name: config for name, config in rows.items() if name not in refused}
    if refused and (_named(options) & refused.keys() or not kept):
        lines = "".join(f"\n  {name}: {reason}" for name, reason in refused.items())
        hint = (
            f"choose others: --rows '{','.join(kept)}'"
            if kept
            else "run them with --space published"
        )
        raise InputError(
            f"--warm-start published: --space {options.space} cannot express {len(refused)} of "
            f"{len(rows)} rows:{lines}\n{hint}"
        )
    notes = _left_out(kept, refused)
    kept, left_out = with_features(options, kept)
    return kept, [space.params_of(config) for config in kept.values()], [*notes, *left_out]


def _left_out(kept: Collection[str], refused: dict[str, str]) -> list[str]:
    """Return how many rows begin the search, and how many do not, with the commonest reasons."""
    if not refused:
        return []
    notes = [f"--warm-start published: {len(kept)} rows begin the search, {len(refused)} do not"]
    by_reason: dict[str, list[str]] = {}
    for name, reason in refused.items():
        by_reason.setdefault(reason, []).append(name)
    for reason, names in sorted(by_reason.items(), key=lambda item: -len(item[1]))[:5]:
        notes.append(f"--warm-start published: {len(names)} not, such as {names[0]}: {reason}")
    return notes
