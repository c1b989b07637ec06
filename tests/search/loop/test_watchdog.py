from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from search.log.history import History, Journal
from search.loop.dispatcher import Dispatcher
from search.loop.limits import Limits
from search.loop.watchdog import Watchdog
from search.planning.plan import Plan
from search.schedulers.run_all import RunAll
from search.searchers.random_search import RandomSearch

MakePlan = Callable[..., Plan]
GIB = 2**30


class Watched:
    """A search whose clock, disk, mirror and cluster are what the test says."""

    def __init__(self, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.free, self.is_servable = 1000.0, 1000 * GIB, True
        clock = SimpleNamespace(monotonic=lambda: self.now)
        disk = SimpleNamespace(disk_usage=lambda path: SimpleNamespace(free=self.free))
        for module in ("watchdog", "limits"):
            monkeypatch.setattr(f"search.loop.{module}.time", clock)
        monkeypatch.setattr("search.loop.watchdog.shutil", disk)
        self.plan, self.said = plan, list[str]()
        begin: dict[str, Any] = {"event": "search", "time": 0.0, "version": 2, "n_trials": 9}
        self.dispatcher = Dispatcher(
            Journal(History([begin])),
            RunAll(),
            RandomSearch(plan.space, 0),
            plan.space,
            [],
            9,
            clock=lambda: self.now,
        )
        self.limits = Limits(self.dispatcher, plan.options, 1.0, self.said.append, 0.0)
        self.mirror: Any = SimpleNamespace(
            folder=plan.folder, failing_since=None, busy_since=None, error=None, is_overtaken=False
        )
        self.watchdog = Watchdog(
            self.dispatcher,
            plan.options,
            plan.checkpoint_bytes,
            self.limits,
            self.mirror,
            lambda: self.is_servable,
            self.said.append,
        )

    def after(self, seconds: float) -> list[str]:
        """Return what is said when so many seconds have passed."""
        self.now += seconds
        self.said.clear()
        self.watchdog.look()
        return list(self.said)

    def report(self, id: str, unit: int, seconds: float, prefix: float = 0.0) -> None:
        metrics = {"score": 0.5, "train_seconds": seconds, "eval_seconds": 0.0}
        self.dispatcher.reported(id, unit, metrics | {"prefix_seconds": prefix})


@pytest.fixture
def watched(plan_of: MakePlan, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(plan_of(space="smoke", cpus_per_trial=2.0, gpus_per_trial=0.5), monkeypatch)


def test_it_says_when_no_trial_gets_a_slot(watched: Watched) -> None:
    watched.dispatcher.next_job("a")
    assert watched.after(120.0) == []
    (line,) = watched.after(10.0)
    assert line.startswith("warning: no trial has had a slot for 130 s")
    assert "each needs 2 CPUs and 0.5 GPUs" in line
    assert "`ray status`" in line
    assert "takes long to start" in line
    assert watched.after(60.0) == []  # once
    assert watched.limits.reached is None


def test_it_waits_where_others_run(watched: Watched) -> None:
    watched.dispatcher.next_job("a")
    watched.dispatcher.next_job("b")
    watched.dispatcher.started("b")
    assert watched.after(500.0) == []
    watched.now += 100.0
    watched.is_servable = False  # the only node is gone; another one is on its way, perhaps
    watched.dispatcher.left("b", 1.0, 0.0)
    assert watched.after(120.0) == []
    assert watched.limits.reached is None
    watched.is_servable = True
    (line,) = watched.after(5.0)
    assert line.startswith("warning: no trial has had a slot for 125 s")
    watched.dispatcher.started("a")
    assert watched.after(10.0) == []
    watched.dispatcher.left("a", 1.0, 0.0)
    watched.dispatcher.next_job("c")
    assert len(watched.after(130.0)) == 1  # again, since it got better in between


def test_it_counts_from_the_job_that_waits_longest(watched: Watched) -> None:
    watched.dispatcher.next_job("a")
    watched.now += 100.0
    watched.dispatcher.next_job("b")
    (line,) = watched.after(30.0)
    assert line.startswith("warning: no trial has had a slot for 130 s")


def test_it_says_nothing_of_a_search_that_is_over(watched: Watched) -> None:
    watched.dispatcher.next_job("a")
    watched.limits.fail("nothing answers")
    assert watched.after(1000.0) == []
    assert watched.limits.reached == "nothing answers"


def test_it_ends_a_search_that_no_node_can_serve(watched: Watched) -> None:
    watched.dispatcher.next_job("a")
    watched.is_servable = False
    watched.after(100.0)
    assert watched.limits.reached is None
    watched.after(30.0)
    assert watched.limits.reached == (
        "no node is left that could serve a trial (2 CPUs and 0.5 GPUs)"
    )
    assert watched.limits.is_failure
    assert watched.after(1000.0) == []  # it is over


def test_it_names_a_trial_that_reports_nothing(watched: Watched) -> None:
    watched.dispatcher.next_job("a")
    watched.dispatcher.next_job("b")
    for id in ("a", "b"):
        watched.dispatcher.started(id)
        watched.dispatcher.jobs[id].node = f"10.0.0.{id}"
    watched.report("a", 1, 30.0)
    assert watched.after(600.0) == []
    watched.report("b", 1, 30.0)
    (line,) = watched.after(60.0)
    assert line.startswith("warning: trial 0 on node 10.0.0.a has reported nothing for 11 minutes")
    assert "after unit 1" in line
    assert watched.after(60.0) == []


def test_what_is_long_follows_the_units_of_this_search(watched: Watched) -> None:
    watched.dispatcher.next_job("a")
    watched.dispatcher.started("a")
    watched.report("a", 1, 300.0)
    assert watched.after(3000.0) == []
    assert len(watched.after(10.0)) == 1
    assert watched.after(11_980.0) == []
    assert watched.limits.reached is None
    watched.after(20.0)
    assert watched.limits.reached == (
        "no trial has reported anything for 250 minutes, and a unit takes 5.0"
    )
    assert watched.limits.is_failure


def test_a_first_unit_may_take_any_time_while_nobody_knows_how_long_it_takes(
    watched: Watched,
) -> None:
    for id in ("a", "b"):
        watched.dispatcher.next_job(id)
        watched.dispatcher.started(id)
    assert watched.after(600.0) == []
    (line,) = watched.after(60.0)  # one for both
    assert line.startswith("warning: trial 0 has had its slot for 11 minutes without a report")
    assert "`nvidia-smi`" in line
    assert watched.after(1e6) == []
    watched.dispatcher.reported("a", 1, {"train_seconds": math.nan}, "RunFailed: no number")
    watched.dispatcher.left("a", 1.0, 0.0)
    watched.after(1e6)  # a unit that failed says nothing of one that does not
    assert watched.limits.reached is None
    watched.dispatcher.next_job("c")
    watched.dispatcher.started("c")
    watched.report("c", 1, 300.0)
    watched.after(15_010.0)
    assert watched.limits.reached == (
        "no trial has reported anything for 250 minutes, and a unit takes 5.0"
    )


def test_the_usual_time_of_stages_before_the_tasks_is_that_of_trials_with_the_same(
    watched: Watched,
) -> None:
    def begin(id: str, kind: str) -> None:
        job = watched.dispatcher.next_job(id)
        assert job is not None
        job.trial.run_config["further_pretraining"] = {"kind": kind}
        watched.dispatcher.started(id)

    begin("plain", "none")
    watched.report("plain", 1, 30.0)
    watched.dispatcher.left("plain", 1.0, 0.0)
    begin("pretrained", "mlm")
    watched.after(1e5)
    assert watched.limits.reached is None
    watched.report("pretrained", 1, 30.0, prefix=970.0)
    watched.dispatcher.left("pretrained", 1.0, 0.0)
    begin("waiting", "mlm")
    watched.said.clear()
    assert watched.after(10_000.0) == []
    assert len(watched.after(10.0)) == 1
    watched.after(39_980.0)
    assert watched.limits.reached is None
    watched.after(20.0)
    assert watched.limits.is_failure


def test_stages_before_the_tasks_excuse_no_silence_after_them(watched: Watched) -> None:
    job = watched.dispatcher.next_job("a")
    assert job is not None
    job.trial.run_config["further_pretraining"] = {"kind": "mlm"}
    watched.dispatcher.started("a")
    watched.report("a", 1, 30.0, prefix=970.0)
    watched.dispatcher.saved("a", "a/1")
    assert watched.after(600.0) == []
    assert len(watched.after(10.0)) == 1
    watched.dispatcher.left("a", 1.0, 0.0, "the node is gone")
    watched.dispatcher.next_job("b")  # goes on from its checkpoint, behind these stages
    watched.dispatcher.started("b")
    assert watched.after(600.0) == []
    assert len(watched.after(10.0)) == 1


def test_a_search_in_which_one_still_reports_goes_on(watched: Watched) -> None:
    for id in ("a", "b"):
        watched.dispatcher.next_job(id)
        watched.dispatcher.started(id)
    for unit in range(1, 9):
        watched.report("b", unit, 30.0)
        watched.after(590.0)
    assert watched.limits.reached is None
    watched.after(2420.0)
    assert watched.limits.is_failure


def test_it_says_when_the_storage_takes_nothing_and_ends_the_search(watched: Watched) -> None:
    watched.mirror.failing_since, watched.mirror.error = watched.now, "AWS is down"
    assert watched.after(60.0) == []
    (line,) = watched.after(10.0)
    assert f"{watched.plan.folder.uri} has not taken the event log for 70 s (AWS is down)" in line
    assert str(watched.plan.folder.local) in line
    assert watched.after(230.0) == []
    assert watched.limits.reached is None
    watched.after(5.0)
    assert watched.limits.reached == f"{watched.plan.folder.uri} does not answer: AWS is down"
    assert watched.limits.is_failure


def test_it_ends_a_search_that_another_driver_goes_on_with(watched: Watched) -> None:
    watched.after(10.0)
    assert watched.limits.reached is None
    watched.mirror.is_overtaken = True
    watched.after(10.0)
    uri = watched.plan.folder.uri
    assert watched.limits.reached == f"another driver goes on with this search in {uri}"
    assert watched.limits.is_failure


def test_a_storage_that_neither_answers_nor_refuses_is_noticed_too(watched: Watched) -> None:
    watched.mirror.busy_since = watched.now
    assert watched.after(60.0) == []
    (line,) = watched.after(10.0)
    assert "for 70 s (what it was asked then has not come to an end)" in line
    watched.mirror.busy_since = watched.now  # it did after all: the next thing is under way
    assert watched.after(300.0) == []
    assert watched.limits.reached is None
    watched.after(5.0)
    assert watched.limits.is_failure


def test_a_storage_that_answers_again_is_warned_of_again(watched: Watched) -> None:
    for _ in range(2):
        watched.mirror.failing_since = watched.now
        assert len(watched.after(70.0)) == 1
        watched.mirror.failing_since = None
        assert watched.after(10.0) == []


def test_it_warns_of_a_full_disk_and_ends_before_it(watched: Watched) -> None:
    one = watched.plan.checkpoint_bytes
    for id in ("a", "b"):
        watched.dispatcher.next_job(id)
        watched.dispatcher.started(id)
    watched.free = 10 * one
    assert watched.after(5.0) == []
    watched.free -= 1
    (line,) = watched.after(5.0)
    assert "--checkpoint weights" in line
    watched.free = 2 * one
    assert watched.after(5.0) == []
    assert watched.limits.reached is None
    watched.free -= 1
    watched.after(5.0)
    assert watched.limits.is_failure
    assert "make room, then go on with --resume" in str(watched.limits.reached)


def test_the_disk_of_a_driver_whose_storage_is_remote_is_not_looked_at(watched: Watched) -> None:
    watched.mirror.folder = replace(watched.plan.folder, storage="s3://bucket")
    watched.free = 0
    assert watched.after(5.0) == []
    assert watched.limits.reached is None


def test_it_looks_every_five_seconds(watched: Watched) -> None:
    watched.free = 0
    watched.after(4.0)
    assert watched.limits.reached is None
    watched.after(1.0)
    assert watched.limits.is_failure
