from __future__ import annotations

import importlib.util
import random

import numpy as np
import pytest
import torch

from search.searchers.base import Params
from spaces.catalogue import make_space
from spaces.space import Space
from tests.benchmarks.curve import UNITS
from tests.benchmarks.priorband import PriorBand, flat, prior_of
from trainable.data.sources import SampleData
from trainable.defaults import default_run
from trainable.model.encoder import EncoderConfig
from trainable.stages.multitask import Multitask

needs_neps = pytest.mark.skipif(
    importlib.util.find_spec("neps") is None, reason="NePS is not installed"
)


@pytest.fixture(scope="module")
def space() -> Space:
    return make_space("full", default_run(EncoderConfig(), SampleData(), 0, Multitask()))


def asked(space: Space, seed: int, n: int) -> list[tuple[str, Params, int]]:
    """Ask and tell; a run scores better the nearer its learning rate is to 3e-3."""
    band = PriorBand(space, seed)
    found = []
    for _ in range(n):
        found.append(band.ask())
        id, params, unit = found[-1]
        rate = float(params["multitask.optimization.lr"])
        band.tell(id, unit / UNITS - abs(rate - 3e-3))
    return found


def test_every_param_has_its_default_as_the_centre_of_its_prior(space: Space) -> None:
    priors = {param.name: prior_of(space, param) for param in flat(space)}
    assert space.config_of(priors) == space.base
    assert all(param.domain.contains(priors[param.name]) for param in flat(space))


@needs_neps
def test_it_begins_with_the_default_and_every_suggestion_is_a_run(space: Space) -> None:
    found = asked(space, 0, 30)
    assert space.config_of(found[0][1]) == space.base
    assert found[0][2] == UNITS
    for _, params, unit in found:
        assert unit in (1, 3, UNITS)
        assert space.config_of(params).multitask is not None


@needs_neps
def test_a_promotion_has_the_params_of_the_configuration_that_it_goes_on_with(space: Space) -> None:
    first: dict[str, Params] = {}
    promoted = 0
    for id, params, _ in asked(space, 1, 30):
        own = id.partition("_")[0]
        promoted += own in first
        assert first.setdefault(own, params) == params
    assert promoted > 3


@needs_neps
def test_equal_seeds_ask_the_same_and_leave_other_generators_alone(space: Space) -> None:
    states = random.getstate(), str(np.random.get_state()), torch.get_rng_state()
    assert asked(space, 2, 12) == asked(space, 2, 12)
    assert asked(space, 2, 12) != asked(space, 3, 12)
    assert random.getstate() == states[0]
    assert str(np.random.get_state()) == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])
