from __future__ import annotations

import math
import random
import statistics
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces.catalogue import SPACE_NAMES, make_space
from spaces.priors import CENTER_SHARE, ChoicePrior, NumberPrior, Prior, choice_prior
from trainable.component import Choice, FloatRange, IntRange, PriorSpread, PriorWeights
from trainable.data.sources import SampleData
from trainable.defaults import default_run
from trainable.model.encoder import EncoderConfig
from trainable.stages.multitask import Multitask

BASE = default_run(EncoderConfig(source="some/bert"), SampleData(), 0, Multitask())
SPACES = {name: make_space(name, BASE) for name in SPACE_NAMES}
PRIORS = {name: Prior(space) for name, space in SPACES.items()}
SEEDS = st.integers(0, 2**31 - 1)
RANGES = (FloatRange(1e-5, 1e-3, log=True), FloatRange(-2.0, 2.0), IntRange(1, 2), IntRange(0, 9))


def scaled(domain: FloatRange | IntRange, value: float) -> float:
    return math.log(value) if isinstance(domain, FloatRange) and domain.log else value


@pytest.mark.parametrize("domain", RANGES)
@given(seed=SEEDS, place=st.floats(0, 1), spread=st.floats(0.01, 1))
def test_numbers_are_in_their_range_and_others_are_others(
    domain: FloatRange | IntRange, seed: int, place: float, spread: float
) -> None:
    generator = random.Random(seed)
    center = domain.draw(generator)
    prior = NumberPrior(domain, center, spread)
    for _ in range(5):
        assert domain.contains(prior.draw(generator))
        other = prior.draw_other(center, generator)
        assert domain.contains(other)
        assert other != center
        assert isinstance(other, int) == isinstance(domain, IntRange)


@pytest.mark.parametrize(
    ("domain", "center"), [(RANGES[0], 1e-4), (RANGES[1], 0.0), (IntRange(0, 99), 50)]
)
def test_numbers_spread_by_their_share_of_the_range_on_its_scale(
    domain: FloatRange | IntRange, center: float
) -> None:
    prior, generator = NumberPrior(domain, center, 0.1), random.Random(0)
    drawn = [scaled(domain, prior.draw(generator)) for _ in range(2000)]
    span = scaled(domain, domain.high) - scaled(domain, domain.low)
    assert statistics.mean(drawn) == pytest.approx(scaled(domain, center), abs=0.01 * span)
    assert statistics.stdev(drawn) == pytest.approx(0.1 * span, rel=0.1)


def test_a_whole_number_of_two_is_now_and_then_the_other() -> None:
    prior, generator = NumberPrior(IntRange(1, 2), 1, 0.01), random.Random(0)
    assert 0.05 < statistics.mean(prior.draw(generator) == 2 for _ in range(1000)) < 0.4


def test_half_of_a_choice_is_its_center_and_weights_share_the_rest() -> None:
    prior = choice_prior(("a", "b", "c", "d"), {"b": 4, "c": 0}, "a")
    assert prior.probabilities == pytest.approx([0.5 + 0.5 / 6, 0.5 * 4 / 6, 0, 0.5 / 6])
    counts = Counter(prior.draw(generator) for generator in [random.Random(0)] for _ in range(3000))
    assert [counts[own] / 3000 for own in "abcd"] == pytest.approx(prior.probabilities, abs=0.03)
    others = Counter(prior.draw_other("a", generator) for generator in [random.Random(0)] * 3000)
    assert others["a"] == others["c"] == 0
    assert others["b"] / 3000 == pytest.approx(0.8, abs=0.03)


def test_what_has_no_other_stays() -> None:
    one, generator = ChoicePrior(("a",), (1.0,), "a"), random.Random(0)
    assert one.draw_other("a", generator) == "a"
    assert NumberPrior(IntRange(2, 2), 2, 0.1).draw_other(2, generator) == 2
    sure = ChoicePrior(("a", "b"), (1.0, 0.0), "a")
    assert sure.draw_other("a", generator) == "b"


@pytest.mark.parametrize("name", SPACE_NAMES)
@settings(max_examples=8)
@given(seed=SEEDS, n_changes=st.integers(1, 5))
def test_draws_and_changes_are_inside_the_space(name: str, seed: int, n_changes: int) -> None:
    space, prior, generator = SPACES[name], PRIORS[name], random.Random(seed)
    drawn = prior.draw(generator)
    for params in (drawn, prior.changed(drawn, n_changes, generator)):
        config = space.config_of(params)
        assert space.params_of(config) == params
        assert space.why_not(config) is None


