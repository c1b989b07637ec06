from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.report import report
from search.report.report import write_report
from search.report.sections.base import FinishedSearch

MakePlan = Callable[..., Plan]
MakeTrial = Callable[..., TrialRecord]
MakeSearch = Callable[..., FinishedSearch]
PNG = b"\x89PNG\r\n\x1a\n"


def report_of(search: FinishedSearch) -> str:
    write_report(search)
    return (search.folder / "report.md").read_text(encoding="utf-8")


def test_pictures_that_are_linked_are_there(
    plan: Plan, ten: list[TrialRecord], search_of: MakeSearch
) -> None:
    text = report_of(search_of(plan, ten))
    links = re.findall(r"!\[[^]]+\]\(([^)]+)\)", text)
    assert links == ["best_so_far.png", "learning_curves.png", "importance.png"]
    for link in links:
        assert (plan.folder.local / link).read_bytes().startswith(PNG)
    assert {p.name for p in plan.folder.local.glob("*.png")} == set(links)


def test_a_report_without_a_finished_unit_has_no_pictures(
    plan: Plan, trial_of: MakeTrial, search_of: MakeSearch
) -> None:
    text = report_of(search_of(plan, [trial_of(plan, 0, {}, "interrupted")]))
    assert "## Leaderboard" in text
    assert "![" not in text


def test_a_winner_without_predictions_has_a_sentence_for_an_analysis(
    plan: Plan, trial_of: MakeTrial, search_of: MakeSearch
) -> None:
    section = "## Analysis of the best configuration\n\nThere is none: "
    text = report_of(search_of(plan, [trial_of(plan, 4, {1: 0.1, 3: 0.2}, "interrupted")]))
    assert f"{section}trial 4 ended after 3 of 9 units" in text
    text = report_of(search_of(plan, [trial_of(plan, 4, {1: 0.1, 9: 0.2})]))
    assert f"{section}the checkpoints of trial 4 are not there" in text


def test_sections_come_in_the_order_of_the_list(
    plan: Plan, ten: list[TrialRecord], search_of: MakeSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = search_of(plan, ten)
    expected = [paragraph for section in report.SECTIONS for paragraph in section(search)]
    assert report_of(search) == "\n\n".join(expected) + "\n"
    assert expected[0] == "# Search search"
    assert len([paragraph for paragraph in expected if paragraph.startswith("## ")]) >= 7
    added = (*report.SECTIONS[:-1], lambda search: ["## One", "first"], report.SECTIONS[-1])
    monkeypatch.setattr(report, "SECTIONS", added)
    assert "\n\n## One\n\nfirst\n\n## Where the time went\n\n" in report_of(search)
