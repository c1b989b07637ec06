"""Make a plan from options, and refuse what would fail later: all of it before Ray starts."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from search.log.events import read_events
from search.log.find_folder import find_folder
from search.log.folder import SearchFolder
from search.log.history import History
from search.planning.amounts import budget_tokens
from search.planning.base_file import data_of, like_base, over_base, read_base
from search.planning.check_options import LONGEST_NAME, check_options
from search.planning.choose import below_one_pass
from search.planning.corpora import check_corpora
from search.planning.first_trials import own_space, row_space, rows_stopped, warm_points
from search.planning.objective import with_objective
from search.planning.options import SearchOptions
from search.planning.own_priors import prior_of
from search.planning.own_space import ROW_SPACES
from search.planning.plan import Plan, Point, TaskSize, is_left_to_choose, pass_tokens, step_tokens
from search.planning.resume import with_chosen
from search.planning.warm_start import best_points, carry_over, other_search
from search.schedulers.rungs import rungs
from search.searchers.base import params_key
from spaces.fixed_configs import RowSpace
from spaces.portfolio import portfolio_points
from spaces.space import Space
from trainable.cache.files import user_path
from trainable.data.features import PLAIN
from trainable.data.prepare import add_features
from trainable.data.read_tasks import read_tasks
from trainable.data.sources import Cs224nData, DataSource, HubData, SampleData
from trainable.defaults import default_run
from trainable.errors import InputError
from trainable.model.bert import BertShape
from trainable.model.encoder import EncoderConfig, Pretrained, load_pretrained, pinned
from trainable.run_config import RunConfig, explain
from trainable.stages.multitask import Multitask
from trainable.tasks import TaskName
from trainable.training.shared_corpus import open_corpus


def make_plan(options: SearchOptions) -> Plan:
    """Return the plan of a search; makes its folder unless this is a dry run.

    Raises:
        InputError: An option, the data, the encoder or the storage would make the search fail.
    """
    check_options(options)
    folder, earlier, log_bytes = _folder(options)
    options = with_chosen(options, earlier)
    given, base_notes = read_base(options, earlier)
    options, as_there = like_base(options, given)
    if folder is None:
        name = options.name or _default_name(options)
        folder = find_folder(options.storage, name, resume=False)
    source = data_of(options, given) or _data_source(options)
    if options.space not in ROW_SPACES:  # before the data are read, which may take minutes
        unpinned = EncoderConfig(source=options.encoder)
        prior_of(options, own_space(options, _base(options, given, unpinned, source)[0])[0])
    examples = source.load()
    revision = _revision(options, earlier, given)
    encoder = pinned(EncoderConfig(source=options.encoder, revision=revision))
    pretrained = load_pretrained(encoder, examples.train_sentences())
    data = open_corpus(add_features(examples, PLAIN), pretrained.tokenizer, None)
    train = {task: data.splits["train"][task] for task in source.table}
    sizes = {
        task: TaskSize(
            len(own),
            own.n_tokens / len(own),
            len(data.splits["select"][task]),
            len(data.splits["confirm"][task]),
        )
        for task, own in train.items()
    }
    budget = _budget(options, sizes)
    stage = Multitask(budget_tokens=budget, units=options.units, precision=options.precision)
    base, weights = _base(options, given, encoder, source, stage, pretrained.shape)
    space, rows, points, own_notes = _start(options, base, earlier)
    n_trials = _n_trials(options, space, points, earlier)
    check_corpora(options, space, rows, pretrained.tokenizer)
    other = other_search(options)
    carried, notes = carry_over(options, other, space, data.fingerprint, budget, encoder)
    points = _known(options, space, points, earlier, n_trials, None if carried else other)
    levels = rungs(options.units, options.eta)
    if options.scheduler == "none":
        levels = (options.units,)
    if options.dry_run:
        folder.check()
    else:  # last, so that a refused search leaves nothing behind
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
        rungs=levels,
        budget=budget,
        n_parameters=_n_parameters(pretrained),
        notes=(
            *pretrained.notes,
            *data.notes,
            *base_notes,
            *as_there,
            *weights,
            *own_notes,
            *rows_stopped(options, levels),
            *notes,
            *(() if is_left_to_choose(options) else below_one_pass(budget, pass_tokens(sizes))),
        ),
        data_fingerprint=data.fingerprint,
        sizes=sizes,
    )


def _folder(options: SearchOptions) -> tuple[SearchFolder | None, History, int]:
    """Return the folder, the history and the size of the log of a search that goes on."""
    if not options.resume or options.name is None:
        return None, History(), 0
    folder = find_folder(options.storage, options.name, resume=True)
    return folder, *_earlier(folder)


def _earlier(folder: SearchFolder) -> tuple[History, int]:
    """Return the history, and the size of the log before it was read, because it may grow."""
    log = folder.fetch_log()
    size = folder.log_bytes
    return History(read_events(log)), size


def _revision(options: SearchOptions, earlier: History, given: RunConfig | None) -> str | None:
    """Return the commit of earlier trials, or of `--base`: the Hub may have a newer one by now."""
    trial = next(iter(earlier.trials.values()), None)
    for config in (trial.config if trial else None, given):
        if config is not None and config.encoder.source == options.encoder:
            return config.encoder.revision
    return None


def _base(
    options: SearchOptions,
    given: RunConfig | None,
    encoder: EncoderConfig,
    source: DataSource,
    stage: Multitask = Multitask(),  # noqa: B008, it is frozen
    shape: BertShape | None = None,
) -> tuple[RunConfig, tuple[str, ...]]:
    """Return what a search varies, and a note if the tasks have other weights."""
    if given is None:
        try:
            base = default_run(encoder, source, options.seed, stage, shape)
        except ValidationError as error:  # a task has a name that torch uses itself
            raise InputError(f"--tasks {options.tasks}: {explain(error)}") from error
    else:
        base = over_base(given, encoder, source, options.seed, stage)
    return with_objective(base, options.objective)


def _start(
    options: SearchOptions, base: RunConfig, earlier: History
) -> tuple[Space | RowSpace, dict[str, RunConfig], list[Point], list[str]]:
    """Return the space, the rows among its first suggestions, those suggestions, and notes."""
    if options.space in ROW_SPACES:
        chosen, left_out = row_space(options, base, earlier)
        points = [(point, str(point["row"])) for point in chosen.points()]
        return chosen, chosen.rows, points, left_out
    space, notes = own_space(options, base)
    rows, params, left_out = warm_points(options, space, base)
    # First, since a search says what it gains over the defaults.
    start = "default" if options.base is None else "base"
    named = [(space.params_of(space.base), start), *zip(params, rows, strict=True)]
    return space, rows, _merged(named), [*notes, *left_out]


def _known(
    options: SearchOptions,
    space: Space | RowSpace,
    points: list[Point],
    earlier: History,
    n_trials: int,
    other: History | None,
) -> list[Point]:
    """Return the first trials: those of the options, and behind them what is known to be good.

    That is the best of another search whose scores cannot be compared, or else the portfolio. The
    other searchers are there for comparison, and a search of rows runs nothing else.

    Args:
        options: Say what the search begins with.
        space: What varies, or which rows are run.
        points: The first trials that the options ask for.
        earlier: A search that goes on has the first trials that it had.
        n_trials: Number of trials.
        other: Another search whose trials the searcher does not know.
    """
    if "points" in earlier.header:
        return [(params, origin) for params, origin in earlier.header["points"]]
    if isinstance(space, RowSpace) or options.searcher != "rung-gp":
        return points
    if other is not None:
        return _merged([*points, *best_points(options, other, space, n_trials)])
    if options.warm_start is not None or options.base is not None:
        return points
    return _merged([*points, *portfolio_points(space, n_trials)])


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
    if is_left_to_choose(options):
        return max(n_trials, len(points))
    if n_trials < len(points) and options.warm_start == "published":
        raise InputError(
            f"--trials {n_trials}: --warm-start published begins with {len(points)} "
            f"configurations, the defaults among them; give at least --trials {len(points)}, or "
            f"fewer --rows"
        )
    return n_trials


def _default_name(options: SearchOptions) -> str:
    encoder = re.sub(r"[^A-Za-z0-9.-]+", "-", Path(options.encoder).name)[: LONGEST_NAME // 2]
    data = re.sub(r"[^A-Za-z0-9.-]+", "-", Path(options.tasks or options.data).stem)
    data = data.lstrip("-.") or "tasks"  # a name begins with a letter or a digit
    return f"{data[: LONGEST_NAME // 4]}-{encoder}-{time.strftime('%Y%m%d-%H%M%S')}"


def _data_source(options: SearchOptions) -> DataSource:
    # Absolute, since trials run in other folders.
    folder = None if options.data_dir is None else user_path(options.data_dir)
    if options.tasks is not None:
        return read_tasks(options.tasks, folder)
    if options.data == "tasks":
        raise InputError(
            f"--data tasks: --base {options.base} has other data; say which with --tasks FILE.yaml"
        )
    if folder is not None:
        return Cs224nData(dir=str(folder))
    return SampleData() if options.data == "sample" else HubData()


def _budget(options: SearchOptions, sizes: Mapping[TaskName, TaskSize]) -> int:
    """Return the tokens of a full run."""
    text = options.budget or ("5ep" if options.data == "sample" else "3ep")
    budget, longest_step = budget_tokens(text, pass_tokens(sizes)), step_tokens(sizes)
    if budget < options.units * longest_step:
        raise InputError(
            f"--budget {text}: {budget:,} tokens are less than one step for each of --units "
            f"{options.units}; give at least {options.units * longest_step:,} tokens or fewer units"
        )
    return budget


def _n_parameters(pretrained: Pretrained) -> int:
    return sum(tensor.numel() for tensor in pretrained.parameters.values())
