"""A plan as people read it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from search.commands.run import main
from search.log.history import History
from search.planning.describe import describe
from search.planning.plan import Plan
from search.planning.resume import header
from spaces.catalogue import SPACE_NAMES

MakePlan = Callable[..., Plan]


def test_a_dry_run_prints_the_plan_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--budget", "90000", "--storage", str(tmp_path / "runs"), "--name", "first"]
    assert main([*options, "--dry-run"]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    assert str(tmp_path / "runs" / "first") in output.out
    assert re.findall(r"rung (\d): unit (\d) of 9, ([\d,]+) tokens", output.out) == [
        ("0", "1", "10,000"),
        ("1", "3", "30,000"),
        ("2", "9", "90,000"),
    ]
    line = (
        r"checkpoint \d+ MB, of some trials up to \d+ MB; two of a running trial, one of a paused"
    )
    assert re.search(line, output.out)
    assert "multitask.optimization.lr: 0.001 .. 0.01 (log)" in output.out
    assert list(tmp_path.iterdir()) == []


def test_the_description_keeps_brackets_of_a_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--storage", str(tmp_path / "[bold]runs"), "--dry-run"]) == 0
    assert "[bold]runs" in capsys.readouterr().out


@pytest.mark.parametrize("space", SPACE_NAMES)
def test_the_description_names_every_param_with_its_range_and_condition(
    plan_of: MakePlan, space: str
) -> None:
    plan = plan_of(space=space)
    lines = describe(plan).splitlines()
    assert len(plan.space.params()) >= 3
    for param in plan.space.params():
        line = next(line for line in lines if line.startswith(f"  {param.name}: "))
        assert line.startswith(f"  {param.name}: {param.domain}; first ")
        if param.parents:
            parent, kind = param.parents[-1]
            assert line.endswith(f"if {parent} = {kind}")


def test_the_description_ends_with_what_fits_a_screen(plan_of: MakePlan) -> None:
    lines = describe(plan_of(space="full")).splitlines()
    assert lines[0] == "space      full, 159 params"
    (start,) = (n for n, line in enumerate(lines) if line.startswith("search "))
    assert all(line.startswith("  ") for line in lines[1:start])
    assert len(lines) - start < 20


def test_the_description_names_the_trials_that_come_first(plan_of: MakePlan) -> None:
    plan = plan_of(trials=12)
    assert len(plan.points) == 5
    names = ", ".join(origin for _, origin in plan.points)
    assert f"  first: {names}" in describe(plan).splitlines()
    warm = plan_of(warm_start="published", rows="one-size/*", trials=40)
    assert len(warm.rows) > 1
    assert f"  first: default, the {len(warm.rows)} rows above" in describe(warm).splitlines()
    assert "first: " not in describe(plan_of(space="ablation", rows="gradients/*"))


def first_of(plan: Plan, name: str) -> str:
    """Return where a search looks first for a param, as its line says."""
    (line,) = (ln for ln in describe(plan).splitlines() if ln.startswith(f"  {name}: "))
    return line.partition("; first ")[2]


def test_the_description_says_where_a_search_looks_first(plan_of: MakePlan, tmp_path: Path) -> None:
    lr = "multitask.optimization.lr"
    beside = plan_of(space="smoke")
    default, _ = beside.points[0]
    assert first_of(beside, lr).startswith(f"near {default[lr]:.3g}, spread ")
    assert first_of(beside, "sts.pair").startswith(f"{default['sts.pair']} ")
    path = tmp_path / "priors.yaml"
    path.write_text('"*.lr": {center: 2e-3, spread: 0.07}\n"sts.pair": {joint: 8}\n')
    own = plan_of(space="smoke", priors=str(path))
    assert first_of(own, lr) == "near 0.002, spread 0.07"
    assert first_of(own, "sts.pair").startswith("joint 80%")


@pytest.mark.parametrize("given", [{"priors": "off"}, {"searcher": "random"}])
def test_a_search_that_uses_no_priors_does_not_say_where_it_looks_first(
    plan_of: MakePlan, given: dict[str, str]
) -> None:
    assert "; first " not in describe(plan_of(space="smoke", **given))


def test_the_description_of_a_search_that_goes_on_has_the_audit_that_it_began_with(
    plan_of: MakePlan,
) -> None:
    few = plan_of(space="smoke", trials=12)
    many = replace(few, options=replace(few.options, trials=200), n_trials=200)

    def audit(plan: Plan, began: Plan) -> list[str]:
        earlier = History()
        earlier.header = header(began)
        lines = describe(replace(plan, earlier=earlier)).splitlines()
        return [line.split(" of the trials")[0] for line in lines if line.startswith("audit ")]

    assert audit(many, few) == []
    assert audit(few, many) == audit(many, many) == ["audit      5%"]
    assert "audit " in describe(many)
    assert "audit " not in describe(few)
