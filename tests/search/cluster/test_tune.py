from __future__ import annotations

import json
import math
import pickle
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from search.cluster import tune as bridge
from search.cluster.ray_internals import KEPT_BY_TUNE
from search.cluster.slots import Resources
from search.cluster.tune import LimitStopper, TuneCallback, TuneScheduler, TuneSearcher, error_of
from search.log.checkpoints import Checkpoints
from search.log.mirror import Mirror
from search.log.trial import TrialRecord
from search.loop.limits import Limits
from search.planning.plan import Plan
from trainable.tasks import COURSE
from trainable.worker.ray_trainable import report_keys

MakePlan = Callable[..., Plan]


class Seen:
    """Stands for board, progress and watchers: writes down what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *given: self.calls.append((name, *given))


class Tuned:
    """A search as Tune sees it, with two slots and three trials of two units.

    Attributes:
        searcher: Likewise `scheduler` and `callback`: what Tune calls.
        board: What TensorBoard was told; likewise `progress`.
    """

    def __init__(self, plan: Plan, search: Any) -> None:
        self.plan, self.dispatcher, self.log = plan, search.dispatcher, search.log
        resources = Resources(2.0, 0.5, 2)
        self.board, self.progress, self.looked = Seen(), Seen(), Seen()
        self.limits = Limits(self.dispatcher, plan.options, resources.gpus, self.progress.say, 0.0)
        self.nodes: Any = SimpleNamespace(n_concurrent=2, look=lambda: self.looked.nodes())
        self.searcher = TuneSearcher(self.dispatcher, plan, self.nodes, self.limits)
        self.said: list[str] = []
        self.scheduler = TuneScheduler(self.dispatcher, COURSE, self.said.append)
        checkpoints = Checkpoints(search.journal, plan.folder, Mirror(plan.folder))
        self.dispatcher.on_started = self.dispatcher.on_reported = self.board.write
        self.dispatcher.on_saved = checkpoints.saved
        self.dispatcher.on_closed = checkpoints.closed
        self.dispatcher.on_left = self.progress.left
        other: Any = SimpleNamespace(look=lambda: self.looked.other())
        self.callback = TuneCallback(self.dispatcher, resources, [self.limits, self.nodes, other])
        self.n_saved = Counter[str]()

    def start(self, id: str) -> Any:
        """Do what Tune does with a job: its config, or why there is none."""
        config = self.searcher.suggest(id)
        if isinstance(config, dict):
            self.callback.on_trial_start(0, [], trial(id))
        return config

    def result(self, id: str, unit: int, score: float, **more: Any) -> str:
        """Let a job report, and save if it did not fail; returns what Tune is to do."""
        own = dict.fromkeys(report_keys(COURSE), math.nan) | {"unit": unit, "score": score}
        reported = {**own, "node_ip": "10.0.0.7", "failure": "", "lost": [], "leaving": ""}
        reported |= more
        decision = self.scheduler.on_trial_result(None, trial(id), reported)
        self.callback.on_trial_result(0, [], trial(id), reported)
        self.n_saved[id] += 1
        path = self.plan.folder.local / f"trial_{id}" / f"checkpoint_{self.n_saved[id]:06d}"
        path.mkdir(parents=True)
        (path / "model").write_text("weights")
        checkpoint: Any = SimpleNamespace(path=str(path))
        self.callback.on_checkpoint(0, [], trial(id), checkpoint)
        return decision

    def record(self, number: int) -> TrialRecord:
        found: TrialRecord = self.dispatcher.history.trials[number]
        return found


def trial(id: str) -> Any:
    return SimpleNamespace(trial_id=id, get_pickled_error=lambda: None, error_file=None)


@pytest.fixture
def tuned(plan_of: MakePlan, played: Any) -> Tuned:
    search = played(lambda n, u: 0.0, n_trials=3, units=2, first="random")
    return Tuned(plan_of(space="smoke"), search)


@pytest.fixture
def drained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Nodes that Ray was asked to drain: id, why, and when the node ends."""
    asked: list[tuple[Any, ...]] = []

    def drain(*node: str | float) -> str:
        asked.append(node)
        return ""

    monkeypatch.setattr(bridge, "drain_node", drain)
    return asked


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ({"a": "RUNNING", "b": "PENDING"}, "b"),
        ({"b": "PENDING", "a": "PENDING"}, "a"),
        ({"a": "RUNNING", "b": "RUNNING"}, None),
        ({"b": "PENDING"}, "b"),  # a has ended
    ],
)
def test_the_job_that_waits_longest_starts_next(
    tuned: Tuned, statuses: dict[str, str], expected: str | None
) -> None:
    for id in ("a", "b"):
        tuned.searcher.suggest(id)
    live = [SimpleNamespace(trial_id=id, status=status) for id, status in statuses.items()]
    controller = SimpleNamespace(get_live_trials=lambda: live, get_trials=list)
    chosen = tuned.scheduler.choose_trial_to_run(controller)
    assert (chosen.trial_id if chosen else None) == expected


