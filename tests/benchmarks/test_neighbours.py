from __future__ import annotations

import random

import numpy as np
import pytest

from search.searchers.base import Params, draw_params
from spaces.space import Space
from tests.benchmarks.curve import scaled
from tests.benchmarks.families import space_of
from tests.benchmarks.neighbours import moved, neighbour
from tests.benchmarks.test_recorded import check_params
from trainable.component import Choice


@pytest.fixture(scope="module")
def space() -> Space:
    return space_of("recorded")


def differences(space: Space, one: Params, other: Params) -> tuple[list[float], int]:
    """Return the moves of numbers that both have, as fractions of ranges, and changed choices."""
    moves, n_changed = [], 0
    for param in space.params():
        if param.name in one and param.name in other:
            if isinstance(param.domain, Choice):
                n_changed += one[param.name] != other[param.name]
            else:
                before, after = (scaled(param, own[param.name]) for own in (one, other))
                moves.append(after - before)
    return moves, n_changed


@pytest.mark.parametrize("n_changed", [0, 1, 2])
def test_numbers_move_a_little_and_few_choices_change(space: Space, n_changed: int) -> None:
    steps: list[float] = []
    for seed in range(30):
        values = draw_params(space.params(), random.Random(seed))
        found = moved(space.params(), values, 0.1, n_changed, random.Random(seed))
        check_params(space, found)
        names = {p.name for p in space.params() if p.exists_in(found)}
        assert set(found) == names
        moves, n = differences(space, values, found)
        # A choice that existed only under the old value of another choice is gone, too.
        assert n <= n_changed
        assert n > 0 or n_changed == 0 or set(found) != set(values)
        steps += moves
    inner = [step for step in steps if abs(step) < 0.2]
    assert len(inner) > 0.9 * len(steps)
    assert np.std(steps) == pytest.approx(0.09, abs=0.02)  # some stop at the end of a range


def test_a_width_of_0_moves_nothing(space: Space) -> None:
    values = draw_params(space.params(), random.Random(0))
    same = moved(space.params(), values, 0.0, 0, random.Random(1))
    assert set(same) == set(values)
    assert differences(space, values, same)[1] == 0
    assert np.allclose(differences(space, values, same)[0], 0.0, atol=1e-12)


def test_neighbours_are_at_several_distances_and_always_the_same(space: Space) -> None:
    params = space.params()
    drawn = [draw_params(params, random.Random(k)) for k in range(90)]
    found = [neighbour(params, values, k) for k, values in enumerate(drawn)]
    assert found == [neighbour(params, values, k) for k, values in enumerate(drawn)]
    both = [differences(space, *pair) for pair in zip(drawn, found, strict=True)]
    widths = [np.std(moves) for moves, _ in both]
    assert np.mean(widths[0::3]) < 0.05 < np.mean(widths[1::3]) < 0.11 < np.mean(widths[2::3])
    assert all(n_changed <= k // 3 % 3 for k, (_, n_changed) in enumerate(both))
