from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.report import report
from search.report.report import write_report
from search.report.result_files import result_files
from search.report.sections.base import FinishedSearch
from search.report.write import write_reports

MakePlan = Callable[..., Plan]
MakeTrial = Callable[..., TrialRecord]
MakeSearch = Callable[..., FinishedSearch]


def report_of(search: FinishedSearch) -> str:
    write_report(search)
    return (search.folder / "report.md").read_text(encoding="utf-8")


def page_of(search: FinishedSearch) -> str:
    write_reports(search)
    return (search.folder / "report.html").read_text(encoding="utf-8")


def test_it_is_a_short_text_without_pictures(
    plan: Plan, trial_of: MakeTrial, search_of: MakeSearch
) -> None:
    trials = [trial_of(plan, n, {1: n / 100}, "stopped") for n in range(60)]
    text = report_of(search_of(plan, trials))
    assert "![" not in text
    assert "40 more trials are in trials.csv" in text
    assert len(text.splitlines()) < 80


def test_a_report_without_a_finished_unit_has_a_leaderboard(
    plan: Plan, trial_of: MakeTrial, search_of: MakeSearch
) -> None:
    text = report_of(search_of(plan, [trial_of(plan, 0, {}, "interrupted")]))
    assert "## Leaderboard" in text
    assert "No trial has a score yet" in text


def test_a_winner_without_predictions_has_a_sentence_for_its_errors(
    plan: Plan, trial_of: MakeTrial, search_of: MakeSearch
) -> None:
    text = page_of(search_of(plan, [trial_of(plan, 4, {1: 0.1, 3: 0.2}, "interrupted")]))
    assert "There is none: trial 4 ended after 3 of 9 units" in text
    text = page_of(search_of(plan, [trial_of(plan, 4, {1: 0.1, 9: 0.2})]))
    assert "There is none: the checkpoints of trial 4 are not there" in text


def test_sections_come_in_the_order_of_the_list(
    plan: Plan, ten: list[TrialRecord], search_of: MakeSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = search_of(plan, ten)
    expected = [paragraph for section in report.SECTIONS for paragraph in section(search)]
    assert report_of(search) == "\n\n".join(expected) + "\n"
    assert expected[0] == "# Search search"
    assert len([paragraph for paragraph in expected if paragraph.startswith("## ")]) >= 4
    added = (*report.SECTIONS[:-1], lambda search: ["## One", "first"], report.SECTIONS[-1])
    monkeypatch.setattr(report, "SECTIONS", added)
    assert "\n\n## One\n\nfirst\n\n## Commands\n\n" in report_of(search)


def test_of_equal_scores_the_trial_that_was_suggested_first_wins_everywhere(
    plan: Plan, trial_of: MakeTrial, search_of: MakeSearch
) -> None:
    trials = [trial_of(plan, n, {1: 0.1, 9: 0.5}) for n in range(3)]
    trials[0].ended = trials[2].ended + 1000  # it ended last
    trials[0].reports[9]["score"] = 0.4
    search = search_of(plan, trials)
    text, page = report_of(search), page_of(search)
    assert search.logged.winner is trials[1]
    assert search.logged.with_scores == [trials[1], trials[2], trials[0]]
    assert "| 1 | 1 | - | 9/9 |" in text
    assert "Trial 1, as in best.json" in text
    assert "the checkpoints of trial 1 are not there" in page
    assert "Trial 1 (-) is the best of 3 trials" in page
    assert json.loads(result_files("search", search.history)["best.json"])["trial"] == 1
    table = result_files("search", search.history)["trials.csv"]
    assert [line.split(",")[0] for line in table.splitlines()] == ["trial", "1", "2", "0"]