def test_tune_is_made_to_forget_what_has_ended(tuned: Tuned) -> None:
    ended = SimpleNamespace(is_finished=lambda: True)
    listed, sets = [ended] * 1000, {name: {"a"} for name in KEPT_BY_TUNE}
    controller = SimpleNamespace(
        get_live_trials=list,
        get_trials=lambda: listed,
        _tune_controller=SimpleNamespace(**sets),
    )
    assert tuned.scheduler.choose_trial_to_run(controller) is None
    assert listed == []


def test_the_config_of_a_job_is_what_the_trainable_reads(tuned: Tuned) -> None:
    config = tuned.start("a")
    assert config == {
        "trial": 0,
        "run_config": json.dumps(tuned.record(0).run_config),
        "storage": tuned.plan.folder.storage,
        "checkpoints": [],
        "save": "full",
    }
    assert json.loads(json.dumps(config)) == config
    assert tuned.board.calls == [("write", tuned.record(0))]


def test_there_are_no_more_jobs_than_places(tuned: Tuned) -> None:
    assert [type(tuned.start(id)) for id in "abc"] == [dict, dict, type(None)]
    tuned.result("a", 1, 0.5)
    tuned.callback.on_trial_complete(0, [], trial("a"))
    assert tuned.start("c")["trial"] == 2


def test_places_that_come_later_are_used_and_those_that_go_are_not(tuned: Tuned) -> None:
    assert [type(tuned.start(id)) for id in "abc"] == [dict, dict, type(None)]
    tuned.nodes.n_concurrent = 3
    assert tuned.start("c")["trial"] == 2
    tuned.nodes.n_concurrent = 2
    for id in "ab":
        tuned.callback.on_trial_error(0, [], trial(id))
    assert [type(tuned.start(id)) for id in "de"] == [dict, type(None)]


def test_a_search_from_the_first_job_to_the_last(tuned: Tuned) -> None:
    decisions = []
    for id, score in (("a", 0.1), ("b", 0.9), ("c", 0.5)):
        tuned.start(id)
        decisions.append(tuned.result(id, 1, score))
        if decisions[-1] == TrialScheduler.STOP:
            tuned.callback.on_trial_complete(0, [], trial(id))
    assert decisions == [TrialScheduler.STOP, TrialScheduler.CONTINUE, TrialScheduler.STOP]
    assert tuned.result("b", 2, 0.95) == TrialScheduler.STOP
    tuned.callback.on_trial_complete(0, [], trial("b"))
    assert tuned.start("d") == Searcher.FINISHED
    assert [tuned.record(n).status for n in range(3)] == ["stopped", "done", "stopped"]
    assert tuned.record(1).checkpoints == {2: "trial_b/checkpoint_000002"}
    left = [path.name for path in tuned.plan.folder.local.iterdir()]
    assert left == ["trial_b"]
    assert [call[1].number for call in tuned.progress.calls] == [0, 2, 1]
    costs = [event for event in tuned.log.events if event["event"] == "cost"]
    assert {(cost["cpus"], cost["gpus"], cost["node"]) for cost in costs} == {
        (2.0, 0.5, "10.0.0.7")
    }


