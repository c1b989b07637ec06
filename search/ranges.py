"""What the numbers among the options may be."""

from __future__ import annotations

import re

from search.planning.options import SearchOptions
from search.schedulers.rungs import rungs
from trainable.errors import InputError


def check_numbers(options: SearchOptions) -> None:
    """Refuse what is out of range.

    Raises:
        InputError: Anything that is.
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
