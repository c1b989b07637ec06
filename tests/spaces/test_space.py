from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution
from optuna.trial import Trial

from spaces.catalogue import SPACE_NAMES, make_space
from spaces.params import all_params
from spaces.space import Space
from tests.course import TASK_NAMES
from trainable.batch_orders.all_tasks import LockStep
from trainable.batch_orders.in_turn import RoundRobin
from trainable.component import Choice, Domain, FloatRange, Value
from trainable.data.features import InputFeatures
from trainable.data.nli import HubNli
from trainable.data.pretraining_text import TextFiles
from trainable.errors import InputError
from trainable.model.encoder import EncoderConfig
from trainable.model.pooling import ClsPooling
from trainable.optim.adamw import Optimization
from trainable.run_config import RunConfig
from trainable.stages.language_modelling import MaskedLanguageModelling
from trainable.stages.multitask import Multitask
from trainable.stages.nli_training import LinearNli
from trainable.task_config import SingleClasses

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
    assert {"full", "stages", "heads", "smoke"} <= set(SPACE_NAMES)


def test_the_params_of_a_config_mean_that_config(space: Space) -> None:
    for _, config in trials(space):
        assert space.config_of(space.params_of(config)) == config


def test_params_that_are_missing_or_out_of_range_are_refused_by_name() -> None:
    lr, pair = "multitask.optimization.lr", "para.pair"
    space = SPACES["smoke-tiny"]
    whole: dict[str, Value] = {lr: 2e-3, pair: "joint", "sts.pair": "joint"}
    assert space.params_of(space.config_of(whole)) == whole
    missing = {name: value for name, value in whole.items() if name != lr}
    with pytest.raises(KeyError, match=r"no value for .*\.lr; give 0\.001 \.\. 0\.01 "):
        space.config_of(missing)
    with pytest.raises(ValueError, match=r"\.lr is 1e-05; give 0\.001 \.\. 0\.01 "):
        space.config_of({**whole, lr: 1e-5})
    with pytest.raises(ValueError, match=r"para\.pair is other; give cosine \| joint \|"):
        space.config_of({**whole, pair: "other"})


def test_params_that_do_not_exist_under_the_others_are_not_read(space: Space) -> None:
    for _, config in trials(space, 5):
        assert space.config_of({**space.params_of(config), "no.such.param": 1}) == config


def test_params_of_a_config_are_those_that_the_trial_was_asked_for(space: Space) -> None:
    for trial, config in trials(space):
        assert space.params_of(config) == trial.params


def test_names_and_ranges_are_announced_with_their_conditions(space: Space) -> None:
    announced = space.params()
    for trial, _ in trials(space):
        params, distributions = trial.params, trial.distributions  # Optuna copies them each time
        expected = {
            param.name
            for param in announced
            if all(params.get(parent) == kind for parent, kind in param.parents)
        }
        assert params.keys() == expected
        for param in announced:
            if param.name in params:
                assert same_range(param.domain, distributions[param.name]), param.name


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
    assert space.config_of(space.params_of(space.base)) == space.base


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
        rates = Optimization(lr=float(lr), task_lr=dict.fromkeys(TASK_NAMES, 1.0))
        assert config.multitask.optimization == rates
        assert 1e-3 <= config.multitask.optimization.lr <= 2e-3


def test_every_suggestion_lies_in_the_space(space: Space) -> None:
    for _, config in trials(space, 10):
        assert space.why_not(config) is None
        # Seeds are the search's own.
        assert space.why_not(config.model_copy(update={"seed": 99})) is None


BASE = BASES["pretrained"]
OTHER_TEXT = (TextFiles(paths=("a.txt",)),)


def with_stage(**fields: Any) -> RunConfig:
    assert BASE.multitask is not None
    return BASE.model_copy(update={"multitask": BASE.multitask.model_copy(update=fields)})


def with_sst(**fields: Any) -> RunConfig:
    return with_fields(tasks={**BASE.tasks, "sst": SingleClasses(**fields)})


def with_fields(**fields: Any) -> RunConfig:
    return BASE.model_copy(update=fields)


# Space, a configuration that it does not hold, and the words that say why.
OBSTACLES = {
    "a value that is not searched": (
        "full",
        with_sst(pooling=ClsPooling(), dropout=0.95),
        ["sst.dropout is 0.95", "searched is 0 .. 0.8"],
    ),
    "a choice that is not searched": (
        "full",
        with_stage(batch_order=LockStep(batch_size=5)),
        ["multitask.batch_order.lock_step.batch_size is 5", "4 | 8 | 16"],
    ),
    "a fixed number": (
        "smoke",
        with_sst(dropout=0.3),
        [f"sst.dropout is 0.3, the space has {BASE.tasks['sst'].dropout}"],
    ),
    "a fixed component": (
        "heads",
        with_stage(batch_order=LockStep()),
        [f"multitask.batch_order is lock_step, the space has {BASE.multitask.batch_order.kind}"],
    ),
    "a stage that is not searched": (
        "full",
        with_fields(nli=LinearNli(source=HubNli())),
        ["nli is linear, the space has none"],
    ),
    "a stage that is always there": (
        "stages",
        with_fields(multitask=None),
        ["multitask is left out, the space always has it"],
    ),
    "other text": (
        "stages",
        with_fields(further_pretraining=MaskedLanguageModelling(sources=OTHER_TEXT)),
        ["further_pretraining.sources", "a.txt", "the space has", "own"],
    ),
    "another budget": (
        "stages",
        with_stage(budget_tokens=17),
        [f"multitask.budget_tokens is 17, the space has {Multitask().budget_tokens}"],
    ),
    "another encoder": (
        "full",
        with_fields(encoder=EncoderConfig(source="someone/else")),
        ["encoder.source is someone/else, the space has google-bert/bert-base-uncased"],
    ),
    "tags": (
        "stages",
        with_fields(features=InputFeatures(pos_tags=True)),
        ["features.pos_tags is True, the space has False"],
    ),
}


@pytest.mark.parametrize("case", OBSTACLES)
def test_the_first_obstacle_is_named(case: str) -> None:
    name, config, fragments = OBSTACLES[case]
    message = SPACES[f"{name}-pretrained"].why_not(config)
    assert message is not None
    for fragment in fragments:
        assert fragment in message


def test_of_two_obstacles_the_first_is_named() -> None:
    """By the order of the fields, so that a second look finds the next."""
    both = with_fields(
        encoder=EncoderConfig(source=BASE.encoder.source, dropout=0.2),
        tasks=with_sst(dropout=0.3).tasks,
    )
    message = SPACES["smoke-pretrained"].why_not(both)
    assert message == f"encoder.dropout is 0.2, the space has {BASE.encoder.dropout}"


@pytest.mark.parametrize("name", ["full", "stages"])
def test_what_a_space_says_no_to_it_does_not_suggest(name: str) -> None:
    """And what it says yes to, it suggests: `why_not` is no opinion of its own."""
    space = SPACES[f"{name}-pretrained"]
    for case, (_, config, _) in OBSTACLES.items():
        if space.why_not(config) is None:
            assert space.config_of(space.params_of(config)) == config, case
        else:
            try:
                found = space.config_of(space.params_of(config))
            except (KeyError, ValueError):
                continue
            assert found != config, case
