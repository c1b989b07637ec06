"""Which values of options, and which options together, are refused; no data are read for it."""

from __future__ import annotations

import math
import re
from importlib.util import find_spec

from search.planning.objective import parse_objective
from search.planning.options import SearchOptions
from search.planning.own_space import ROW_SPACES, is_own, read_edits, read_priors
from search.schedulers.rungs import rungs
from trainable.errors import InputError, did_you_mean

TRACKERS = ("mlflow", "wandb")  # of --log; each is a package, and an extra of ours
_DEFAULTS = SearchOptions()
LONGEST_NAME = 200  # characters; file systems allow 255, and a name may get a suffix
_MOST = 10**9  # of anything that is counted
_MOST_FINALISTS = 50


def check_options(options: SearchOptions) -> None:
    """Refuse what can be seen to be wrong without looking at data, encoder and storage.

    Raises:
        InputError: A value is out of range, two options contradict each other, or one of them has
            no effect.
    """
    _check_texts(options)
    _check_numbers(options)
    _check_name(options)
    _check_data(options)
    _check_own_space(options)
    _check_rows(options)
    _check_trackers(options)
    if not options.resume:  # an older version allowed what `--resume` has to repeat
        _check_effects(options)


def _check_texts(options: SearchOptions) -> None:
    """Refuse an empty text, such as that of a variable of the shell that is not set."""
    for name, value in vars(options).items():
        if value == "" or (isinstance(value, tuple) and "" in value):
            option = name.replace("_", "-")
            raise InputError(f"--{option} '': is empty; give a value, or leave the option out")


def _check_numbers(options: SearchOptions) -> None:
    if not 2 <= options.eta <= _MOST:
        raise InputError(f"--eta {options.eta}: ASHA needs at least 2 (one in eta trials goes on)")
    at_least_one = {
        "--trials": options.trials,
        "--brackets": options.brackets,
        "--beam": options.beam,
        "--units": options.units,
        "--max-concurrent": options.max_concurrent,
        "--repeats": options.repeats,
    }
    for name, value in at_least_one.items():
        if value is not None and not 1 <= value <= _MOST:
            raise InputError(f"{name} {value}: give at least 1 and at most {_MOST:,}")
    n_brackets = len(rungs(options.units, options.eta))
    if options.brackets > n_brackets:
        raise InputError(
            f"--brackets {options.brackets}: --units {options.units} and --eta {options.eta} give "
            f"at most {n_brackets}"
        )
    _ = options.time_limit_seconds  # refuses what is no duration
    _ = options.price_per_hour  # and what is no price
    more_than_zero = {
        "--max-device-hours": options.max_device_hours,
        "--cpus-per-trial": options.cpus_per_trial,
    }
    for name, amount in more_than_zero.items():
        if amount is not None and not 0 < amount < math.inf:  # NaN too
            raise InputError(f"{name} {amount:g}: give a number of more than 0")
    if not 0 <= options.finalists <= _MOST_FINALISTS:
        raise InputError(
            f"--finalists {options.finalists}: give 0 for none, or at most {_MOST_FINALISTS}"
        )
    if options.audit is not None and not 0 <= options.audit <= 1:
        raise InputError(f"--audit {options.audit:g}: give a share from 0 to 1, such as 0.05")
    if options.min_gain is not None and not 0 <= options.min_gain < math.inf:
        raise InputError(f"--min-gain {options.min_gain:g}: give at least 0, such as 0.002")
    gpus = options.gpus_per_trial
    if gpus is not None and not 0 <= gpus <= 1:
        raise InputError(
            f"--gpus-per-trial {gpus:g}: give a number from 0 to 1; a trial trains on one GPU, and "
            f"more trials use more GPUs"
        )
    if not 0 <= options.seed < 2**31:
        raise InputError(f"--seed {options.seed}: give a number from 0 to {2**31 - 1}")
    if options.seed + options.repeats > 2**31:
        raise InputError(
            f"--seed {options.seed}: the seeds of --repeats {options.repeats} would end above "
            f"{2**31 - 1}; give a smaller one"
        )


def _check_name(options: SearchOptions) -> None:
    name = options.name
    if name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InputError(f"--name {name!r}: use letters, digits, '.', '_' and '-'")
    if name is not None and len(name) > LONGEST_NAME:
        raise InputError(
            f"--name {name[:20]}...: it has {len(name)} characters; give at most {LONGEST_NAME}"
        )
    if options.resume and name is None:
        raise InputError("--resume: say which search with --name")