def test_a_promoted_trial_names_its_checkpoints_newest_first(tuned: Tuned) -> None:
    for id, score in (("a", 0.9), ("b", 0.1)):
        tuned.start(id)
        tuned.result(id, 1, score)
        tuned.callback.on_trial_complete(0, [], trial(id))
    tuned.record(0).checkpoints[0] = "trial_x/checkpoint_000000"
    config = tuned.start("c")
    assert (config["trial"], tuned.record(0).promoted) == (0, {1})
    name = tuned.plan.folder.name
    assert config["checkpoints"] == [
        f"{name}/trial_a/checkpoint_000001",
        f"{name}/trial_x/checkpoint_000000",
    ]


def test_a_checkpoint_that_could_not_be_read_is_struck_off(tuned: Tuned) -> None:
    tuned.start("a")
    tuned.record(0).checkpoints[1] = "trial_x/checkpoint_000001"
    path = f"{tuned.plan.folder.name}/trial_x/checkpoint_000001"
    tuned.result("a", 1, 0.5, lost=[(path, "torn")])
    (lost,) = [event for event in tuned.log.events if event["event"] == "lost"]
    assert (lost["unit"], lost["path"], lost["error"]) == (1, "trial_x/checkpoint_000001", "torn")
    assert tuned.record(0).checkpoints == {1: "trial_a/checkpoint_000001"}


def test_what_a_failed_run_leaves_is_not_kept(tuned: Tuned) -> None:
    tuned.start("a")
    failure = "RunFailed: the loss is nan"
    assert tuned.result("a", 1, -1 / 3, failure=failure) == TrialScheduler.STOP
    tuned.callback.on_trial_complete(0, [], trial("a"))
    found = tuned.record(0)
    assert (found.status, found.error, found.checkpoints) == ("failed", failure, {})
    assert "saved" not in {event["event"] for event in tuned.log.events}


def test_reports_hold_every_number_and_nothing_of_tune(tuned: Tuned) -> None:
    tuned.start("a")
    tuned.result("a", 1, 0.5, training_iteration=7, pid=3)
    assert tuned.record(0).reports[1].keys() == set(report_keys(COURSE))
    assert tuned.record(0).last["sst_acc"] is None


def test_a_lost_worker_costs_a_job_and_not_the_trial(tuned: Tuned) -> None:
    tuned.start("a")
    tuned.callback.on_trial_error(0, [], trial("a"))
    assert tuned.record(0).last_failure == "NoneType without a message"
    assert (tuned.record(0).status, tuned.dispatcher.jobs) == ("running", {})
    assert tuned.start("b")["trial"] == 0


def test_a_trial_that_leaves_its_machine_reports_no_unit(
    tuned: Tuned, drained: list[tuple[Any, ...]]
) -> None:
    tuned.start("x")
    tuned.result("x", 1, 0.1)
    tuned.callback.on_trial_complete(0, [], trial("x"))
    tuned.start("a")
    assert tuned.result("a", 1, 0.9) == TrialScheduler.CONTINUE
    leaving: dict[str, Any] = {"leaving": "spot notice: terminate", "node": "ab12", "deadline": 1.5}
    asked = tuned.result("a", 1, math.nan, **leaving)
    assert asked == TrialScheduler.CONTINUE  # the next step fails, and the actor with it
    assert drained == [("ab12", "spot notice: terminate", 1.5)]
    tuned.callback.on_trial_error(0, [], trial("a"))
    found = tuned.record(1)
    assert (found.status, found.failures, list(found.reports)) == ("running", 0, [1])
    assert found.score == 0.9
    assert found.checkpoints == {1: "trial_a/checkpoint_000002"}
    assert [path.name for path in (tuned.plan.folder.local / "trial_a").iterdir()] == [
        "checkpoint_000002"
    ]
    again = tuned.start("b")
    assert again["trial"] == 1
    assert again["checkpoints"] == [f"{tuned.plan.folder.name}/trial_a/checkpoint_000002"]
    assert tuned.result("b", 2, 0.95) == TrialScheduler.STOP
    kinds = [event["event"] for event in tuned.log.events]
    assert (kinds.count("leaving"), kinds.count("reported"), kinds.count("failed")) == (1, 3, 0)


