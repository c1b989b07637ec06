"""Make a plan from options, and refuse what would fail later: all of it before Ray starts."""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from pathlib import Path

from search.log.events import read_events
from search.log.find_folder import find_folder
from search.log.folder import SearchFolder
from search.log.history import History
from search.planning.amounts import budget_tokens
from search.planning.check_options import LONGEST_NAME, ROW_SPACES, check_options
from search.planning.first_trials import (
    check_corpora,
    nli_data,
    row_space,
    text_data,
    warm_points,
)
from search.planning.options import SearchOptions
from search.planning.plan import Plan, Point, TaskSize
from search.planning.warm_start import carry_over
from search.schedulers.rungs import rungs
from search.searchers.base import params_key
from spaces.catalogue import base_config, make_space
from spaces.fixed_configs import RowSpace
from spaces.space import Space
from trainable.batch_orders.base import BATCH_SIZES
from trainable.cache.files import user_path
from trainable.data.features import PLAIN
from trainable.data.prepare import add_features
from trainable.data.sources import Cs224nData, DataSource, HubData, SampleData
from trainable.errors import InputError
from trainable.model.encoder import EncoderConfig, Pretrained, load_pretrained, pinned
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask
from trainable.training.corpus import Rows
from trainable.training.shared_corpus import open_corpus


def make_plan(options: SearchOptions) -> Plan:
    """Return the plan of a search; makes its folder unless this is a dry run.

    Raises:
        InputError: An option, the data, the encoder or the storage would make the search fail.
    """
    check_options(options)
    name = options.name or _default_name(options)
    folder = find_folder(options.storage, name, resume=options.resume)
    earlier, log_bytes = _earlier(folder) if options.resume else (History(), 0)
    source = _data_source(options)
    examples = source.load()
    encoder = pinned(EncoderConfig(source=options.encoder, revision=_revision(options, earlier)))
    pretrained = load_pretrained(encoder, examples.train_sentences())
    data = open_corpus(add_features(examples, PLAIN), pretrained.tokenizer, None)
    train = {task: data.splits["train"][task] for task in source.table}
    budget = _budget(options, train.values())
    stage = Multitask(budget_tokens=budget, units=options.units, precision=options.precision)
    base = base_config(encoder, source, options.seed, stage)
    space, rows, points = _start(options, base)
    n_trials = _n_trials(options, space, points, earlier)
    check_corpora(options, space, rows, pretrained.tokenizer)
    carried, notes = carry_over(options, space, data.fingerprint, budget, encoder)
    if not options.dry_run:  # last, so that a refused search leaves nothing behind
        folder.make()
    return Plan(
        options=options,
        space=space,
        n_trials=n_trials,
        points=tuple(points),
        carried=carried,
        rows=rows,
        folder=folder,
        earlier=earlier,
        log_bytes=log_bytes,
        rungs=(options.units,)
        if options.scheduler == "none"
        else rungs(options.units, options.eta),
        budget=budget,
        n_parameters=_n_parameters(pretrained),
        notes=(*pretrained.notes, *data.notes, *notes),
        data_fingerprint=data.fingerprint,
        sizes={
            task: TaskSize(len(own), own.n_tokens / len(own), len(data.splits["confirm"][task]))
            for task, own in train.items()
        },
    )


def _earlier(folder: SearchFolder) -> tuple[History, int]:
    """Return the history, and the size of the log before it was read, because it may grow."""
    log = folder.fetch_log()
    size = folder.log_bytes
    return History(read_events(log)), size


def _revision(options: SearchOptions, earlier: History) -> str | None:
    """Return the commit that earlier trials began with: the Hub may have a newer one by now."""
    trial = next(iter(earlier.trials.values()), None)
    if trial is None or trial.config.encoder.source != options.encoder:
        return None
    return trial.config.encoder.revision


def _start(
    options: SearchOptions, base: RunConfig
) -> tuple[Space | RowSpace, dict[str, RunConfig], list[Point]]:
    """Return the space, the rows among its first suggestions, and those suggestions."""
    if options.space in ROW_SPACES:
        chosen = row_space(options, base)
        return chosen, chosen.rows, [(point, str(point["row"])) for point in chosen.points()]
    space = make_space(options.space, base, text_data(options), nli_data(options))
    rows, points = warm_points(options, space, base)
    # A search should say what it gains over the defaults.
    named = [*zip(points, rows, strict=True), (space.params_of(space.base), "default")]
    return space, rows, _merged(named)


def _merged(points: list[Point]) -> list[Point]:
    """Return each point once, with all of its names: two rows may have one configuration."""
    merged: dict[int, Point] = {}
    for params, name in points:
        key = params_key(params)
        before = merged.get(key)
        merged[key] = (params, name if before is None else f"{before[1]}, {name}")
    return list(merged.values())


def _n_trials(
    options: SearchOptions, space: Space | RowSpace, points: list[Point], earlier: History
) -> int:
    if isinstance(space, RowSpace):
        return len(points)
    n_trials = options.trials or earlier.n_trials or 12
    if n_trials < len(points) and options.warm_start == "published":
        raise InputError(
            f"--trials {n_trials}: --warm-start published begins with {len(points)} "
            f"configurations, the defaults among them; give at least --trials {len(points)}, or "
            f"fewer --rows"
        )
    return n_trials


def _default_name(options: SearchOptions) -> str:
    encoder = re.sub(r"[^A-Za-z0-9.-]+", "-", Path(options.encoder).name)[: LONGEST_NAME // 2]
    return f"{options.data}-{encoder}-{time.strftime('%Y%m%d-%H%M%S')}"


def _data_source(options: SearchOptions) -> DataSource:
    if options.data_dir is not None:
        # Absolute, since trials run in other folders.
        return Cs224nData(dir=str(user_path(options.data_dir)))
    return SampleData() if options.data == "sample" else HubData()


def _budget(options: SearchOptions, train: Collection[Rows]) -> int:
    """Return the tokens of a full run, given where the train sets lie."""
    text = options.budget or ("5ep" if options.data == "sample" else "3ep")
    n_tokens, n_examples = sum(own.n_tokens for own in train), sum(len(own) for own in train)
    budget = budget_tokens(text, n_tokens)
    longest_step = round(len(train) * max(BATCH_SIZES) * n_tokens / n_examples)
    if budget < options.units * longest_step:
        raise InputError(
            f"--budget {text}: {budget:,} tokens are less than one step for each of --units "
            f"{options.units}; give at least {options.units * longest_step:,} tokens or fewer units"
        )
    return budget


def _n_parameters(pretrained: Pretrained) -> int:
    return sum(tensor.numel() for tensor in pretrained.parameters.values())
