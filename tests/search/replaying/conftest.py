"""Searches that are played on made-up curves, as recordings for replays."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from search.commands.replay import recording_of
from search.log.history import History
from search.replaying.candidates import Candidate, Recording

Curves = dict[int, list[float]]
Record = Callable[..., tuple[Recording, Candidate, Curves]]


def made_up(n_trials: int, seed: int) -> Curves:
    """Return curves that rise by about as much each, with noise, so that ranks nearly stay."""
    draw = random.Random(seed)
    curves: Curves = {}
    for number in range(n_trials):
        level, rise = draw.gauss(0.6, 0.05), draw.gauss(0.2, 0.01)
        curves[number] = [
            level + rise * (1 - 0.6**unit) + draw.gauss(0, 0.004) for unit in range(1, 10)
        ]
    return curves


@pytest.fixture
def history_of_curves(played: Any) -> Callable[..., History]:
    """Return a function that plays a search on curves, and returns its history."""

    def make(curves: Curves, **options: Any) -> History:
        own = {"n_trials": len(curves), "units": 9, "eta": 3, **options}
        history: History = played(lambda n, u: curves[n][u - 1], **own).play().history
        history.header["options"] |= {"space": "smoke", "eta": 3}
        return history

    return make


@pytest.fixture
def record(history_of_curves: Callable[..., History]) -> Record:
    """Return a function from a number of trials and a seed to a recording, and its curves."""

    def make(n_trials: int = 16, seed: int = 0, **options: Any) -> tuple[Any, ...]:
        curves = made_up(n_trials, seed)
        recording, own = recording_of(history_of_curves(curves, **options), "runs/search")
        return recording, own, curves

    return make  # type: ignore[return-value]