@pytest.mark.parametrize("name", SPACE_NAMES)
@settings(max_examples=8)
@given(seed=SEEDS, n_changes=st.integers(1, 5))
def test_a_change_changes_as_many_params_as_it_should(name: str, seed: int, n_changes: int) -> None:
    prior, generator = PRIORS[name], random.Random(seed)
    before = prior.draw(generator)
    after = prior.changed(before, n_changes, generator)
    changed = {own for own in before if own in after and before[own] != after[own]}
    gone = before.keys() - after.keys()  # it may have been among those to change
    assert 1 <= len(changed) <= n_changes
    assert gone or len(changed) == min(n_changes, len(before))
    for own in after.keys() - before.keys():
        assert after[own] == prior.of[own].center


def test_equal_generators_draw_equally() -> None:
    prior, again = PRIORS["full"], Prior(SPACES["full"])
    first, second = (own.draw(random.Random(7)) for own in (prior, again))
    assert first == second
    assert prior.changed(first, 3, random.Random(8)) == again.changed(first, 3, random.Random(8))


def test_centers_are_the_base_and_the_defaults_of_what_it_does_not_have() -> None:
    """Whatever kinds the tasks are of: nothing here knows their names."""
    space = SPACES["full"]
    config = space.config_of({**Prior(space).draw(random.Random(3))})
    prior = Prior(replace(space, base=config))
    params = space.params_of(config)
    assert prior.center == params
    assert {name: prior.of[name].center for name in params} == pytest.approx(params)
    assert prior.of["sst.head.mlp.width"].center == (params.get("sst.head.mlp.width", 256))
    default = Prior(space)
    assert default.of["sts.pair.siamese.features"].center == "uv_diff"
    assert default.center == space.params_of(BASE)


def test_a_base_outside_a_narrowed_range_has_the_nearest_center() -> None:
    name = "multitask.optimization.lr"
    low = 2 * float(PRIORS["full"].of[name].center)
    prior = Prior(replace(SPACES["full"], narrowed={name: FloatRange(low, 3 * low, log=True)}))
    assert prior.of[name].center == low


def test_weights_beside_families_name_their_members() -> None:
    """Of tasks of every kind; a member that a run does not offer is passed over."""
    for param in SPACES["stages"].params():
        if isinstance(param.mark, PriorWeights):
            assert isinstance(param.domain, Choice)
            assert set(param.mark.of) <= set(param.domain.values), param.name
        elif isinstance(param.mark, PriorSpread):
            assert not isinstance(param.domain, Choice)


def test_most_draws_have_the_default_where_it_is_a_choice() -> None:
    """And of the other half of the draws, the default has the share of its own weight."""
    name, prior = "sst.pooling", PRIORS["full"]
    (param,) = (own for own in SPACES["full"].params() if own.name == name)
    assert isinstance(param.domain, Choice)
    assert isinstance(param.mark, PriorWeights)
    weights = {kind: param.mark.of.get(kind, 1.0) for kind in param.domain.values}
    base = prior.center[name]
    wanted = CENTER_SHARE + (1 - CENTER_SHARE) * weights[base] / sum(weights.values())
    share = statistics.mean(prior.draw(random.Random(seed))[name] == base for seed in range(300))
    assert abs(share - wanted) < 3 * math.sqrt(wanted * (1 - wanted) / 300)


def test_a_replaced_prior_is_drawn_from() -> None:
    name = "multitask.optimization.lr"
    (param,) = (own for own in SPACES["full"].params() if own.name == name)
    assert isinstance(param.domain, FloatRange)
    own = NumberPrior(param.domain, 2e-4, 0.01)
    prior = Prior(SPACES["full"], {name: own})
    drawn = [float(prior.draw(random.Random(seed))[name]) for seed in range(20)]
    assert all(1.5e-4 < lr < 2.6e-4 for lr in drawn)


def test_a_short_text_says_where_it_looks_first() -> None:
    assert (
        str(NumberPrior(FloatRange(1e-5, 1e-3, log=True), 1e-4, 0.2)) == "near 0.0001, spread 0.2"
    )
    assert str(choice_prior(("a", "b", "c"), {"b": 2}, "a")) == "a 62%, b 25%"
