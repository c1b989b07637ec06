"""The rows that a search runs or begins with, and the text and NLI examples that they read."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from tokenizers import Tokenizer

from search.log.history import History
from search.planning.options import SearchOptions
from search.planning.own_space import ROW_SPACES, read_edits
from spaces.ablation import ablation
from spaces.catalogue import make_space
from spaces.edit_space import edit_space, moved
from spaces.fixed_configs import RowSpace, matching
from spaces.published import load_published
from spaces.space import Space
from trainable.cache.files import user_path
from trainable.component import Value
from trainable.data.nli import HubNli, NliSource, SampleNli, SickNli
from trainable.data.pos_tags import load_tagger
from trainable.data.pretraining_text import OwnText, SickText, TextFiles, TextSource
from trainable.data.synonyms import load_wordnet
from trainable.data.tokenize import encode
from trainable.errors import InputError
from trainable.run_config import RunConfig

_FEATURES = ("pos_tags", "synonym_copies")  # those that need more than the text
_MOST_NAMED = 5  # rows, in a message


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
    text, nli = _corpora(options, base)
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
    for feature in _FEATURES:
        names = [name for name in _reading(feature, rows) if name not in _named(options)]
        if names and (reason := _why_not(feature)):
            refused |= dict.fromkeys(names, reason)
    kept = {name: config for name, config in rows.items() if name not in refused}
    if not kept:
        return rows, []
    return kept, [f"row {name} is left out: {reason}" for name, reason in refused.items()]


def _reading(feature: str, rows: Mapping[str, RunConfig]) -> list[str]:
    """Return the rows that have an input feature."""
    return [name for name, config in rows.items() if getattr(config.features, feature)]


def _why_not(feature: str) -> str:
    """Load what a feature needs; return why that cannot be had, or nothing."""
    try:
        load_tagger() if feature == "pos_tags" else load_wordnet()
    except InputError as error:
        return str(error)
    return ""


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
    text, nli = _corpora(options, base)
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


def check_corpora(
    options: SearchOptions,
    space: Space | RowSpace,
    rows: dict[str, RunConfig],
    tokenizer: Tokenizer,
) -> None:
    """Load all text, NLI examples and taggers that a trial may need.

    Raises:
        InputError: A file, a corpus or a tagger is missing or broken; or text or NLI examples are
            given that no trial reads.
    """
    texts: list[TextSource] = []
    examples: list[NliSource] = []
    # Stages of the base may be fixed ones.
    configs = [*rows.values(), *([space.base] if isinstance(space, Space) else [])]
    for config in configs:
        texts += getattr(config.further_pretraining, "sources", ())
        auxiliary = config.multitask.auxiliary if config.multitask else None
        for stage in (config.nli, auxiliary):
            source: NliSource | None = getattr(stage, "source", None)
            examples += [] if source is None else [source]
    if isinstance(space, Space):
        texts += space.text if space.varies("further_pretraining") else ()
        reads_nli = space.varies("nli") or space.varies("multitask.auxiliary")
        examples += [space.nli] if reads_nli else []
    for option, given, read in (
        ("--text-data", options.text_data, texts),
        ("--nli-data", options.nli_data, examples),
    ):
        if given is not None and not read:
            raise InputError(f"{option} {given!r}: none of the rows reads it; drop it")
    _look_for_features(space, rows)
    nothing = encode([], tokenizer)  # the tasks' own text has been loaded before
    for text in dict.fromkeys(texts):
        text.load(tokenizer, nothing)
    for found in dict.fromkeys(examples):
        found.load()


def _look_for_features(space: Space | RowSpace, rows: Mapping[str, RunConfig]) -> None:
    """Load what the features of a trial need: a tagger, and WordNet."""
    for feature in _FEATURES:
        names = _reading(feature, rows)
        may_have = isinstance(space, Space) and (
            space.varies(f"features.{feature}") or _reading(feature, {"base": space.base})
        )
        if (names or may_have) and (reason := _why_not(feature)):
            more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
            listed = f"row {', '.join(names[:_MOST_NAMED])}{more}: " if names else ""
            raise InputError(f"{listed}{reason}")


def _corpora(
    options: SearchOptions, base: RunConfig
) -> tuple[tuple[TextSource, ...] | None, NliSource | None]:
    """Return text and NLI examples; stages of `--base` keep theirs unless options name others."""
    text, nli = text_data(options), nli_data(options)
    if options.base is None:
        return text, nli
    auxiliary = base.multitask.auxiliary if base.multitask else None
    if options.text_data is None:
        text = getattr(base.further_pretraining, "sources", None) or text
    if options.nli_data is None:
        nli = getattr(base.nli, "source", None) or getattr(auxiliary, "source", None) or nli
    return text, nli


def text_data(options: SearchOptions) -> tuple[TextSource, ...] | None:
    """Return the text of further pretraining; None means what the paper of each row used."""
    given = options.text_data
    if given is None:
        return (OwnText(),) if options.data == "sample" else None
    if given == "hub":
        return None
    if given == "own":
        return (OwnText(),)
    if given.startswith("sick:"):
        return (SickText(dir=_folder("--text-data", given)),)
    return (TextFiles(paths=tuple(str(user_path(path)) for path in given.split(","))),)


def nli_data(options: SearchOptions) -> NliSource | None:
    """Return the source of NLI examples; None means what the paper of each row used."""
    given = options.nli_data or ("sample" if options.data == "sample" else "hub")
    if given == "sample":
        return SampleNli()
    if given == "hub":
        return None
    if given.startswith("sick:"):
        return SickNli(dir=_folder("--nli-data", given))
    raise InputError(f"--nli-data {given!r}: give sample, hub or sick:DIR")


def _folder(option: str, given: str) -> str:
    """Return the absolute folder of `sick:DIR`."""
    folder = user_path(given.removeprefix("sick:"))
    if not os.path.isdir(folder):  # unlike Path's, it is False for a name that is too long
        raise InputError(
            f"{option} {given!r}: no folder {folder}; give the one with SICK_train.txt"
        )
    return str(folder)
