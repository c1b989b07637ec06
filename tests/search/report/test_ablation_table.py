from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest
from scipy import stats

from search.log.history import History
from search.log.trial import TrialRecord
from search.report.ablation_table import (
    AblationRow,
    ablation_csv,
    ablation_rows,
    ablation_text,
)
from search.report.logged_search import LoggedSearch


def search(scores: dict[str, list[float]], space: str = "ablation") -> LoggedSearch:
    """A search in which each row ran with seeds 0, 1, ...; NaN for a run that did not finish."""
    repeats = max(map(len, scores.values()))
    history = History()
    row = {"type": "choice", "values": list(scores), "parents": []}
    history.header = {"options": {"space": space, "repeats": repeats}, "space": {"row": row}}
    for name, own in scores.items():
        for seed, score in enumerate(own):
            number = len(history.trials)
            trial = TrialRecord(
                number, {"row": name, "repeat": seed}, {}, 0.0, 0.0, slot_seconds=10.0
            )
            trial.status = "stopped" if math.isnan(score) else "done"
            known = None if math.isnan(score) else score
            trial.reports = {3: {"score": 0.0, "confirm_score": known}}
            history.trials[number] = trial
    return LoggedSearch("s", history)


def by_name(scores: dict[str, list[float]]) -> dict[str, AblationRow]:
    return {row.name: row for row in ablation_rows(search(scores))}


def test_the_base_comes_first_and_then_the_best() -> None:
    rows = ablation_rows(search({"x/a": [0.1], "base": [0.2], "x/b": [0.3], "x/c": [math.nan]}))
    assert [row.name for row in rows] == ["base", "x/b", "x/a", "x/c"]
    assert rows[1].difference == pytest.approx(0.1)
    assert [row.verdict for row in rows] == ["", "not tested", "not tested", "no full run"]
    assert ablation_rows(search({"base": [0.1]}, "published")) == []


def test_two_rows_are_the_paired_test_of_student() -> None:
    draw = np.random.default_rng(0)
    base, own = draw.normal(size=6), draw.normal(size=6)
    found = by_name({"base": list(base), "x/a": list(own)})["x/a"]
    expected = stats.ttest_rel(own, base)
    assert found.difference == pytest.approx(float(np.mean(own - base)))
    assert found.error == pytest.approx(float(np.std(own - base, ddof=1) / np.sqrt(6)))
    assert found.p == pytest.approx(float(expected.pvalue))
    assert found.p_holm == found.p


def test_p_values_are_those_of_holm() -> None:
    draw = np.random.default_rng(1)
    shifts = {"base": 0.0, "x/a": 3.0, "x/b": 0.1, "x/c": -2.0, "x/d": 0.0}
    rows = by_name({name: list(shift + draw.normal(size=4)) for name, shift in shifts.items()})
    tested = sorted((row for row in rows.values() if row.name != "base"), key=lambda row: row.p)
    largest = 0.0
    for place, row in enumerate(tested):
        largest = max(largest, min(1.0, (4 - place) * row.p))
        assert row.p_holm == pytest.approx(largest)


def test_equal_rows_are_called_different_in_one_ablation_of_twenty() -> None:
    draw = np.random.default_rng(2)
    wrong = 0
    for _ in range(400):
        seeds = draw.normal(size=3)  # a seed may be good for all rows
        rows = by_name({name: list(seeds + draw.normal(size=3)) for name in ("base", *"abcdef")})
        wrong += any(row.verdict in ("better", "worse") for row in rows.values())
    assert wrong / 400 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_a_row_that_lacks_a_seed_has_a_mean_and_no_test() -> None:
    rows = by_name({"base": [0.1, 0.2], "x/a": [0.3, math.nan], "x/b": [0.1, 0.3]})
    assert rows["x/a"].n_runs == 1
    assert rows["x/a"].difference == pytest.approx(0.2)
    assert math.isnan(rows["x/a"].p)
    assert not math.isnan(rows["x/b"].p)


def test_the_table_has_every_row_in_the_file_and_on_the_screen() -> None:
    draw = np.random.default_rng(3)
    rows = ablation_rows(search({name: list(draw.random(3)) for name in ("base", "x/a", "x/b")}))
    lines = list(csv.DictReader(io.StringIO(ablation_csv(rows))))
    assert [line["row"] for line in lines] == [row.name for row in rows]
    assert [float(line["mean"]) for line in lines] == pytest.approx([row.mean for row in rows])
    assert {line["seconds"] for line in lines} == {"10"}
    text = ablation_text(rows)
    assert all(f"\n{row.name} " in text for row in rows)
    assert "correction for 2 rows" in text
    assert "--repeats 3" in ablation_text(ablation_rows(search({"base": [0.1], "x/a": [0.2]})))


def test_where_rungs_stopped_rows_the_hint_says_how_all_of_them_run() -> None:
    rows = ablation_rows(search({"base": [0.1], "x/a": [math.nan], "x/b": [math.nan]}))
    hint = "rungs stopped 2 of 3 rows before their end, and only full runs can be compared"
    assert f"{hint}; a search with --scheduler none runs all of them" in ablation_text(rows)
    some = {"base": [0.1, 0.2], "x/a": [0.3, math.nan]}
    assert "rungs" not in ablation_text(ablation_rows(search(some)))
