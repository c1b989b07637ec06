from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.cluster.preflight.node_report import NodeReport, make_report
from search.cluster.preflight.problems import compare, text


def report(tmp_path: Path, **changed: Any) -> NodeReport:
    (tmp_path / "tokens").mkdir(exist_ok=True)
    (tmp_path / "tokens" / "driver.token").write_bytes(b"token")
    found = make_report("node", str(tmp_path), str(tmp_path / "tokens"), ("ray", "torch"), ("/",))
    return {**found, **changed}  # type: ignore[typeddict-item]


def test_a_machine_has_nothing_to_say_against_itself(tmp_path: Path) -> None:
    here = report(tmp_path)
    assert (tmp_path / "tokens" / "node").read_bytes() == b"token"
    assert set(here["versions"]) == {"python", "ray", "torch"}
    assert {"search/run.py", "spaces/space.py", "trainable/data/sentences.py"} <= set(
        here["sources"]
    )
    assert compare(here, here, "runs", 0) == []


@pytest.mark.parametrize(
    ("changed", "fragment"),
    [
        ({"versions": {"python": "3.9.1", "ray": "2.60.0"}}, "python is 3.9.1, the driver has 3."),
        ({"versions": {"python": "3.9.1", "torch": None}}, "torch is not installed"),
        ({"home": "", "sources": {}}, "the project cannot be imported"),
        ({"sources": {"search/run.py": "1"}}, ": search/__init__.py, "),
        ({"absent": ["/data"]}, "there is no /data"),
        ({"free": 10_000_000}, "has 10.0 MB left, the checkpoints"),
        ({"storage": "OSError: denied"}, "--storage 'runs': OSError: denied"),
    ],
)
def test_what_differs_is_said_with_what_to_do(
    tmp_path: Path, changed: dict[str, Any], fragment: str
) -> None:
    here = report(tmp_path)
    if "versions" in changed:
        changed = {"versions": here["versions"] | changed["versions"]}
    problems = compare(report(tmp_path, **changed), here, "runs", 1_500_000_000)
    assert any(fragment in problem for problem, _ in problems)
    message = text({problem: ["10.0.0.1"] for problem in problems})
    assert fragment in message
    assert problems[0][1] in message.splitlines()


def test_python_may_differ_in_the_last_place(tmp_path: Path) -> None:
    here = report(tmp_path)
    newer = str(here["versions"]["python"]).rpartition(".")[0] + ".99"
    there = report(tmp_path, versions=here["versions"] | {"python": newer})
    assert compare(there, here, "runs", 0) == []


@given(st.integers(1, 500))
def test_many_nodes_with_one_problem_are_one_line(n: int) -> None:
    message = text({("torch is old", "install it"): [f"10.0.0.{k}" for k in range(n)]})
    assert len(message.splitlines()) == 3
    assert len(message) < 200
