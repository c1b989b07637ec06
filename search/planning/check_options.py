"""Which values of options, and which options together, are refused; no data are read for it."""

from __future__ import annotations

import re

from search.planning.options import SearchOptions
from search.schedulers.rungs import rungs
from trainable.errors import InputError

ROW_SPACES = ("published", "ablation")


def check_numbers(options: SearchOptions) -> None:
    """Refuse numbers and names that are out of range.

    Raises:
        InputError: One of them is.
    """
    if options.eta < 2:
        raise InputError(f"--eta {options.eta}: ASHA needs at least 2 (one in eta trials goes on)")
    at_least_one = {
        "--trials": options.trials,
        "--brackets": options.brackets,
        "--beam": options.beam,
        "--units": options.units,
        "--max-concurrent": options.max_concurrent,
    }
    for name, value in at_least_one.items():
        if value is not None and value < 1:
            raise InputError(f"{name} {value}: give at least 1")
    n_brackets = len(rungs(options.units, options.eta))
    if options.brackets > n_brackets:
        raise InputError(
            f"--brackets {options.brackets}: --units {options.units} and --eta {options.eta} give "
            f"at most {n_brackets}"
        )
    _ = options.time_limit_seconds  # refuses what is no duration
    if options.max_device_hours is not None and not options.max_device_hours > 0:
        raise InputError(f"--max-device-hours {options.max_device_hours:g}: give more than 0")
    if options.min_gain is not None and not options.min_gain >= 0:
        raise InputError(f"--min-gain {options.min_gain:g}: give at least 0, such as 0.002")
    if not 0 <= options.seed < 2**31:
        raise InputError(f"--seed {options.seed}: give a number from 0 to {2**31 - 1}")
    if options.cpus_per_trial is not None and not options.cpus_per_trial > 0:  # NaN too
        raise InputError(f"--cpus-per-trial {options.cpus_per_trial:g}: give more than 0")
    gpus = options.gpus_per_trial
    if gpus is not None and not 0 <= gpus <= 1:
        raise InputError(
            f"--gpus-per-trial {gpus:g}: give a number from 0 to 1; a trial trains on one GPU, and "
            f"more trials use more GPUs"
        )
    if options.name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", options.name):
        raise InputError(f"--name {options.name!r}: use letters, digits, '.', '_' and '-'")
    if options.resume and options.name is None:
        raise InputError("--resume: say which search with --name")


def check_row_options(options: SearchOptions) -> None:
    """Refuse options about rows, text and NLI examples that mean nothing together.

    Raises:
        InputError: Two options contradict each other, or one has no effect.
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
