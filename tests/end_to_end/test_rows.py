"""Rows of the papers in real searches: run as they are, and as the start of a search."""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import ray

from search.commands.run import main
from search.log.events import read_events
from search.log.folder import EVENTS
from search.log.history import History
from search.log.trial import TrialRecord
from search.planning.make_plan import make_plan
from search.planning.options import parse
from search.planning.plan import Plan
from search.report.best import read_best
from spaces.space import Space
from tests.course import SCORE_KEYS

pytestmark = pytest.mark.slow
BUDGET = ["--budget", "6000", "--units", "1", "--address", "local", "--quiet"]
ROWS = ["--space", "published", "--rows", "one-size/para-cosine-*", "--repeats", "2"]
WARM = ["--warm-start", "published", "--rows", "one-size/para-cosine-*-0.5", "--trials", "4"]
WARM += ["--max-concurrent", "1"]  # so that trials start in the order of the suggestions


@dataclass(frozen=True)
class Finished:
    """A search that ended, and its plan."""

    options: list[str]
    plan: Plan
    folder: Path

    @property
    def trials(self) -> list[TrialRecord]:
        return list(History(read_events(self.folder / EVENTS)).trials.values())

    @property
    def table(self) -> list[dict[str, str]]:
        with (self.folder / "trials.csv").open(newline="") as lines:
            return list(csv.DictReader(lines))


def run(storage: Path, *options: str) -> Finished:
    given = [*options, *BUDGET, "--storage", str(storage), "--name", "rows"]
    plan = make_plan(parse([*given, "--dry-run"]))
    assert main(given) == 0
    assert not ray.is_initialized()
    return Finished(given, plan, storage / "rows")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run(tmp_path_factory.mktemp("runs"), *ROWS, "--scheduler", "none")


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return run(tmp_path_factory.mktemp("runs"), *WARM)


def test_every_row_runs_as_it_is_and_with_another_seed(published: Finished) -> None:
    assert len(published.plan.rows) == 4
    assert Counter((t.params["row"], t.params["repeat"]) for t in published.trials) == Counter(
        (name, repeat) for name in published.plan.rows for repeat in (0, 1)
    )
    for trial in published.trials:
        row = published.plan.rows[trial.params["row"]]
        assert trial.config == row.model_copy(update={"seed": trial.params["repeat"]})
        assert (trial.status, trial.units) == ("done", 1)


def test_seeds_of_a_row_give_other_scores(published: Finished) -> None:
    scores: dict[str, set[tuple[float | None, ...]]] = {}
    for trial in published.trials:
        own = tuple(trial.last[key] for key in SCORE_KEYS)
        scores.setdefault(trial.params["row"], set()).add(own)
    assert all(len(own) == 2 for own in scores.values())


def test_results_name_the_rows(published: Finished) -> None:
    table = published.table
    assert len(table) == 8
    for line in table:
        trial = published.trials[int(line["trial"])]
        assert (line["row"], line["repeat"]) == (trial.params["row"], str(trial.params["repeat"]))
        assert float(line["confirm_score"]) == trial.last["confirm_score"]
    best = read_best(published.folder / "best.json")
    assert best.run_config == published.trials[best.trial].config
    report = (published.folder / "report.md").read_text()
    for name in published.plan.rows:
        # Sample data and a tiny encoder: two runs of each, that say nothing about the paper.
        assert re.search(
            rf"^\| {re.escape(name)} \| dev .*\| 2 \|.*not comparable", report, re.MULTILINE
        )


@pytest.mark.parametrize(
    ("option", "value"), [("--rows", "one-size/para-cosine-cls-*"), ("--repeats", "3")]
)
def test_it_is_not_resumed_with_other_rows(
    published: Finished, capsys: pytest.CaptureFixture[str], option: str, value: str
) -> None:
    options = list(published.options)
    options[options.index(option) + 1] = value
    assert main([*options, "--resume"]) == 2
    assert "give the options that the search was started with" in capsys.readouterr().err


def test_a_search_begins_with_the_rows_and_goes_on_by_itself(warm: Finished) -> None:
    trials, plan = warm.trials, warm.plan
    assert isinstance(plan.space, Space)
    assert len(trials) == 4
    assert [trial.config for trial in trials[:3]] == [plan.space.base, *plan.rows.values()]
    assert [(trial.params, trial.origin) for trial in trials[:3]] == list(plan.points)
    assert trials[3].config not in [trial.config for trial in trials[:3]]
    for trial in trials:
        assert plan.space.params_of(trial.config) == trial.params
        assert trial.status == "done"


def test_rows_stand_in_the_table_of_a_search_with_their_params(warm: Finished) -> None:
    table = {int(line["trial"]): line for line in warm.table}
    assert set(table) == {0, 1, 2, 3}
    for number, (point, _) in enumerate(warm.plan.points):
        own = {name: value for name, value in table[number].items() if name in point}
        assert own == {name: str(value) for name, value in point.items()}
    report = (warm.folder / "report.md").read_text()
    assert all(name in report for name in warm.plan.rows)


@pytest.mark.parametrize("option", ["--rows", "--warm-start"])
def test_it_is_not_resumed_from_another_start(
    warm: Finished, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    options = list(warm.options)
    at = options.index("--rows") + 1
    options[at] = "one-size/baseline"
    if option == "--warm-start":  # and so without rows
        del options[:4]
    assert main([*options, "--resume"]) == 2
    assert "give the options that the search was started with" in capsys.readouterr().err
