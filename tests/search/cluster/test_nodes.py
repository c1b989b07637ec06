from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from search.cluster import nodes as module
from search.cluster.nodes import Nodes
from search.cluster.preflight import checks as preflight
from search.cluster.preflight.checks import Preflight
from search.cluster.preflight.node_report import look
from search.cluster.slots import Resources
from search.loop.limits import Limits
from search.planning.plan import Plan

MakePlan = Callable[..., Plan]


class Joined:
    """A cluster whose nodes come when the test says so, and answer as the test says.

    Attributes:
        there: Ids of nodes.
        answer: What nodes say that differs from the driver.
        silent: Whether they do not answer yet.
    """

    def __init__(self, plan: Plan, search: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.there, self.said = 0.0, ["a" * 40], list[str]()
        self.answer, self.silent, self.asked = dict[str, Any](), False, list[list[str]]()
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr(module, "time", clock)
        monkeypatch.setattr(preflight, "time", clock)
        monkeypatch.setattr(preflight, "questions", self._questions)
        monkeypatch.setattr(preflight, "answers", self._answers)
        monkeypatch.setattr(preflight, "ray", SimpleNamespace(wait=self._wait))
        monkeypatch.setattr(ray, "nodes", self._nodes)
        monkeypatch.setattr(ray, "cluster_resources", dict)
        monkeypatch.setenv("HOME", str(plan.folder.local))  # no `ray up` was here
        self.plan, self.log = plan, search.log
        share = Resources(1.0, 1.0, 2)
        self.preflight = Preflight(plan.folder, plan.options, share, plan.checkpoint_bytes)
        self.first = self.preflight.check(self.said.append)
        self.limits = Limits(search.dispatcher, plan.options, 1.0, self.said.append)
        say = self.said.append
        self.nodes = Nodes(search.journal, plan.options, share, self.preflight, self.limits, say)

    def _nodes(self) -> list[dict[str, Any]]:
        has = {"Resources": {"CPU": 2.0, "GPU": 2.0}, "NodeManagerAddress": "10.0.0.7"}
        return [{"Alive": True, "NodeID": id, **has} for id in self.there]

    def _questions(self, ids: list[str], about: tuple[Any, ...]) -> dict[str, str]:
        self.asked.append(ids)
        self._about = about
        return {id: id for id in ids}

    def _wait(self, asked: list[str], **_: Any) -> tuple[list[str], list[str]]:
        return ([], asked) if self.silent else (asked, [])

    def _answers(self, asked: dict[str, str], *_: float) -> tuple[dict[str, Any], dict[str, str]]:
        if self.silent:
            return {}, dict.fromkeys(asked, "no answer in 180 s")
        return {id: {**look(id, *self._about), **self.answer} for id in asked}, {}

    def look(self, seconds: float = 5.0) -> None:
        self.now += seconds
        self.nodes.look()

    @property
    def left(self) -> list[Path]:
        return list(self.plan.folder.local.glob(".preflight-*"))


@pytest.fixture
def joined(plan_of: MakePlan, played: Any, monkeypatch: pytest.MonkeyPatch) -> Joined:
    return Joined(plan_of(space="smoke"), played(lambda n, u: 0.0), monkeypatch)


def test_a_node_that_joins_is_looked_at_once_and_used(joined: Joined) -> None:
    joined.there.append("b" * 40)
    for _ in range(4):
        joined.look()
    assert joined.asked == [["a" * 40], ["b" * 40]]
    assert (joined.nodes.room, joined.limits.reached, joined.said, joined.left) == (4, None, [], [])
    assert [e["slots"] for e in joined.log.events if e["event"] == "places"] == [4]


def test_a_node_with_another_project_ends_the_search_and_is_named(joined: Joined) -> None:
    joined.there.append("b" * 40)
    joined.answer = {"home": "/old", "sources": {}}
    joined.look()
    joined.look()
    assert joined.limits.is_failure
    reason = str(joined.limits.reached)
    assert "10.0.0.7" in reason
    assert "bbbbbbbb" in reason
    assert "the project in /old is not the driver's" in reason
    assert joined.left == []


def test_a_node_that_does_not_answer_is_told_of_and_ends_nothing(joined: Joined) -> None:
    joined.there.append("b" * 40)
    joined.silent = True
    joined.look()
    joined.look()
    assert joined.said == []
    joined.look(180.0)
    assert "bbbbbbbb): no answer in 180 s" in joined.said[0]
    assert (joined.limits.reached, joined.left) == (None, [])


def test_nothing_is_left_where_a_search_ends_meanwhile(joined: Joined) -> None:
    joined.there.append("b" * 40)
    joined.silent = True
    joined.look()
    assert len(joined.left) == 1
    joined.preflight.close()
    assert joined.left == []
