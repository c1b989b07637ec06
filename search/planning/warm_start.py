"""Read the trials of another search, from which this one learns.

Where scores can be compared, the searcher takes over all trials. Where they cannot, since data,
encoder, budget or objective are others, the best configurations are tried first.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from search.log.events import read_events
from search.log.find_folder import named_folder
from search.log.history import History
from search.log.leaderboard import leaderboard
from search.log.trial import TrialRecord
from search.planning.options import SearchOptions
from search.planning.plan import Point
from spaces.carry_config import params_like
from spaces.fixed_configs import RowSpace
from spaces.space import Space
from trainable.errors import InputError
from trainable.metrics import metric_keys
from trainable.model.encoder import EncoderConfig
from trainable.run_config import RunConfig

Carried = tuple[dict[str, Any], ...]

N_FIRST = 4  # of the best configurations of a search whose scores cannot be compared


def other_search(options: SearchOptions) -> History | None:
    """Return the history of `--warm-start SEARCH`; None without one.

    A search that is resumed has what it took from there in its own log.

    Raises:
        InputError: There is no such search, or it has no trials.
    """
    if options.warm_start in (None, "published") or options.resume:
        return None
    return _history(str(options.warm_start), options)


def carry_over(
    options: SearchOptions,
    history: History | None,
    space: Space | RowSpace,
    data_fingerprint: str,
    budget: int,
    encoder: EncoderConfig,
) -> tuple[Carried, tuple[str, ...]]:
    """Return trials of `--warm-start SEARCH` that the space can express, and notes for the user.

    There are none if the scores there cannot be compared with those here; see `best_points`.
    """
    given = options.warm_start
    if history is None or isinstance(space, RowSpace):
        return (), ()
    reason = _difference(history, options, data_fingerprint, budget, encoder, space.base)
    if reason is not None:
        return (), (
            f"--warm-start {given}: {reason}, so its scores cannot be compared; the best "
            f"of its finished configurations are tried first, at most {N_FIRST} and a third of "
            f"the trials",
        )
    carried, refused = [], Counter[str]()
    for trial in history.trials.values():
        if not trial.reports and trial.status != "failed":
            continue  # it has no result yet
        reason = space.why_not(trial.config)
        if reason is None:
            carried.append(_fields(str(given), trial, space))
        else:
            refused[reason] += 1
    notes = [f"--warm-start {given}: {len(carried)} trials carried over"]
    for reason, n in refused.most_common(5):
        notes.append(f"--warm-start {given}: {n} not, such as {reason}")
    return tuple(carried), tuple(notes)


def _history(given: str, options: SearchOptions) -> History:
    """Return the history of a search that is named, or whose folder is given."""
    try:
        folder = named_folder(given, options.storage)
    except InputError as error:
        raise InputError(f"--warm-start {given!r}: {error}") from error
    history = History(read_events(folder.fetch_log()))
    if not history.trials:
        raise InputError(f"--warm-start {given!r}: that search has no trials")
    return history


def best_points(
    options: SearchOptions, history: History, space: Space, n_trials: int
) -> list[Point]:
    """Return the best configurations of `--warm-start SEARCH`, at most a third of the trials.

    They are those of its leaderboard that ran to their end.
    """
    given = options.warm_start
    trials = leaderboard(history.trials.values())
    done = [trial for trial in trials if trial.status == "done"]
    n = min(N_FIRST, n_trials // 3)
    return [
        (params_like(space, trial.config), f"trial {trial.number} of {given}") for trial in done[:n]
    ]


def _difference(
    history: History,
    options: SearchOptions,
    data_fingerprint: str,
    budget: int,
    encoder: EncoderConfig,
    base: RunConfig,
) -> str | None:
    """Return why scores cannot be compared, or None if they can."""
    config = next(iter(history.trials.values())).config
    then = {
        "data": history.header["data_fingerprint"],
        "encoder": config.encoder.source,
        "revision": config.encoder.revision,
        "budget": config.multitask.budget_tokens if config.multitask else None,
        "units": history.header["units"],
        "precision": history.header["options"]["precision"],
        "objective": config.objective,
        "metrics": ", ".join(metric_keys(config.data.table)),
    }
    now = {
        "data": data_fingerprint,
        "encoder": encoder.source,
        "revision": encoder.revision,
        "budget": budget,
        "units": options.units,
        "precision": options.precision,
        "objective": base.objective,
        "metrics": ", ".join(metric_keys(base.data.table)),
    }
    for key, value in then.items():
        if value != now[key]:
            return f"{key} was {value} there and is {now[key]} here"
    return None


def _fields(given: str, trial: TrialRecord, space: Space) -> dict[str, Any]:
    keys = metric_keys(space.base.data.table)
    return {
        "search": given,
        "params": space.params_of(trial.config),
        "run_config": trial.run_config,
        # A failed trial says where not to search, even if it has no reports.
        "status": "failed" if trial.status == "failed" else "done",
        "reports": {
            unit: {key: metrics[key] for key in ("score", *keys) if key in metrics}
            for unit, metrics in trial.reports.items()
        },
    }
