from __future__ import annotations

from dataclasses import replace
from typing import Any

from search.log.history import History, Journal
from search.log.leaderboard import gained, lead
from search.log.race import Verdict
from search.report.result_files import result_files
from search.report.sections.base import FinishedSearch
from search.report.sections.finalist_table import finalist_table
from tests.search.conftest import MakePlan, MakeTrial

VERDICT: dict[str, Any] = {
    "default": 0,
    "seeds": 3,
    "score": 0.71,
    "score_width": 0.01,
    "gain": 0.018,
    "gain_width": 0.006,
    "interval": 0.9,
    "is_better": True,
}
LINES = [
    {"trial": 2, "seeds": 1, "mean": 0.6, "behind": 0.12, "error": 0.01, "left": 1},
    {"trial": 1, "seeds": 3, "mean": 0.72, "behind": 0.0, "error": None, "left": None},
    {"trial": 0, "seeds": 3, "mean": 0.7, "behind": 0.02, "error": 0.008, "left": None},
]


def searched(plan_of: MakePlan, trial_of: MakeTrial, *, is_over: bool = True) -> FinishedSearch:
    plan = plan_of()
    history = History()
    journal = Journal(history)
    history.header = {"data_fingerprint": "", "versions": {}, "space": {}, "options": {}}
    for number, score in enumerate((0.7, 0.71, 0.75)):
        history.trials[number] = trial_of(plan, number, {9: score})
    history.trials[0].origin = "default"
    journal.write("finalists", trials=[2, 1, 0], asked=2, n_runs=8, n_trials=3, first=3)
    reason = "the runs are used up" if is_over else ""
    journal.write("raced", winner=1, live=[1, 0], is_over=is_over, reason=reason, standings=LINES)
    if is_over:
        journal.write("verdict", trial=1, **VERDICT)
    return FinishedSearch(plan, history)


def test_the_winner_of_the_race_leads_and_the_claim_is_made_once(
    plan_of: MakePlan, trial_of: MakeTrial
) -> None:
    search = searched(plan_of, trial_of)
    assert search.logged.winner is search.history.trials[1]
    text = "\n".join(finalist_table(search))
    assert "| 1 |  | 3 | 0.7200 | 0.0000 |  |" in text
    assert "| 0 | the default | 3 | 0.7000 | 0.0200 ± 0.0080 |  |" in text
    assert "| 2 |  | 1 | 0.6000 | 0.1200 ± 0.0100 | after 1 |" in text
    assert "0.7100 ± 0.0100 on confirm; better than" in text
    claim = "better than the default by 1.8 ± 0.6 points on confirm"
    assert claim in text
    assert claim in gained(search.trials)
    best = result_files("search", search.history)["best.json"]
    assert '"is_better": true' in best


def test_an_interrupted_race_shows_how_they_stand(plan_of: MakePlan, trial_of: MakeTrial) -> None:
    search = searched(plan_of, trial_of, is_over=False)
    text = "\n".join(finalist_table(search))
    assert "It is not over." in text
    assert "confirm" not in text
    assert lead(search.trials).winner is search.history.trials[1]


def test_a_search_without_finalists_has_no_section(plan_of: MakePlan, trial_of: MakeTrial) -> None:
    search = searched(plan_of, trial_of)
    search.history.race = None
    assert finalist_table(search) == []


def test_what_is_not_shown_is_said() -> None:
    verdict = Verdict(**VERDICT)
    small = replace(verdict, gain=-0.002, is_better=False)
    assert "no difference was shown: -0.2 ± 0.6 points over the default" in small.sentence
    unknown = replace(verdict, gain_width=None, is_better=False, seeds=1)
    assert "1 new seed of each: too few to know the error" in unknown.sentence
    assert "nothing was gained" in replace(verdict, gain=None, is_better=False).sentence
