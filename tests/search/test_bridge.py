from __future__ import annotations

import inspect
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
from ray.tune.execution.tune_controller import TrialRunnerWrapper, TuneController
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from search.bridge import LimitStopper, TuneCallback, TuneScheduler, TuneSearcher, error_of
from search.checkpoints import Checkpoints
from search.cluster import Resources
from search.limits import Limits
from search.mirror import Mirror
from search.plan import Plan
from search.trial_record import TrialRecord
from trainable.ray_trainable import NUMBERS

MakePlan = Callable[..., Plan]
_KEPT_BY_TUNE = ("_trials_to_cache", "_stopped_trials", "_failed_trials")


class Seen:
    """Stands for board, progress and watchdog: writes down what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *given: self.calls.append((name, *given))


class Tuned:
    """A search as Tune sees it, with two places and three trials of two units.

    Attributes:
        searcher: Likewise `scheduler` and `callback`: what Tune calls.
        board: What TensorBoard was told; likewise `progress`.
    """

    def __init__(self, plan: Plan, search: Any) -> None:
        self.plan, self.dispatcher, self.log = plan, search.dispatcher, search.log
        share = Resources(2.0, 0.5, 2)
        self.board, self.progress, self.watchdog = Seen(), Seen(), Seen()
        self.limits = Limits(self.dispatcher, plan.options, share.gpus, self.progress.say)
        self.nodes: Any = SimpleNamespace(room=2, look=lambda: self.watchdog.look_at_nodes())
        self.searcher = TuneSearcher(self.dispatcher, plan, self.nodes, self.limits)
        self.drained: list[tuple[str, str, float]] = []
        self.scheduler = TuneScheduler(self.dispatcher, lambda *node: self.drained.append(node))
        checkpoints = Checkpoints(search.journal, plan.folder, Mirror(plan.folder))
        self.dispatcher.on_closed = checkpoints.closed
        self.callback = TuneCallback(
            self.dispatcher,
            share,
            checkpoints,
            self.board,  # type: ignore[arg-type]
            self.progress,  # type: ignore[arg-type]
            self.limits,
            self.nodes,
            self.watchdog,  # type: ignore[arg-type]
        )
        self.n_saved = Counter[str]()

    def start(self, id: str) -> Any:
        """Do what Tune does with a leg: its config, or why there is none."""
        config = self.searcher.suggest(id)
        if isinstance(config, dict):
            self.callback.on_trial_start(0, [], trial(id))
        return config

    def result(self, id: str, unit: int, score: float, **more: Any) -> str:
        """Let a leg report, and save if it did not fail; returns what Tune is to do."""
        own = dict.fromkeys(NUMBERS, math.nan) | {"unit": unit, "score": score}
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
    return Tuned(plan_of(space="smoke"), played(lambda n, u: 0.0, n_trials=3, units=2))


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ({"a": "RUNNING", "b": "PENDING"}, "b"),
        ({"b": "PENDING", "a": "PENDING"}, "a"),
        ({"a": "RUNNING", "b": "RUNNING"}, None),
        ({"b": "PENDING"}, "b"),  # a has ended
    ],
)
def test_the_leg_that_waits_longest_starts_next(
    tuned: Tuned, statuses: dict[str, str], expected: str | None
) -> None:
    for id in ("a", "b"):
        tuned.searcher.suggest(id)
    live = [SimpleNamespace(trial_id=id, status=status) for id, status in statuses.items()]
    controller = SimpleNamespace(get_live_trials=lambda: live, get_trials=list)
    chosen = tuned.scheduler.choose_trial_to_run(controller)
    assert (chosen.trial_id if chosen else None) == expected


def test_tune_forgets_what_ended_long_ago_and_keeps_what_is_live(tuned: Tuned) -> None:
    listed = [listed_trial(number, number % 100 == 0) for number in range(1000)]
    live = [trial for trial in listed if not trial.is_finished()]
    few, many = listed[:220], list(listed)
    for trials in (few, many):
        sets = {name: {trial.trial_id for trial in trials} for name in _KEPT_BY_TUNE}
        controller = SimpleNamespace(
            get_live_trials=lambda: live,
            get_trials=lambda t=trials: t,
            _tune_controller=SimpleNamespace(**sets),
        )
        tuned.scheduler.choose_trial_to_run(controller)
        assert all(bool(kept) == (trials is few) for kept in sets.values())
    assert few == listed[:220]  # not worth going through it
    assert many == live


def test_tune_has_the_private_names_under_which_it_keeps_what_ended() -> None:
    written = inspect.getsource(TuneController.__init__)
    assert all(f"self.{name}: Set[Trial] = set()" in written for name in _KEPT_BY_TUNE)
    assert TrialRunnerWrapper("a controller", None)._tune_controller == "a controller"


def listed_trial(number: int, is_live: bool) -> Any:
    status = "RUNNING" if is_live else "TERMINATED"
    return SimpleNamespace(
        trial_id=str(number), status=status, is_finished=lambda: status == "TERMINATED"
    )


def test_the_config_of_a_leg_is_what_the_trainable_reads(tuned: Tuned) -> None:
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


def test_there_are_no_more_legs_than_places(tuned: Tuned) -> None:
    assert [type(tuned.start(id)) for id in "abc"] == [dict, dict, type(None)]
    tuned.result("a", 1, 0.5)
    tuned.callback.on_trial_complete(0, [], trial("a"))
    assert tuned.start("c")["trial"] == 2


def test_places_that_come_later_are_used_and_those_that_go_are_not(tuned: Tuned) -> None:
    assert [type(tuned.start(id)) for id in "abc"] == [dict, dict, type(None)]
    tuned.nodes.room = 3
    assert tuned.start("c")["trial"] == 2
    tuned.nodes.room = 2
    for id in "ab":
        tuned.callback.on_trial_error(0, [], trial(id))
    assert [type(tuned.start(id)) for id in "de"] == [dict, type(None)]


def test_a_search_from_the_first_leg_to_the_last(tuned: Tuned) -> None:
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
    assert tuned.record(0).reports[1].keys() == set(NUMBERS)
    assert tuned.record(0).last["sst_acc"] is None


def test_a_lost_worker_costs_a_leg_and_not_the_trial(tuned: Tuned) -> None:
    tuned.start("a")
    tuned.callback.on_trial_error(0, [], trial("a"))
    assert tuned.record(0).last_failure == "NoneType without a message"
    assert (tuned.record(0).status, tuned.dispatcher.legs) == ("running", {})
    assert tuned.start("b")["trial"] == 0


def test_a_trial_that_leaves_its_machine_reports_no_unit(tuned: Tuned) -> None:
    tuned.start("x")
    tuned.result("x", 1, 0.1)
    tuned.callback.on_trial_complete(0, [], trial("x"))
    tuned.start("a")
    assert tuned.result("a", 1, 0.9) == TrialScheduler.CONTINUE
    leaving: dict[str, Any] = {"leaving": "spot notice: terminate", "node": "ab12", "deadline": 1.5}
    asked = tuned.result("a", 1, math.nan, **leaving)
    assert asked == TrialScheduler.CONTINUE  # the next step fails, and the actor with it
    assert tuned.drained == [("ab12", "spot notice: terminate", 1.5)]
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


def test_limits_are_looked_at_before_the_first_leg(tuned: Tuned) -> None:
    tuned.limits._options = replace(tuned.plan.options, time_limit="0.000001s")
    assert tuned.start("a") == Searcher.FINISHED
    assert tuned.dispatcher.history.trials == {}


def test_tune_can_pickle_what_it_wants_to_keep(tuned: Tuned) -> None:
    assert pickle.loads(pickle.dumps(LimitStopper(tuned.limits))).__dict__ == {}


def test_every_step_looks_at_what_may_be_wrong(tuned: Tuned) -> None:
    tuned.callback.on_step_end(0, [])
    assert tuned.watchdog.calls == [("look_at_nodes",), ("look",)]
    assert tuned.progress.calls == [("tick",)]


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
