from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape

from markdown_it import MarkdownIt

from search.log.trial import TrialRecord
from search.planning.plan import Plan
from search.report.sections.base import FinishedSearch
from search.report.sections.overview import best_configuration, overview, trial_table
from tests.course import TASK_METRICS

MakePlan = Callable[..., Plan]
MakeTrial = Callable[..., TrialRecord]
MakeSearch = Callable[..., FinishedSearch]


def test_the_leaderboard_has_every_trial_in_its_order(
    plan: Plan, trial_of: MakeTrial, search_of: MakeSearch
) -> None:
    trials = [
        trial_of(plan, 0, {1: 0.2}, "stopped"),
        trial_of(plan, 1, {1: 0.3, 9: 0.6}),
        trial_of(plan, 2, {1: -1 / 3}, "failed", "RunFailed: the loss of sst is nan"),
    ]
    trials[1].origin = "portfolio/x"
    search = search_of(plan, trials)
    heading, _, table = trial_table(search)
    assert heading == "## Leaderboard"
    rows = [line.split("|")[1:-1] for line in table.splitlines() if re.match(r"\| \d", line)]
    assert [[cell.strip() for cell in row[:5]] for row in rows] == [
        ["1", "1", "portfolio/x", "9/9", "0.6000"],
        ["2", "0", "-", "1/9", "0.2000"],
        ["3", "2", "-", "1/9", "-0.3333"],
    ]
    assert rows[0][8].strip() == "0.5900"
    assert "the loss of sst is nan" in rows[2][9]
    title, answer, _, text = overview(search)
    assert title == "# Search search"
    assert answer.startswith("Trial 1 (portfolio/x) is the best of 3 trials")
    assert text.splitlines()[-3:] == [
        *("- 1 done", "- 1 stopped: 1 after unit 1", "- 1 failed: 1 after unit 1")
    ]


def test_every_metric_has_its_column(
    plan: Plan, trial_of: MakeTrial, search_of: MakeSearch
) -> None:
    trial = trial_of(plan, 0, {1: 0.1, 9: 0.2}, "interrupted")
    keys = ("score", "sst_acc", "para_acc", "sts_corr", "confirm_score")
    trial.reports[9] |= {key: 0.11 * n for n, key in enumerate(keys, 1)}
    search = search_of(plan, [trial])
    header, _, row = [line.split(" | ") for line in trial_table(search)[2].splitlines()]
    assert header[4:9] == ["score", *TASK_METRICS, "confirm"]
    assert row[4:9] == ["0.1100", "0.2200", "0.3300", "0.4400", "0.5500"]
    assert overview(search)[-1].endswith("\n- 1 interrupted: 1 after unit 9")


def test_the_best_configuration_is_that_of_the_winner(
    plan: Plan, ten: list[TrialRecord], search_of: MakeSearch
) -> None:
    winner = max(ten, key=lambda trial: trial.score)
    _, sentence, table = best_configuration(search_of(plan, ten))
    assert sentence == f"Trial {winner.number}, as in best.json:"
    assert f"| `para.pair` | {winner.params['para.pair']} |" in table


def test_the_default_is_not_listed_where_it_leads(
    plan: Plan, trial_of: MakeTrial, search_of: MakeSearch
) -> None:
    default = trial_of(plan, 0, {1: 0.1, 9: 0.2})
    default.origin = "default"
    _, sentence = best_configuration(search_of(plan, [default]))
    assert sentence == "Trial 0, the default, as in best.json."


HOSTILE = "a | b\n# c <img src=x> `d` *e* [f](g) _h_ $i$ \x1b[31m \u202e"


def test_names_and_errors_do_not_become_markup(
    plan: Plan, trial_of: MakeTrial, search_of: MakeSearch
) -> None:
    trials = [trial_of(plan, 0, {1: 0.1}), trial_of(plan, 1, {1: 0.1}, "failed", HOSTILE)]
    trials[0].params["row"] = HOSTILE
    options = replace(plan.options, encoder=HOSTILE)
    search = search_of(replace(plan, options=options, notes=(HOSTILE,)), trials)
    paragraphs = [*overview(search), *trial_table(search), *best_configuration(search)]
    html = MarkdownIt("commonmark").enable("table").render("\n\n".join(paragraphs))
    text = unescape(re.sub(r"<[^>]+>", "", html))
    shown = HOSTILE.replace("\n", " ").replace("\x1b", r"\x1b").replace("\u202e", r"\u202e")
    assert text.count(shown) == 6
    assert set(re.findall(r"<(\w+)", html)) <= {
        *("h1", "h2", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "em", "code")
    }
    assert html.count("<code>") == len(trials[0].params)
    assert html.count("<em>") == 2
    assert html.count("<h1>") == 1
