from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.log.history import History
from search.planning.base_file import data_of, like_base, over_base, read_base
from search.planning.describe import describe
from search.planning.options import SearchOptions
from search.planning.plan import Plan
from search.planning.resume import header
from trainable.data.sources import Cs224nData, HubData, SampleData
from trainable.defaults import default_run
from trainable.errors import InputError
from trainable.model.encoder import EncoderConfig
from trainable.optim.adamw import Optimization
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask

MakePlan = Callable[..., Plan]
STAGE = Multitask(budget_tokens=90_000, units=3, optimization=Optimization(lr=2e-3, amsgrad=True))
FOUND = RunConfig(seed=7, encoder=EncoderConfig(dropout=0.25), multitask=STAGE)


@pytest.fixture
def best(tmp_path: Path) -> Path:
    path = tmp_path / "found" / "best.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"run_config": FOUND.to_dict()}))
    return path


def test_a_best_json_or_its_folder_or_a_file_of_one_s_own_is_read(best: Path) -> None:
    for given in (best, best.parent):
        assert read_base(SearchOptions(base=str(given)), History()) == (FOUND, ())
    own = best.with_name("own.yaml")
    own.write_text("encoder: {dropout: 0.25}\n")
    config, notes = read_base(SearchOptions(base=str(own)), History())
    default = default_run(EncoderConfig(), SampleData())
    assert config == default.model_copy(update={"encoder": EncoderConfig(dropout=0.25)})
    assert "leaves out" in notes[0]
    assert read_base(SearchOptions(), History()) == (None, ())


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (None, "no such file"),
        ("{", "not valid JSON"),
        ('{"run_config": {"seed": 1}}', "is missing; every field must be there"),
        ('{"sed": 1}', "did you mean 'seed'?"),
        ('{"multitask": null}', "it has no multitask stage"),
    ],
)
def test_what_is_no_base_is_refused(tmp_path: Path, content: str | None, fragment: str) -> None:
    path = tmp_path / "base.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=r"^--base") as caught:
        read_base(SearchOptions(base=str(path)), History())
    assert fragment in str(caught.value)


def test_options_that_keep_their_defaults_are_as_in_the_base() -> None:
    stage = Multitask(budget_tokens=777, units=4, precision="bf16")
    config = RunConfig(
        data=Cs224nData(dir="/course"), encoder=EncoderConfig(source="a/b"), multitask=stage
    )
    options, (note,) = like_base(SearchOptions(base="b"), config)
    expected = {"encoder": "a/b", "budget": "777", "units": 4, "precision": "bf16"}
    expected |= {"data": "cs224n", "data_dir": "/course"}
    assert options == replace(SearchOptions(base="b"), **expected)  # type: ignore[arg-type]
    assert data_of(options, config) == config.data
    for name, value in expected.items():
        assert f"--{name.replace('_', '-')} {value}" in note


def test_the_budget_of_the_base_is_left_out_where_a_time_limit_has_it_chosen(
    plan_of: MakePlan, best: Path
) -> None:
    asked = SearchOptions(base="b", time_limit="30m")
    assert like_base(asked, FOUND)[0].budget is None
    for others in ({"trials": 9}, {"resume": True}, {"time_limit": None}):
        options, _ = like_base(replace(asked, **others), FOUND)  # type: ignore[arg-type]
        assert options.budget == "90000"
    plan = plan_of(base=str(best), time_limit="30m", budget=None)
    assert "budget     chosen for --time-limit 30m at the start" in describe(plan)


def test_options_that_are_given_stay() -> None:
    asked = SearchOptions(base="b", data="hub", encoder="c/d", budget="3ep", units=5)
    options, notes = like_base(asked, FOUND)
    assert options == asked
    assert notes == ["--base b: was found with encoder tiny"]
    assert data_of(options, FOUND) is None
    assert like_base(asked, None) == (asked, [])


def test_sample_data_of_another_seed_stay_those_of_the_base() -> None:
    config = FOUND.model_copy(update={"data": SampleData(seed=3)})
    options, _ = like_base(SearchOptions(base="b"), config)
    assert data_of(options, config) == SampleData(seed=3)


def test_a_search_gives_encoder_data_seed_and_budget_and_the_base_the_rest() -> None:
    encoder = EncoderConfig(source="a/b", revision="abc")
    stage = Multitask(budget_tokens=5, units=2, precision="bf16")
    config = over_base(FOUND, encoder, HubData(), 3, stage)
    assert config.multitask is not None
    assert config.multitask.optimization == FOUND.multitask.optimization  # type: ignore[union-attr]
    assert (config.multitask.budget_tokens, config.multitask.units) == (5, 2)
    assert (config.seed, config.data, config.multitask.precision) == (3, HubData(), "bf16")
    assert config.encoder == EncoderConfig(source="a/b", revision="abc", dropout=0.25)


def test_a_search_over_a_base_varies_what_it_is_told_and_nothing_else(
    plan_of: MakePlan, best: Path
) -> None:
    plan = plan_of(base=str(best), vary=("*.lr",), budget=None)
    assert [param.name for param in plan.space.params()] == ["multitask.optimization.lr"]
    assert plan.space.base == FOUND.model_copy(update={"seed": 0})
    assert plan.points == (({"multitask.optimization.lr": 2e-3}, "base"),)
    assert (plan.rungs, plan.budget) == ((1, 3), 90_000)


def test_a_value_of_the_base_that_the_user_s_range_holds_does_not_move(
    plan_of: MakePlan, tmp_path: Path
) -> None:
    """Although it is outside the usual range."""
    path = tmp_path / "low.json"
    path.write_text('{"multitask": {"optimization": {"lr": 1e-6}}}')
    lr = "multitask.optimization.lr"
    plan = plan_of(base=str(path), range=(f"{lr}=1e-7..1e-4",), space="smoke")
    assert plan.points[0][0][lr] == 1e-6
    assert not any("the first trial has" in note for note in plan.notes)
    moved = plan_of(base=str(path), space="smoke")
    assert moved.points[0][0][lr] == 1e-3
    assert any(f"the first trial has {lr} = 0.001" in note for note in moved.notes)


def test_a_search_that_goes_on_keeps_its_base_though_the_file_is_another_now(
    plan_of: MakePlan, best: Path
) -> None:
    plan = plan_of(base=str(best), space="smoke", budget=None)
    event: dict[str, Any] = {"event": "search", "time": 0.0, "slots": 1, **header(plan)}
    earlier = History([json.loads(json.dumps(event))])
    best.unlink()
    resumed = replace(plan.options, resume=True)
    assert read_base(resumed, earlier) == (plan.space.base, ())
    with pytest.raises(InputError, match="no such file"):
        read_base(replace(resumed, base=f"{best}x"), earlier)


def test_a_dry_run_shows_what_is_fixed_and_what_has_another_range(plan_of: MakePlan) -> None:
    lr = "multitask.optimization.lr"
    plan = plan_of(space="smoke", fix=("para.pair=joint",), range=(f"{lr}=1e-3..5e-3",))
    lines = describe(plan).splitlines()
    assert "  para.pair: fixed at joint" in lines
    (line,) = (line for line in lines if line.startswith(f"  {lr}: "))
    ranges, first = line.split("; first ")
    assert ranges == f"  {lr}: 0.001 .. 0.005 (log), usually 0.001 .. 0.01 (log)"
    assert first.startswith(f"near {plan.points[0][0][lr]:.3g}, spread ")
    assert any(line.startswith("  sts.pair: cosine | joint | siamese; first ") for line in lines)
