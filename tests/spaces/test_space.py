from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Iterator
from fnmatch import fnmatchcase

import optuna
import pytest
from optuna.distributions import BaseDistribution
from optuna.trial import FixedTrial, Trial

from spaces.catalogue import SPACE_NAMES, make_space
from spaces.space import Space
from spaces.walk import Value, all_params
from trainable.batch_order import LockStep, RoundRobin
from trainable.component import Choice, Domain, FloatRange
from trainable.encoder import EncoderConfig
from trainable.errors import InputError
from trainable.optimization import Optimization
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask

BASES = {
    "tiny": RunConfig(),
    "pretrained": RunConfig(encoder=EncoderConfig(source="google-bert/bert-base-uncased")),
    "other": RunConfig(seed=3, multitask=Multitask(batch_order=LockStep(batch_size=8), units=3)),
}
SPACES = {
    f"{name}-{base}": make_space(name, config)
    for name in SPACE_NAMES
    for base, config in BASES.items()
}


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


@pytest.fixture(params=SPACES)
def space(request: pytest.FixtureRequest) -> Space:
    return SPACES[request.param]


def trials(space: Space, n: int = 25) -> list[tuple[Trial, RunConfig]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [(trial, space.suggest(trial)) for trial in (study.ask() for _ in range(n))]


def test_all_spaces_are_tested() -> None:
    assert {"full", "heads", "smoke"} <= set(SPACE_NAMES)


def test_suggesting_the_params_of_a_config_gives_that_config(space: Space) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # optuna warns of a value out of range
        for _, config in trials(space):
            params = space.params_of(config)
            assert space.suggest(FixedTrial(params)) == config


def test_params_of_a_config_are_those_that_the_trial_was_asked_for(space: Space) -> None:
    for trial, config in trials(space):
        assert space.params_of(config) == trial.params


def test_names_and_ranges_are_announced_with_their_conditions(space: Space) -> None:
    announced = space.params()
    for trial, _ in trials(space):
        expected = {
            param.name
            for param in announced
            if all(trial.params.get(parent) == kind for parent, kind in param.parents)
        }
        assert trial.params.keys() == expected
        for param in announced:
            if param.name in trial.params:
                assert same_range(param.domain, trial.distributions[param.name]), param.name


def same_range(domain: Domain, distribution: BaseDistribution) -> bool:
    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        return isinstance(domain, Choice) and domain.values == distribution.choices
    assert isinstance(
        distribution,
        optuna.distributions.FloatDistribution | optuna.distributions.IntDistribution,
    )
    assert not isinstance(domain, Choice)
    is_log = isinstance(domain, FloatRange) and domain.log
    expected = (distribution.low, distribution.high, distribution.log)
    return (domain.low, domain.high, is_log) == expected


def test_a_hyperparameter_has_one_range_in_all_trials(space: Space) -> None:
    """Optuna refuses a study in which a choice changes, and TPE ignores a range that does."""
    seen: dict[str, BaseDistribution] = {}
    for trial, _ in trials(space):
        for name, distribution in trial.distributions.items():
            assert seen.setdefault(name, distribution) == distribution


def test_what_does_not_vary_is_that_of_the_base(space: Space) -> None:
    everything = Space("everything", space.base, ("*",))
    base = everything.params_of(space.base)
    for _, config in trials(space, 10):
        assert config.seed == space.base.seed
        assert config.encoder.source == space.base.encoder.source
        assert config.data == space.base.data
        assert config.multitask.units == space.base.multitask.units
        found = everything.params_of(config)
        for name in found.keys() & base.keys():
            assert space.varies(name) or found[name] == base[name], name


def test_the_searcher_gets_a_run_config_as_json(space: Space) -> None:
    trial = optuna.create_study().ask()
    result = space(trial)
    assert result.keys() == {"run_config"}
    text = json.dumps(result["run_config"], allow_nan=False)
    assert space.params_of(RunConfig.from_dict(json.loads(text), "test")) == trial.params


def test_a_space_can_be_pickled(space: Space) -> None:
    assert pickle.loads(pickle.dumps(space)) == space


def test_unknown_space_is_refused_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown space 'ful'; known: .*did you mean 'full'\?"):
        make_space("ful", RunConfig())


def test_data_never_varies(space: Space) -> None:
    assert not space.varies("data")


def test_every_pattern_of_a_space_matches_something(space: Space) -> None:
    names = [param.name for param in all_params(space.base)]
    # The heads space writes its patterns for all tasks alike: SST has no pair, pairs no head.
    known_idle = {"sst.pair*", "para.head*", "sts.head*"}
    for pattern in set(space.vary) - known_idle:
        assert any(fnmatchcase(name, pattern) for name in names), pattern


def test_tiny_encoder_searches_higher_learning_rates() -> None:
    def domain(base: str) -> Domain:
        params = {param.name: param.domain for param in SPACES[f"full-{base}"].params()}
        return params["multitask.optimization.lr"]

    tiny, pretrained = domain("tiny"), domain("pretrained")
    assert isinstance(tiny, FloatRange)
    assert isinstance(pretrained, FloatRange)
    assert tiny.high > pretrained.high
    assert pretrained == FloatRange(1e-5, 3e-4, log=True)


@pytest.mark.parametrize("name", SPACE_NAMES)
def test_the_default_config_over_a_pretrained_encoder_lies_in_every_space(name: str) -> None:
    space = SPACES[f"{name}-pretrained"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        params = space.params_of(space.base)
        assert space.suggest(FixedTrial(params)) == space.base


def test_children_of_a_fixed_component_are_left_out() -> None:
    base = RunConfig(multitask=Multitask(batch_order=RoundRobin()))
    space = Space("", base, ("multitask.batch_order.*",))
    names = {param.name for param in space.params()}
    assert "multitask.batch_order" not in names
    assert "multitask.batch_order.round_robin.batch_size" in names
    assert not any("lock_step" in name for name in names)
    for param in space.params():
        assert all(parent in names for parent, _ in param.parents)


def test_narrowed_range_takes_the_place_of_the_one_beside_the_field() -> None:
    name = "multitask.optimization.lr"
    space = Space("", RunConfig(), (name,), {name: FloatRange(1e-3, 2e-3, log=True)})
    for trial, config in trials(space, 10):
        lr: Value = trial.params[name]
        assert config.multitask.optimization == Optimization(lr=float(lr))
        assert 1e-3 <= config.multitask.optimization.lr <= 2e-3
