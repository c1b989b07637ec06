from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from search.log.history import History, Journal
from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.planning.resume import header
from search.report.logged_search import LoggedSearch
from search.report.page.param_charts import MIN_TRIALS
from search.report.page.parts import FOLDER, write_parts
from search.report.page.vega import vega_script
from search.report.page.write_page import MOST_ROWS, PAGE, page, write_page
from tests.chaos.simulation import run
from tests.chaos.stub import Faults

MakePlan = Callable[..., Plan]
MakeTrial = Callable[..., TrialRecord]
MakeHistory = Callable[[Plan, list[TrialRecord]], History]
MOST_BYTES = 6_000_000
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \"'& {{7*7}} \u202e"


class Outline(HTMLParser):
    """Tags, headings and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.headings: list[str] = []
        self.addresses: list[str] = []
        self._in_heading = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "wbr":  # where a long name may break
            self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        self._in_heading = tag == "h2"

    def handle_data(self, data: str) -> None:
        if self._in_heading and data.strip():
            self.headings.append(data.strip())


def charts_of(text: str) -> list[dict[str, object]]:
    found = re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    return [json.loads(own) for own in found]


def play(plan: Plan, folder: Path) -> LoggedSearch:
    """Return a search without training."""
    journal = Journal(History())
    journal.write("search", slots=8, cpus=1.0, gpus=0.0, **header(plan))
    faults = Faults(str(folder), seconds=0.0, failing=0.05, unknown=0.02)
    run(plan, journal, faults, 8, random.Random(0))
    return LoggedSearch("played", journal.history)


@pytest.fixture
def played(plan_of: MakePlan, tmp_path: Path) -> Callable[[int], LoggedSearch]:
    """Return a function from a number of trials to a search without training."""
    return lambda n: play(plan_of(space="full", searcher="random", trials=n), tmp_path)


def test_its_parts_come_in_their_order(
    played: Callable[[int], LoggedSearch], tmp_path: Path
) -> None:
    search = played(40)
    for trial in search.history.trials.values():  # stubs are equally good at all tasks
        for metrics in trial.reports.values():
            metrics["sts_corr"] = 1 - (metrics["sts_corr"] or 0.0)
    (tmp_path / FOLDER).mkdir()
    write_parts(tmp_path, search.winner, ["## E", "All wrong."], ["## P", "a row"])
    write_page(search, tmp_path, "runs/played")
    text = (tmp_path / PAGE).read_text(encoding="utf-8")
    headings = Outline(text).headings
    order = ["Leaderboard", "Scores over time", "What matters", "What one task costs another"]
    order += ["Where it is wrong", "Published rows", "Time and cost", "Commands"]
    assert [name for name in headings if name in order] == order
    assert headings.index("Leaderboard") == 1
    assert "All wrong." in text
    assert len(charts_of(text)) > 10
    assert text.index("<h1>") < text.index('class="gain"') < text.index("<h2>")


def test_rows_are_shown_by_the_leaderboard_and_not_as_params(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    search = play(plan_of(space="published", rows="bertpp/*"), tmp_path)
    text = page(search, tmp_path, "runs/played")
    assert "What matters" not in Outline(text).headings
    assert len(search.history.trials) >= MIN_TRIALS  # else there are no such charts of any space
    assert "score after the first unit" not in text
    winner = search.winner
    assert winner is not None
    assert f"values of trial {winner.number}<" in text  # without a default to compare with
    assert "<code>encoder.<wbr>dropout</code>" in text


def test_a_race_of_finalists_is_shown(
    plan: Plan, ten: list[TrialRecord], history_of: MakeHistory, tmp_path: Path
) -> None:
    history = history_of(plan, ten)
    journal, line = Journal(history), {"seeds": 1, "mean": 0.5, "left": None, "error": None}
    standings = [{"trial": number, "behind": 0.0, **line} for number in (3, 0)]
    journal.write("finalists", trials=[3, 0], asked=1, n_runs=2, n_trials=10, first=10)
    journal.write("raced", winner=3, live=[3], is_over=False, reason="", standings=standings)
    text = page(LoggedSearch("s", history), tmp_path, "runs/s")
    headings = Outline(text).headings
    assert headings.index("Finalists") == headings.index("Leaderboard") - 1
    assert "<td>0.5000</td>" in text


def test_the_leaderboard_marks_audited_trials(
    plan: Plan, ten: list[TrialRecord], history_of: MakeHistory, tmp_path: Path
) -> None:
    ten[3].audited_at = 1
    text = page(LoggedSearch("s", history_of(plan, ten)), tmp_path, "runs/s")
    assert text.count('<td class="text">done, audited</td>') == 1
    assert text.count('<td class="text">done</td>') == 9


def test_long_names_may_break_at_their_dots(
    plan: Plan, ten: list[TrialRecord], history_of: MakeHistory, tmp_path: Path
) -> None:
    ten[0].origin = "a.b/<c>"
    text = page(LoggedSearch("s", history_of(plan, ten)), tmp_path, "runs/s")
    assert ">a.<wbr>b/<wbr>&lt;c&gt;<" in text
    assert "&lt;wbr" not in text


def test_it_loads_nothing(played: Callable[[int], LoggedSearch], tmp_path: Path) -> None:
    outline = Outline(page(played(10), tmp_path, "runs/played"))
    assert all(address.startswith("data:") for address in outline.addresses)
    assert not {"link", "iframe", "object", "base", "form"} & set(outline.tags)


def test_names_and_errors_stay_text(
    plan: Plan, ten: list[TrialRecord], history_of: MakeHistory, tmp_path: Path
) -> None:
    calm = Outline(page(LoggedSearch("s", history_of(plan, ten)), tmp_path, "s")).tags
    for trial in ten:
        trial.origin = HOSTILE
    ten[0].error = HOSTILE
    history = history_of(plan, ten)
    history.header["options"] |= {"encoder": HOSTILE, "tasks": HOSTILE}
    text = page(LoggedSearch(HOSTILE, history), tmp_path, f"runs/{HOSTILE}")
    assert Outline(text).tags == calm
    assert "\u202e" not in text
    assert "alert(1)</script>" not in text
    assert "{{7*7}}" in text.split("<h1>")[1].split("</h1>")[0]


@pytest.mark.parametrize("scores", [[], [{}], [{1: 0.1}], [{1: 0.1}, {1: 0.1, 9: 0.1}]])
def test_it_is_written_of_any_search(
    plan: Plan,
    trial_of: MakeTrial,
    history_of: MakeHistory,
    scores: list[dict[int, float]],
    tmp_path: Path,
) -> None:
    trials = [trial_of(plan, n, own, "running") for n, own in enumerate(scores)]
    text = page(LoggedSearch("s", history_of(plan, trials)), tmp_path, "runs/s")
    assert text.count("<h1>") == 1
    assert "Leaderboard" in text


def test_errors_of_another_winner_are_left_out(
    plan: Plan, ten: list[TrialRecord], history_of: MakeHistory, tmp_path: Path
) -> None:
    search = LoggedSearch("s", history_of(plan, ten))
    (tmp_path / FOLDER).mkdir()
    loser = next(trial for trial in ten if trial is not search.winner)
    write_parts(tmp_path, loser, ["## E", "All wrong."], [])
    assert "All wrong." not in page(search, tmp_path, "runs/s")


@pytest.mark.slow
def test_every_chart_is_one_of_vega_lite(
    played: Callable[[int], LoggedSearch], tmp_path: Path
) -> None:
    import vl_convert

    for spec in charts_of(page(played(60), tmp_path, "runs/s")):
        vega = vl_convert.vegalite_to_vega({**spec, "width": 300})
        assert vega["marks"]


@pytest.mark.slow
def test_ten_thousand_trials_fit(
    played: Callable[[int], LoggedSearch], tmp_path: Path, real_script: None
) -> None:
    search = played(60)
    history = search.history
    history.n_trials = 10_000
    some = list(history.trials.values())
    for number in range(60, 10_000):  # to play them all would take minutes
        history.trials[number] = replace(some[number % 60], number=number)
    write_page(search, tmp_path, "runs/s")
    text = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES
    assert "vegaEmbed" in text
    assert text.count("<tr") < MOST_ROWS + 200
    assert "of 10,000 trials" in text


@pytest.mark.slow
def test_the_script_ends_where_the_page_says(real_script: None) -> None:
    assert "</script" not in vega_script()
    assert "window.vegaEmbed=" in vega_script()
