from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from search.log.history import History
from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.report.best import read_best
from search.report.result_files import result_files, trials_csv
from search.report.write import write_results
from tests.course import SCORE_KEYS
from trainable.learning import learning_keys
from trainable.tasks import COURSE

MakeHistory = Callable[..., History]


def test_the_best_trial_is_returned(
    heads: Plan, six: list[TrialRecord], history_of: MakeHistory
) -> None:
    assert write_results(heads, history_of(heads, six)) is six[2]


@pytest.mark.parametrize("numbers", [[], [5], [3], [3, 5]])
def test_without_a_finished_unit_there_is_no_best_and_the_rest_is_written(
    heads: Plan, six: list[TrialRecord], numbers: list[int], history_of: MakeHistory
) -> None:
    assert write_results(heads, history_of(heads, [six[n] for n in numbers])) is None
    names = {path.name for path in heads.folder.local.iterdir()}
    assert names == {"trials.csv", "report.md", "report.html", "report"}


def test_nothing_half_written_stays(heads: Plan, best_json: Path) -> None:
    names = {path.name for path in heads.folder.local.iterdir()}
    assert names == {
        "best.json",
        "trials.csv",
        "report.md",
        "report.html",
        "report",
    }
    assert [path.name for path in (heads.folder.local / "report").iterdir()] == [
        "errors_of_trial_2_after_9.html"
    ]


def test_results_are_written_again_over_the_old(
    heads: Plan, six: list[TrialRecord], best_json: Path, history_of: MakeHistory
) -> None:
    write_results(heads, history_of(heads, six[:2]))
    assert read_best(best_json).trial == 0


def test_they_are_those_that_follow_from_the_log_alone(
    heads: Plan, six: list[TrialRecord], best_json: Path, history_of: MakeHistory
) -> None:
    for name, text in result_files("search", history_of(heads, six)).items():
        assert (best_json.parent / name).read_text() == text


def test_the_table_has_every_trial_and_param(heads: Plan, six: list[TrialRecord]) -> None:
    names = [param.name for param in heads.space.params()]
    six[0].slot_seconds = 12.5
    rows = list(csv.DictReader(io.StringIO(trials_csv(six, names, COURSE))))
    assert [row["trial"] for row in rows] == ["2", "0", "4", "1", "5", "3"]
    expected = ["trial", "status", "units", *SCORE_KEYS, *(f"confirm_{k}" for k in SCORE_KEYS)]
    assert list(rows[0]) == [
        *expected,
        *learning_keys(COURSE),
        "tokens",
        "slot_seconds",
        "elapsed_seconds",
        *names,
        "error",
    ]
    for row in rows:
        trial = six[int(row["trial"])]
        assert row["status"] == trial.status
        assert row["slot_seconds"] == str(trial.slot_seconds)
        assert row["elapsed_seconds"] == "30.0"
        assert row["score"] == ("" if not trial.reports else str(trial.score))
        assert {name: row[name] for name in names} == {
            name: str(trial.params.get(name, "")) for name in names
        }
        assert row["error"] == (trial.error or "")


@pytest.mark.parametrize(
    "error", ['a "b"', "a, b", "a\nb", "a\r\nb", "a\rb", "a\n", "=1+1", "'", "\\", "ä\u2028b", " a"]
)
def test_an_error_is_read_back_from_the_table_as_it_was(
    heads: Plan, six: list[TrialRecord], error: str
) -> None:
    six[3].error = error
    rows = list(csv.reader(io.StringIO(trials_csv(six, [], COURSE), newline="")))
    assert [row[-1] for row in rows] == ["error", *[""] * 5, error]
    assert len({len(row) for row in rows}) == 1


def test_a_path_that_is_not_utf_8_does_not_stop_the_results(
    heads: Plan, six: list[TrialRecord], history_of: MakeHistory
) -> None:
    six[3].error = os.fsdecode(b"no such file: a\xff")
    options = replace(heads.options, encoder=os.fsdecode(b"/\xff"))
    write_results(replace(heads, options=options), history_of(heads, six))
    for name in ("trials.csv", "report.md", "report.html"):
        assert "no such file: a" in (heads.folder.local / name).read_text()
