from __future__ import annotations

from pathlib import Path

import pytest

from spaces.catalogue import SPACE_NAMES, make_space
from spaces.portfolio import load_portfolio, portfolio_points
from spaces.space import Space
from tests.trainable.other_tasks import write_tasks
from trainable.data.read_tasks import read_tasks
from trainable.data.sources import DataSource, SampleData
from trainable.defaults import default_run
from trainable.errors import InputError
from trainable.model.bert import BertShape
from trainable.model.encoder import EncoderConfig
from trainable.stages.multitask import Multitask

LR = "multitask.optimization.lr"
ENCODERS = [EncoderConfig(), EncoderConfig(source="bert")]


def space(name: str, encoder: EncoderConfig, data: DataSource | None = None) -> Space:
    return make_space(name, default_run(encoder, data or SampleData()))


@pytest.mark.parametrize("from_scratch", [True, False])
def test_members_are_few_named_and_say_where_they_are_from(from_scratch: bool) -> None:
    members = load_portfolio(from_scratch=from_scratch)
    assert 3 <= len(members) <= 8
    assert len({member.name for member in members}) == len(members)
    assert all(member.source and member.changes for member in members)


@pytest.mark.parametrize("encoder", ENCODERS, ids=["tiny", "pretrained"])
@pytest.mark.parametrize("name", SPACE_NAMES)
def test_points_mean_different_configurations_of_the_space(
    name: str, encoder: EncoderConfig
) -> None:
    own = space(name, encoder)
    points = portfolio_points(own, 100)
    configs = [own.config_of(params) for params, _ in points]
    assert points
    assert all(own.why_not(config) is None for config in configs)
    assert len({config.model_dump_json() for config in [own.base, *configs]}) == len(points) + 1
    assert all(origin.startswith("portfolio/") for _, origin in points)


@pytest.mark.parametrize("encoder", ENCODERS, ids=["tiny", "pretrained"])
def test_tasks_of_every_kind_have_a_portfolio(encoder: EncoderConfig, tmp_path: Path) -> None:
    source = str(write_tasks(tmp_path))
    assert len(portfolio_points(space("full", encoder, read_tasks(source)), 100)) >= 3
    for task in ("mood", "length", "same", "relation", "overlap"):
        own = space("full", encoder, read_tasks(f"{source}:{task}"))
        for params, _ in portfolio_points(own, 100):
            assert own.config_of(params) != own.base


@pytest.mark.parametrize(("n_trials", "n_points"), [(2, 0), (3, 1), (8, 2), (9, 3)])
def test_no_more_than_a_third_of_the_trials_are_of_the_portfolio(
    n_trials: int, n_points: int
) -> None:
    assert len(portfolio_points(space("full", ENCODERS[1]), n_trials)) == n_points


def test_what_the_whole_portfolio_says_reaches_the_configurations() -> None:
    own = space("full", ENCODERS[1])
    members = {member.name: member for member in load_portfolio(from_scratch=False)}
    for params, origin in portfolio_points(own, 100):
        wanted = members[origin.removeprefix("portfolio/")].config(own.base)
        assert own.config_of(params) == wanted, "nothing is cut off by a range"


def test_rates_are_lower_where_the_default_of_the_encoder_is() -> None:
    base = default_run(ENCODERS[1], SampleData(), 0, Multitask(), BertShape(9, 768, 12, 12, 9, 9))
    wide, own = make_space("full", base), space("full", ENCODERS[1])
    points, usual = portfolio_points(wide, 100), portfolio_points(own, 100)
    assert [name for _, name in points] == [name for _, name in usual]
    for (params, _), (known, _) in zip(points, usual, strict=True):
        assert params[LR] == pytest.approx(0.35 * float(known[LR]), rel=0.03)
        assert params | {LR: 0.0} == known | {LR: 0.0}


def test_a_member_with_an_unknown_field_is_refused_by_name() -> None:
    member = load_portfolio(from_scratch=False)[0]
    wrong = member.model_copy(update={"changes": {"multitask": {"speed": 3}}})
    with pytest.raises(InputError, match=f"{member.name}.*speed"):
        wrong.config(default_run(ENCODERS[1], SampleData()))
