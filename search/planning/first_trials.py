"""Rows as the start of a search: which configurations it runs, or suggests first."""

from __future__ import annotations

from fnmatch import fnmatchcase

from tokenizers import Tokenizer

from search.planning.options import SearchOptions
from spaces.ablation import ablation
from spaces.fixed_configs import RowSpace
from spaces.published import load_published, select
from spaces.space import Space
from trainable.cache.files import user_path
from trainable.component import Value
from trainable.data.nli import HubNli, NliSource, SampleNli, SickNli
from trainable.data.pos_tags import load_tagger
from trainable.data.pretraining_text import OwnText, SickText, TextFiles, TextSource
from trainable.data.synonyms import load_wordnet
from trainable.data.tokenize import encode
from trainable.errors import InputError, did_you_mean
from trainable.run_config import RunConfig

ROW_SPACES = ("published", "ablation")


def check_row_options(options: SearchOptions) -> None:
    """Refuse options that mean nothing together.

    Raises:
        InputError: They do.
    """
    has_rows = options.space in ROW_SPACES
    if options.warm_start is not None and has_rows:
        raise InputError(
            f"--warm-start: --space {options.space} runs its rows as they are; drop one of the two"
        )
    published = options.warm_start == "published"
    if options.rows is not None and not has_rows and not published:
        raise InputError(
            f"--rows {options.rows!r}: has no meaning with --space {options.space}; add "
            f"--warm-start published, or choose --space published or ablation"
        )
    if options.repeats < 1:
        raise InputError(f"--repeats {options.repeats}: give at least 1")
    if not has_rows and options.repeats != 1:
        raise InputError(
            f"--repeats {options.repeats}: --space {options.space} has no rows to repeat; choose "
            f"--space published or ablation"
        )
    if options.seed + options.repeats > 2**31:
        raise InputError(
            f"--seed {options.seed}: the seeds of --repeats {options.repeats} would end above "
            f"{2**31 - 1}; give a smaller one"
        )
    if not has_rows and options.space != "stages" and not published:
        for name, given in (("text", options.text_data), ("nli", options.nli_data)):
            if given is not None:
                raise InputError(
                    f"--{name}-data {given!r}: no run of --space {options.space} would read it; "
                    f"drop it, or choose --space stages, published or ablation"
                )
    if options.text_data == "hub" and options.space != "published" and not published:
        raise InputError(
            f"--text-data hub: it is what the papers of rows read, and --space {options.space} has "
            f"no such rows; give own, sick:DIR or files"
        )
    if has_rows and options.trials is not None:
        raise InputError(
            f"--trials {options.trials}: --space {options.space} runs each row once for each of "
            f"--repeats; choose rows with --rows"
        )


def row_space(options: SearchOptions, base: RunConfig) -> RowSpace:
    """Return the rows that `--space published` or `--space ablation` runs.

    Raises:
        InputError: A pattern fits no row, or a chosen row cannot be run.
    """
    if options.space == "published":
        return RowSpace(options.space, base, published(options, base), options.repeats)
    known = dict(ablation(base, text_data(options), nli_data(options) or HubNli()))
    patterns = (options.rows or "*").split(",")
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            near = did_you_mean(pattern, known)
            families = ", ".join(dict.fromkeys(f"{name.split('/')[0]}/*" for name in known))
            raise InputError(f"--rows: no row matches {pattern!r}; there are {families}{near}")
    chosen = {n: c for n, c in known.items() if any(fnmatchcase(n, p) for p in patterns)}
    return RowSpace(options.space, base, chosen, options.repeats)


def published(options: SearchOptions, base: RunConfig) -> dict[str, RunConfig]:
    """Return id -> configuration of the published rows that `--rows` names.

    Raises:
        InputError: A pattern fits no row; a row that it names in full cannot be run.
    """
    rows = select(load_published(), options.rows or "*")
    refused = [row for row in rows if row.why_not]
    named = (options.rows or "").split(",")
    if any(row.id in named for row in refused) or len(refused) == len(rows):
        reasons = "; ".join(f"{row.id}: {row.why_not}" for row in refused)
        raise InputError(f"--rows {options.rows!r}: cannot be run ({reasons})")
    text, nli = text_data(options), nli_data(options)
    return {row.id: row.config(base, text, nli) for row in rows if not row.why_not}


def warm_points(
    options: SearchOptions, space: Space, base: RunConfig
) -> tuple[dict[str, RunConfig], list[dict[str, Value]]]:
    """Return the rows of `--warm-start` and their params in the space.

    Raises:
        InputError: The space cannot express a row; the message names each and says why.
    """
    if options.warm_start != "published":
        return {}, []
    rows = published(options, base)
    reasons = {name: space.why_not(config) for name, config in rows.items()}
    refused = {name: reason for name, reason in reasons.items() if reason}
    if refused:
        lines = "".join(f"\n  {name}: {reason}" for name, reason in refused.items())
        kept = ",".join(name for name in rows if name not in refused)
        hint = f"choose others: --rows '{kept}'" if kept else "run them with --space published"
        raise InputError(
            f"--warm-start published: --space {options.space} cannot express {len(refused)} of "
            f"{len(rows)} rows:{lines}\n{hint}"
        )
    return rows, [space.params_of(config) for config in rows.values()]


def check_corpora(
    space: Space | RowSpace, rows: dict[str, RunConfig], tokenizer: Tokenizer
) -> None:
    """Load all text, NLI examples and taggers that a trial may need.

    Raises:
        InputError: Something cannot be had.
    """
    texts: list[TextSource] = []
    examples: list[NliSource] = []
    for config in rows.values():
        texts += getattr(config.further_pretraining, "sources", ())
        auxiliary = config.multitask.auxiliary if config.multitask else None
        for stage in (config.nli, auxiliary):
            source: NliSource | None = getattr(stage, "source", None)
            examples += [] if source is None else [source]
        if config.features.pos_tags:
            load_tagger()
        if config.features.synonym_copies:
            load_wordnet()
    if isinstance(space, Space):
        texts += space.text if space.varies("further_pretraining") else ()
        examples += [space.nli] if space.varies("nli") else []
    nothing = encode([], tokenizer)  # the tasks' own text is there
    for text in dict.fromkeys(texts):
        text.load(tokenizer, nothing)
    for found in dict.fromkeys(examples):
        found.load()


def text_data(options: SearchOptions) -> tuple[TextSource, ...] | None:
    """Return the text of further pretraining, or None for what each row's paper used."""
    given = options.text_data
    if given is None:
        return (OwnText(),) if options.data == "sample" else None
    if given == "hub":
        return None
    if given == "own":
        return (OwnText(),)
    if given.startswith("sick:"):
        return (SickText(dir=_folder("--text-data", given)),)
    return (TextFiles(paths=tuple(str(user_path(p).absolute()) for p in given.split(","))),)


def nli_data(options: SearchOptions) -> NliSource | None:
    """Return where NLI examples come from, or None for what each row's paper used."""
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
    folder = user_path(given.removeprefix("sick:")).absolute()
    if not folder.is_dir():
        raise InputError(
            f"{option} {given!r}: no folder {folder}; give the one with SICK_train.txt"
        )
    return str(folder)