def _check_data(options: SearchOptions) -> None:
    if options.data == "cs224n" and options.data_dir is None:
        raise InputError("--data cs224n: say where the course's files are with --data-dir DIR")
    if options.data == "tasks" and options.tasks is None and options.base is None:
        raise InputError("--data tasks: say which with --tasks FILE.yaml")
    if options.data != "tasks" and options.tasks is not None:
        raise InputError(
            f"--tasks {options.tasks!r}: --data {options.data} has tasks of its own; drop one of "
            f"the two"
        )
    if options.data not in ("cs224n", "tasks") and options.data_dir is not None:
        raise InputError(
            f"--data-dir {options.data_dir!r}: --data {options.data} does not read it; for the "
            f"course's files add --data cs224n"
        )


def _check_own_space(options: SearchOptions) -> None:
    """Refuse changes of the space that are not well-formed, and those of what is no space."""
    name, edits = read_edits(options)
    if name in ROW_SPACES and edits:
        given = [own for group in (edits[-1].fix, edits[-1].range) for own in group]
        given += [*edits[-1].choices, *edits[-1].vary]
        raise InputError(
            f"{given[0].origin}: --space {name} runs its rows as they are; drop one of the two"
        )
    if name == "published" and options.base is not None:
        raise InputError(
            f"--base {options.base!r}: --space published runs its rows as they are; drop it, or "
            f"choose --space ablation, which exchanges its components"
        )
    read_priors(options)
    if options.objective is not None:
        parse_objective(options.objective)


def _check_rows(options: SearchOptions) -> None:
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
    if not has_rows and options.repeats != 1:
        raise InputError(
            f"--repeats {options.repeats}: --space {options.space} has no rows to repeat; choose "
            f"--space published or ablation"
        )
    # What a space of one's own reads is seen when it is made.
    if not has_rows and options.space != "stages" and not published and not is_own(options):
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
    if has_rows and options.finalists:
        raise InputError(
            f"--finalists {options.finalists}: --space {options.space} runs every row with as many "
            f"seeds as --repeats says; drop it, or give --repeats 3"
        )
    if has_rows and options.min_gain is not None:
        raise InputError(
            f"--min-gain {options.min_gain:g}: --space {options.space} runs all of its rows; drop "
            f"it, or choose fewer with --rows"
        )


def _check_trackers(options: SearchOptions) -> None:
    for name in options.trackers:
        if name not in TRACKERS:
            raise InputError(
                f"--log {name!r}: give {' or '.join(TRACKERS)}{did_you_mean(name, TRACKERS)}"
            )
        if find_spec(name) is None:
            raise InputError(
                f"--log {name}: the package is not installed; "
                f"pip install 'multitask-bert-search[{name}]'"
            )


def _check_effects(options: SearchOptions) -> None:
    """Refuse an option that others leave without effect."""
    space, searcher, scheduler = options.space, options.searcher, options.scheduler
    learns = searcher == "rung-gp" or options.warm_start in (None, "published")
    conditions = {
        "searcher": (
            space not in ROW_SPACES,
            f"with --space {space}, which runs its rows as they are; drop it",
        ),
        "priors": (
            searcher == "rung-gp" and space not in ROW_SPACES,
            f"with --searcher {searcher} and --space {space}; drop it, or choose --searcher "
            f"rung-gp and another space",
        ),
        "beam": (
            searcher == "stepwise",
            f"with --searcher {searcher}; drop it, or choose --searcher stepwise",
        ),
        "eta": (
            scheduler != "none" and options.units > 1,
            "where no rung comes before the end; drop it, or choose --scheduler promotion-asha and "
            "at least --units 2",
        ),
        "brackets": (
            scheduler == "promotion-asha",
            f"with --scheduler {scheduler}; drop it, or choose --scheduler promotion-asha",
        ),
        "audit": (
            scheduler != "none" and options.units > 1 and space not in ROW_SPACES,
            "where no rung stops a trial, or where rows are run as they are; drop it",
        ),
        "warm_start": (
            learns,
            f"with --searcher {searcher}, which learns from its own trials only; drop it, or "
            f"choose --searcher rung-gp",
        ),
    }
    for name, (has_effect, why) in conditions.items():
        value = getattr(options, name)
        if value != getattr(_DEFAULTS, name) and not has_effect:
            raise InputError(f"--{name.replace('_', '-')} {value}: has no effect {why}")
