"""Text, NLI examples and what input features need: where trials get them, before they start."""

from __future__ import annotations

import os
from collections.abc import Mapping

from tokenizers import Tokenizer

from search.planning.options import SearchOptions
from spaces.fixed_configs import RowSpace
from spaces.space import Space
from trainable.cache.files import user_path
from trainable.data.nli import NliSource, SampleNli, SickNli
from trainable.data.pos_tags import load_tagger
from trainable.data.pretraining_text import OwnText, SickText, TextFiles, TextSource
from trainable.data.synonyms import load_wordnet
from trainable.data.tokenize import encode
from trainable.errors import InputError
from trainable.run_config import RunConfig

FEATURES = ("pos_tags", "synonym_copies")  # those that need more than the text
_MOST_NAMED = 5  # rows, in a message


def given_corpora(
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
    for feature in FEATURES:
        names = rows_with(feature, rows)
        may_have = isinstance(space, Space) and (
            space.varies(f"features.{feature}") or rows_with(feature, {"base": space.base})
        )
        if (names or may_have) and (reason := why_missing(feature)):
            more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
            listed = f"row {', '.join(names[:_MOST_NAMED])}{more}: " if names else ""
            raise InputError(f"{listed}{reason}")


def rows_with(feature: str, rows: Mapping[str, RunConfig]) -> list[str]:
    """Return the rows that have an input feature."""
    return [name for name, config in rows.items() if getattr(config.features, feature)]


def why_missing(feature: str) -> str:
    """Load what a feature needs; return why that cannot be had, or nothing."""
    try:
        load_tagger() if feature == "pos_tags" else load_wordnet()
    except InputError as error:
        return str(error)
    return ""
