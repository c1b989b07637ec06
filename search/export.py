"""What a search leaves behind: best.json, trials.csv, report.md. Each file appears whole."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from search.ledger_report import ledger_section
from search.plan import Plan
from search.report import write_report
from search.results import TrialRecord, best, leaderboard
from search.versions import versions
from trainable.errors import InputError
from trainable.evaluation import SCORE_KEYS
from trainable.files import read_json, write_json, write_text
from trainable.run_config import RunConfig

BEST_VERSION: Final = 1


class Best(BaseModel):
    """Content of best.json: enough to train the configuration again.

    Attributes:
        schema_version: Version of this format.
        search: Name of the search.
        trial: Number of the trial.
        units: Units that it trained for; fewer than the budget has if the search was cut short.
        run_config: What ran.
        select: Scores that the search saw.
        confirm: Scores that it did not see; None if the trial did not reach its full budget.
        data_fingerprint: Of contents and tokenizer.
        versions: Of Python and packages.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    schema_version: Literal[1]
    search: str
    trial: int
    units: int
    run_config: RunConfig
    select: dict[str, float]
    confirm: dict[str, float] | None
    data_fingerprint: str
    versions: dict[str, str]


def read_best(path: Path) -> Best:
    """Read best.json.

    Raises:
        InputError: The file is missing or not JSON, a field is unknown, missing or out of range, or
            the format is newer.
    """
    values = read_json(path, "give the best.json of a search")
    if not isinstance(values, dict):
        raise InputError(f"{path}: a best.json is a JSON object, not {type(values).__name__}")
    found = values.get("schema_version")
    if isinstance(found, int) and found > BEST_VERSION:
        raise InputError(
            f"{path}: schema_version is {found}, this program reads up to {BEST_VERSION}; "
            f"install a newer version of the project"
        )
    config = RunConfig.from_dict(values.get("run_config"), f"{path}, run_config")
    try:
        return Best.model_validate({**values, "run_config": config})
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in problem["loc"])
        raise InputError(f"{path}: field {field!r}: {problem['msg']}") from error


def write_results(
    plan: Plan, trials: list[TrialRecord], actor_seconds: float
) -> TrialRecord | None:
    """Write all results of a search; returns the best trial, or None where there is none.

    Args:
        plan: The search.
        trials: Its trials.
        actor_seconds: Seconds that places for trials were there, busy or not.
    """
    folder, winner = plan.folder.local, best(trials)
    write_text(folder / "trials.csv", trials_csv(trials, [p.name for p in plan.space.params()]))
    if winner is not None:
        write_json(folder / "best.json", _best(plan, winner).model_dump(mode="json"))
    write_report(plan, trials, winner, actor_seconds, ledger_section(plan, trials))
    plan.folder.publish()
    return winner


def _best(plan: Plan, winner: TrialRecord) -> Best:
    return Best(
        schema_version=BEST_VERSION,
        search=plan.folder.name,
        trial=winner.number,
        units=winner.units,
        run_config=winner.config,
        select=_scores(winner.last, ""),
        confirm=_scores(winner.last, "confirm_") or None,
        data_fingerprint=plan.data_fingerprint,
        versions=versions(),
    )


def _scores(metrics: dict[str, float | None], prefix: str) -> dict[str, float]:
    found = {key: metrics.get(f"{prefix}{key}") for key in SCORE_KEYS}
    return {k: v for k, v in found.items() if v is not None and math.isfinite(v)}


def trials_csv(trials: list[TrialRecord], params: list[str]) -> str:
    """Return one line per trial, best first; a param that a trial lacks is empty."""
    output = io.StringIO()
    metrics = [*SCORE_KEYS, *(f"confirm_{key}" for key in SCORE_KEYS), "tokens"]
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(["trial", "status", "units", *metrics, "seconds", *params, "error"])
    for trial in leaderboard(trials):
        row: list[Any] = [trial.number, trial.status, trial.units]
        row += [trial.last.get(key) for key in metrics]
        row += [round(trial.ended - trial.started, 1)]
        row += [trial.params.get(name) for name in params]
        writer.writerow(["" if v is None else v for v in [*row, trial.error]])
    return output.getvalue()