@pytest.mark.parametrize("problem", ["", "the GCS does not answer"])
def test_a_node_is_drained_once_and_what_goes_wrong_is_said(
    tuned: Tuned, monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    asked: list[tuple[Any, ...]] = []

    def drain(*node: str | float) -> str:
        asked.append(node)
        return problem

    monkeypatch.setattr(bridge, "drain_node", drain)
    for id, node in (("a", "ab"), ("b", "cd"), ("c", "ab")):
        tuned.start(id)
        tuned.result(id, 0, math.nan, leaving="spot notice", node=node, deadline=7.0)
        tuned.callback.on_trial_error(0, [], trial(id))
    assert asked == [("ab", "spot notice", 7.0), ("cd", "spot notice", 7.0)]
    nodes = ("ab", "cd") if problem else ()
    assert tuned.said == [
        f"warning: node {node} gets trials until it is gone: {problem}" for node in nodes
    ]


def test_tune_may_repeat_an_attempt_itself(tuned: Tuned) -> None:
    tuned.start("a")
    tuned.callback.on_trial_recover(0, [], trial("a"))
    assert tuned.record(0).failures == 1
    tuned.callback.on_trial_start(0, [], trial("a"))
    assert tuned.result("a", 1, 0.5) == TrialScheduler.STOP


def test_when_a_limit_is_reached_nothing_new_begins(tuned: Tuned) -> None:
    tuned.start("a")
    stopper = LimitStopper(tuned.limits)
    assert not stopper.stop_all()
    tuned.limits.fail("nothing answers")
    assert tuned.start("b") == Searcher.FINISHED
    assert stopper.stop_all()
    assert not stopper("a", {})
    tuned.callback.on_trial_complete(0, [], trial("a"))  # as Tune does at the end
    assert tuned.record(0).status == "interrupted"


def test_limits_are_looked_at_before_the_first_job(tuned: Tuned) -> None:
    tuned.limits._options = replace(tuned.plan.options, time_limit="0.000001s")
    assert tuned.start("a") == Searcher.FINISHED
    assert tuned.dispatcher.history.trials == {}


def test_tune_can_pickle_what_it_wants_to_keep(tuned: Tuned) -> None:
    assert pickle.loads(pickle.dumps(LimitStopper(tuned.limits))).__dict__ == {}


def test_every_step_looks_at_what_may_be_wrong(tuned: Tuned) -> None:
    tuned.limits._options = replace(tuned.plan.options, time_limit="0.000001s")
    tuned.callback.on_step_end(0, [])
    assert tuned.limits.reached is not None
    assert tuned.looked.calls == [("nodes",), ("other",)]


def test_an_error_is_its_last_line(tmp_path: Path) -> None:
    written = tmp_path / "error.txt"
    written.write_text("Traceback:\n  File\nRayActorError: the actor died\n\n")

    def said(error: Exception | None, file: Path | None = None) -> str:
        broken = SimpleNamespace(get_pickled_error=lambda: error, error_file=file)
        return error_of(broken)  # type: ignore[arg-type]

    assert said(ValueError("first\n  second \n")) == "second"
    assert said(None, written) == "RayActorError: the actor died"
    assert said(ValueError("first"), written) == "first"
    assert said(ValueError()) == "ValueError without a message"


def test_a_report_that_comes_late_ends_nothing_and_changes_nothing(tuned: Tuned) -> None:
    tuned.start("a")
    tuned.result("a", 1, 0.5)
    tuned.callback.on_trial_complete(0, [], trial("a"))
    before = list(tuned.log.events)
    assert tuned.result("a", 2, 0.9) == TrialScheduler.STOP
    tuned.callback.on_trial_complete(0, [], trial("a"))
    tuned.callback.on_trial_error(0, [], trial("a"))
    assert tuned.log.events == before
