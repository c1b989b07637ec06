"""best.json: the best configuration of a search, with what is needed to train it again."""

from __future__ import annotations

import json
import math
import shlex
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from search.log.find_folder import find_folder, named_below_runs, split
from search.log.folder import EVENTS, SearchFolder
from search.log.history import History
from search.log.race import Verdict
from search.log.trial import Gain, TrialRecord
from trainable.cache.files import read_json
from trainable.errors import InputError
from trainable.metrics import score_keys
from trainable.run_config import RunConfig

BEST = "best.json"
BEST_VERSION: Final = 3


class Best(BaseModel):
    """Content of best.json: enough to train the configuration again.

    Attributes:
        schema_version: Version of this format.
        search: Name of the search.
        trial: Number of the trial.
        units: Units that the trial trained for; fewer than a full run if the search ended early.
        run_config: Configuration of the trial.
        select: Metric -> score on *select*, which the search saw.
        confirm: Metric -> score on *confirm*, which it did not see; None if the trial ended before
            its full budget.
        data_fingerprint: Fingerprint of the examples and the tokenizer.
        versions: Versions of Python and packages when the search began.
        gain: What was gained over the default; None where the default leads, or where there was
            nothing to compare with. Files of version 1 have none.
        verdict: What is claimed after a race of finalists; None without one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    schema_version: Literal[1, 2, 3]
    search: str
    trial: int
    units: int
    run_config: RunConfig
    select: dict[str, float]
    confirm: dict[str, float] | None
    data_fingerprint: str
    versions: dict[str, str]
    gain: Gain | None = None
    verdict: Verdict | None = None


def best_path(given: str) -> str:
    """Return the path or URI of best.json, given that or the folder or URI of its search."""
    if "://" in given:
        is_file = split(given)[1] == BEST
        return given if is_file else SearchFolder(BEST, given, Path()).uri
    path = Path(given).expanduser()
    return str(path / BEST if path.is_dir() else path)


def default_out(path: str) -> Path:
    """Return the folder for a retraining: `retrain` beside best.json.

    Raises:
        InputError: The file is not on this machine.
    """
    if "://" in path:
        raise InputError(f"{path} is not on this machine; give a folder for the results by --out")
    return Path(path).parent / "retrain"


def read_best(path: str | Path) -> Best:
    """Read best.json.

    Args:
        path: Of the file, or its URI.

    Raises:
        InputError: The file is missing or not JSON, a field is unknown, missing or out of range, or
            the format is newer.
    """
    values = _values(str(path))
    if not isinstance(values, dict):
        raise InputError(f"{path}: a best.json is a JSON object, not {type(values).__name__}")
    found = values.get("schema_version")
    if isinstance(found, int) and found > BEST_VERSION:
        raise InputError(
            f"{path}: schema_version is {found}, this program reads up to {BEST_VERSION}; "
            f"install a newer version of the project"
        )
    if "run_config" not in values:
        raise InputError(
            f"{path} is no best.json: it has no run_config; give the best.json of a search "
            f"(`python -m trainable FILE` trains the configuration of a file)"
        )
    config = RunConfig.from_dict(values["run_config"], f"{path}, run_config")
    try:
        return Best.model_validate({**values, "run_config": config})
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in problem["loc"])
        raise InputError(f"{path}: field {field!r}: {problem['msg']}") from error


def _values(path: str) -> Any:
    """Return the decoded JSON of a best.json on this machine or in a remote storage."""
    if "://" not in path:
        search, missing = Path(path).parent, "give the best.json of a search"
        if named := named_below_runs(path):
            missing = f"did you mean {named / BEST}?"
        if (search / EVENTS).exists():
            missing += f"; python search/export.py {shlex.quote(str(search))} writes it"
        return read_json(Path(path), missing)
    folder = find_folder(*split(split(path)[0]), resume=True)
    try:
        return json.loads(folder.read(BEST))
    except FileNotFoundError as error:
        raise InputError(
            f"{folder.uri} has no {BEST} yet; python search/export.py {shlex.quote(folder.uri)} "
            f"writes it"
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({error})") from error


def best_of(search: str, history: History, winner: TrialRecord) -> Best:
    """Return the content of best.json.

    Args:
        search: Name of the search.
        history: Its header names the fingerprint of the data, and the versions.
        winner: The best trial.
    """
    return Best(
        schema_version=BEST_VERSION,
        search=search,
        trial=winner.number,
        units=winner.units,
        run_config=winner.config,
        select=_scores(winner, ""),
        confirm=_scores(winner, "confirm_") or None,
        data_fingerprint=history.header["data_fingerprint"],
        versions=history.header["versions"],
        gain=winner.gain,
        verdict=winner.verdict,
    )


def _scores(trial: TrialRecord, prefix: str) -> dict[str, float]:
    keys = score_keys(trial.config.data.table)
    found = {key: trial.last.get(f"{prefix}{key}") for key in keys}
    return {k: v for k, v in found.items() if v is not None and math.isfinite(v)}
