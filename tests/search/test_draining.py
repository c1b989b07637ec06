from __future__ import annotations

import pytest

from search import draining
from search.draining import Drains


@pytest.mark.parametrize("problem", ["", "the GCS does not answer"])
def test_a_node_is_drained_once_and_what_goes_wrong_is_said(
    monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    asked: list[tuple[str, str, float]] = []

    def drain(*node: str | float) -> str:
        asked.append(node)  # type: ignore[arg-type]
        return problem

    monkeypatch.setattr(draining, "_drain", drain)
    said: list[str] = []
    drains = Drains(said.append)
    for node in ("ab", "cd", "ab"):
        drains(node, "spot notice", 7.0)
    assert asked == [("ab", "spot notice", 7.0), ("cd", "spot notice", 7.0)]
    nodes = ("ab", "cd") if problem else ()
    assert said == [
        f"warning: node {node} gets trials until it is gone: {problem}" for node in nodes
    ]
