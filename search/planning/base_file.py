"""`--base`: begin from a configuration, such as the best of a search, and not from the defaults."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from search.log.history import History
from search.planning.options import SearchOptions
from search.planning.plan import is_left_to_choose
from trainable.cache.files import user_path
from trainable.data.sources import DataSource
from trainable.errors import InputError
from trainable.model.encoder import EncoderConfig
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask
from trainable.training.train_file import read_config

BEST = "best.json"
_DEFAULTS = SearchOptions()


def read_base(options: SearchOptions, earlier: History) -> tuple[RunConfig | None, tuple[str, ...]]:
    """Return the configuration that `--base` names, and notes for the user; None without it.

    A search that goes on keeps the one that it began with: the file may be another by now.

    Raises:
        InputError: The file is missing, is no configuration, or has no multitask stage.
    """
    if options.base is None:
        return None, ()
    began = earlier.header.get("edited") if options.resume else None
    if began and earlier.header["options"].get("base") == options.base:
        return RunConfig.from_dict(began["base"], f"the log of {options.name}"), ()
    path = user_path(options.base)
    if path.is_dir():
        path /= BEST
    try:
        config, note = read_config(path)
    except InputError as error:
        raise InputError(f"--base: {error}") from error
    if config.multitask is None:
        raise InputError(
            f"--base {options.base}: it has no multitask stage, whose units a search compares; "
            f"give another configuration"
        )
    return config, (note,) if note else ()


def like_base(options: SearchOptions, config: RunConfig | None) -> tuple[SearchOptions, list[str]]:
    """Return options in which those that keep their defaults are as in a configuration.

    Args:
        options: What the user asked for.
        config: The configuration of `--base`, or None.

    Returns:
        The options, and a note that says which of them are the configuration's.
    """
    if config is None or config.multitask is None:
        return options, []
    stage = config.multitask
    own: dict[str, Any] = {
        "encoder": config.encoder.source,
        "units": stage.units,
        "precision": stage.precision,
    }
    if not is_left_to_choose(options):
        own["budget"] = str(stage.budget_tokens)
    if (options.data, options.data_dir, options.tasks) == (_DEFAULTS.data, None, None):
        own |= {"data": config.data.kind, "data_dir": getattr(config.data, "dir", None)}
    taken = {
        name: value
        for name, value in own.items()
        if getattr(options, name) == getattr(_DEFAULTS, name) and value != getattr(options, name)
    }
    listed = ", ".join(f"--{name.replace('_', '-')} {value}" for name, value in taken.items())
    notes = [f"--base {options.base}: as there are {listed}"] if taken else []
    encoder = taken.get("encoder", options.encoder)
    if encoder != config.encoder.source:
        notes.append(f"--base {options.base}: was found with encoder {config.encoder.source}")
    return replace(options, **taken), notes


def data_of(options: SearchOptions, config: RunConfig | None) -> DataSource | None:
    """Return the data of `--base`, if these are what the options ask for."""
    if config is None:
        return None
    if options.tasks is not None:
        return None
    same = (options.data, options.data_dir) == (config.data.kind, getattr(config.data, "dir", None))
    return config.data if same else None


def over_base(
    config: RunConfig, encoder: EncoderConfig, data: DataSource, seed: int, stage: Multitask
) -> RunConfig:
    """Return a configuration with the encoder, the data, the seed and the budget of a search.

    Args:
        config: The configuration of `--base`.
        encoder: Its source and revision count.
        data: Where examples come from.
        seed: Seed of the runs.
        stage: Its budget, units and precision count.

    Raises:
        InputError: The data have other tasks than the configuration.
    """
    values = config.to_dict()
    values |= {"seed": seed, "data": data.model_dump(mode="json")}
    values["encoder"] |= {"source": encoder.source, "revision": encoder.revision}
    for name in ("budget_tokens", "units", "precision"):
        values["multitask"][name] = getattr(stage, name)
    return RunConfig.from_dict(values, "--base")
