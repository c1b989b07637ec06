from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest

from search.proposals import draw_params, exists
from spaces.catalogue import make_space
from spaces.space import Space
from tests.benchmarks import record_near
from tests.benchmarks.curve import Params, scaled
from tests.benchmarks.families import space_of
from tests.benchmarks.record_near import moved, neighbours
from tests.benchmarks.recorded import RECORDED, read_table, write_table
from tests.benchmarks.test_record import CONFIG, write_log
from tests.benchmarks.test_recorded import check_params
from trainable.component import Choice


@pytest.fixture(scope="module")
def space() -> Space:
    return space_of("recorded")


def differences(space: Space, one: Params, other: Params) -> tuple[list[float], int]:
    """Return by what numbers moved that both have, in ranges, and how many choices changed."""
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
def test_numbers_move_a_little_and_so_many_choices_change(space: Space, n_changed: int) -> None:
    steps: list[float] = []
    for seed in range(30):
        values = draw_params(space.params(), random.Random(seed))
        found = moved(space.params(), values, 0.1, n_changed, random.Random(seed))
        check_params(space, found)
        names = {p.name for p in space.params() if exists(p, found)}
        assert set(found) == names
        moves, n = differences(space, values, found)
        # A choice that exists only under the old value of another one is gone with it.
        assert n <= n_changed
        assert n > 0 or n_changed == 0 or set(found) != set(values)
        steps += moves
    inner = [step for step in steps if abs(step) < 0.2]
    assert len(inner) > 0.9 * len(steps)
    assert np.std(steps) == pytest.approx(0.09, abs=0.02)  # some end at a range's end


def test_nothing_moves_by_nothing(space: Space) -> None:
    values = draw_params(space.params(), random.Random(0))
    same = moved(space.params(), values, 0.0, 0, random.Random(1))
    assert set(same) == set(values)
    assert differences(space, values, same)[1] == 0
    assert np.allclose(differences(space, values, same)[0], 0.0, atol=1e-12)


@pytest.mark.slow  # a process of its own trains
def test_a_neighbour_is_trained_to_its_end(tmp_path: Path) -> None:
    own = make_space("full", CONFIG)
    recorded, table = tmp_path / "recorded.jsonl.gz", tmp_path / "near.jsonl.gz"
    write_table(recorded, [{"params": draw_params(own.params(), random.Random(4))}])
    log = write_log(tmp_path, ["done"])
    record_near.main(
        record_near.Options(log, tmp_path / "out", jobs=1, recorded=recorded, table=table)
    )
    (near,) = neighbours(own, read_table(recorded))
    (row,) = read_table(table)
    assert (row["of"], row["params"]) == (0, near.params)
    assert len(row["scores"]) == 2
    assert -1 / 3 <= row["worth"] <= 1
    (tmp_path / "out" / "near_0.json").write_text(json.dumps({"failure": "not finite in unit 1"}))
    record_near.main(
        record_near.Options(log, tmp_path / "out", jobs=1, recorded=recorded, table=table)
    )
    assert read_table(table) == []  # not run again, and left out


def test_neighbours_need_a_seed_of_their_own(tmp_path: Path) -> None:
    log = write_log(tmp_path, ["done"])
    with pytest.raises(SystemExit, match="--seed 0 is that of the search; give another"):
        record_near.main(record_near.Options(log, tmp_path / "out", seed=0))


def test_every_recorded_configuration_has_a_neighbour(space: Space) -> None:
    trials = read_table(RECORDED)
    found = list(neighbours(space, trials))
    assert [near.of for near in found] == list(range(len(trials)))
    assert found == list(neighbours(space, trials))
    widths = [np.std(differences(space, trials[n.of]["params"], n.params)[0]) for n in found]
    assert np.mean(widths[0::3]) < 0.05 < np.mean(widths[1::3]) < 0.11 < np.mean(widths[2::3])
