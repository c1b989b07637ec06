from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from trainable.optim.averaging import (
    Averaging,
    EmaAveraging,
    NoAveraging,
    SwaAveraging,
    WeightAverage,
)

CONFIGS: tuple[Any, ...] = tuple(model() for model in get_args(get_args(Averaging)[0]))
KINDS = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.kind)
N = 20  # steps


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


def train(
    own: nn.Module, steps: range, after: Callable[[list[nn.Parameter], float], None]
) -> list[nn.Parameter]:
    """Change the weights in each of the steps, the same way every time."""
    parameters = list(own.parameters())
    for k in steps:
        generator = torch.Generator().manual_seed(k)
        for parameter in parameters:
            parameter.data += torch.randn(parameter.shape, generator=generator)
        after(parameters, (k + 1) / N)
    return parameters


def copies(parameters: list[nn.Parameter]) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in parameters]


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def averaged(average: WeightAverage, parameters: list[nn.Parameter]) -> list[Tensor]:
    with average.applied(parameters):
        return copies(parameters)


def test_all_averages_are_tested() -> None:
    assert {config.kind for config in CONFIGS} >= {"none", "ema", "swa"}


def test_no_averaging_evaluates_the_last_step_and_takes_no_memory() -> None:
    average = NoAveraging().build()
    parameters = train(model(), range(N), average.update)
    assert equal(averaged(average, parameters), copies(parameters))
    assert not average.tensors()


@pytest.mark.parametrize("start", [0.0, 0.1, 0.5, 0.93])
def test_swa_is_the_average_of_torch_from_its_start_on(start: float) -> None:
    average, own = SwaAveraging(start=start).build(), model()
    reference = AveragedModel(own)

    def after(parameters: list[nn.Parameter], progress: float) -> None:
        average.update(parameters, progress)
        if progress >= start:
            reference.update_parameters(own)

    parameters = train(own, range(N), after)
    assert average.count == int(reference.n_averaged)
    found = averaged(average, parameters)
    torch.testing.assert_close(found, copies(list(reference.parameters())))
    assert average.count == 1 or not equal(found, copies(parameters))


def test_before_its_start_swa_evaluates_the_last_step() -> None:
    average = SwaAveraging(start=0.9).build()
    parameters = train(model(), range(17), average.update)
    assert equal(averaged(average, parameters), copies(parameters))


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.6, 0.999])
def test_ema_is_the_average_of_torch_with_the_decay_of_tensorflow(decay: float) -> None:
    def mix(old: Tensor, new: Tensor, count: Tensor | int) -> Tensor:
        kept = min(decay, (1 + int(count)) / (10 + int(count)))
        return kept * old + (1 - kept) * new

    average, own = EmaAveraging(decay=decay).build(), model()
    reference = AveragedModel(own, avg_fn=mix)

    def after(parameters: list[nn.Parameter], progress: float) -> None:
        average.update(parameters, progress)
        reference.update_parameters(own)

    parameters = train(own, range(N), after)
    torch.testing.assert_close(averaged(average, parameters), copies(list(reference.parameters())))


@KINDS
@given(value=st.floats(-100, 100, width=32))
def test_weights_that_stand_still_are_their_average(config: Any, value: float) -> None:
    average = config.build()
    parameters = [nn.Parameter(torch.full((5,), value))]
    for k in range(N):
        average.update(parameters, (k + 1) / N)
    torch.testing.assert_close(averaged(average, parameters)[0], torch.full((5,), value))


@KINDS
def test_a_resumed_average_is_the_one_that_never_stopped(config: Any) -> None:
    straight = config.build()
    train(model(), range(19), straight.update)
    first, own = config.build(), model()
    train(own, range(17), first.update)
    tensors, state = save(first.tensors()), json.dumps(first.state())
    resumed = config.build()
    resumed.load(load(tensors), json.loads(state))
    train(own, range(17, 19), resumed.update)
    assert equal(list(straight.tensors().values()), list(resumed.tensors().values()))
    assert straight.state() == resumed.state()


def test_a_loaded_average_has_aligned_memory_of_its_own() -> None:
    """A matrix product of tensors that lie anywhere in a mapped file may round differently."""
    mapped = torch.arange(65.0)[1:].view(8, 8)
    average = EmaAveraging().build()
    average.load({"0": mapped}, {"count": 1})
    (own,) = average.averages
    assert torch.equal(own, mapped)
    assert mapped.data_ptr() % 16
    assert own.data_ptr() % 16 == 0


@KINDS
def test_weights_come_back_after_an_evaluation(config: Any) -> None:
    average, own = config.build(), model()
    parameters = train(own, range(N), average.update)
    trained, kept = copies(parameters), [t.clone() for t in average.tensors().values()]
    with torch.inference_mode(), average.applied(parameters):
        inside = own(torch.ones(1, 3)).clone()
    assert equal(copies(parameters), trained)
    assert equal(list(average.tensors().values()), kept)
    assert torch.equal(own(torch.ones(1, 3)), inside) == (config.kind == "none")
    # They can be trained on.
    own(torch.ones(1, 3)).sum().backward()
    torch.optim.SGD(parameters, lr=1.0).step()
    average.update(parameters, 1.0)
    assert not equal(copies(parameters), trained)


def test_weights_come_back_after_an_evaluation_that_failed() -> None:
    average = EmaAveraging().build()
    parameters = train(model(), range(N), average.update)
    trained = copies(parameters)

    def evaluate() -> None:
        with average.applied(parameters):
            assert not equal(copies(parameters), trained)
            raise KeyError

    with pytest.raises(KeyError):
        evaluate()
    assert equal(copies(parameters), trained)


def test_applying_an_average_copies_nothing() -> None:
    average = EmaAveraging().build()
    parameters = train(model(), range(3), average.update)
    places = {tensor.data_ptr() for tensor in average.tensors().values()}
    with average.applied(parameters):
        assert {parameter.data_ptr() for parameter in parameters} == places


def test_an_adopted_average_becomes_the_weights_and_begins_anew() -> None:
    average = EmaAveraging().build()
    parameters = train(model(), range(N), average.update)
    expected = averaged(average, parameters)
    average.adopt(parameters)
    assert equal(copies(parameters), expected)
    assert (average.tensors(), average.count) == ({}, 0)
    assert equal(averaged(average, parameters), expected)
