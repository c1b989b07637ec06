from __future__ import annotations

import gzip
import json
import math
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.searchers.base import Params
from tests.benchmarks.others_tables import (
    DEBERTA,
    NMTLC,
    TASKSETS,
    CurveTable,
    portfolio,
    position,
    read_others,
)
from trainable.component import FloatRange


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def deberta_run(lr: float, steps: int, points: list[list[float]]) -> dict[str, Any]:
    return {
        "num_train_epochs": 3,
        "train_batch_size": 32,
        "learning_rate": lr,
        "warmup_steps": steps // 10,
        "cls_drop_out": 0.1,
        "total_model_steps": steps,
        "learning_curves": {"matched": points, "mismatched": [[s, own - 0.1] for s, own in points]},
    }


def taskset_run(losses: Sequence[float | None]) -> dict[str, Any]:
    hp = dict.fromkeys(("learning_rate", "epsilon", "l1", "l2"), 1e-3)
    hp |= {"beta1": 0.9, "beta2": 0.99, "linear_decay": 1e-5, "exponential_decay": 1e-4}
    return {"hp": hp, "valid_loss": losses, "test_loss": losses}


def test_a_unit_has_the_score_of_the_last_checkpoint_before_its_end(tmp_path: Path) -> None:
    points = [[1000.0 * k, 0.1 * k] for k in range(1, 5)]
    write_lines(
        tmp_path / "deberta-base_tuning.results.jsonl.gz",
        [deberta_run(1e-5, 4500, [*points, [4500, 0.45]]), deberta_run(1e-4, 4500, points)],
    )
    table = read_others(tmp_path, DEBERTA)
    # A unit has 500 steps; before the first checkpoint there is nothing better than it.
    assert table.scores[0] == pytest.approx([0.1, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.4, 0.45])
    assert table.regrets == pytest.approx([0.0, 5.0])  # points of *confirm*
    assert table.configs[0]["warmup"] == pytest.approx(0.1)


def test_a_diverged_run_has_no_score_and_is_as_bad_as_the_median(tmp_path: Path) -> None:
    name, losses = TASKSETS[0], np.linspace(0.7, 0.1, 51).tolist()
    middle, worst = [0.7] * 51, [0.7] * 25 + [1e16] * 26
    diverged = [0.7] * 25 + [math.nan] * 26
    write_lines(
        tmp_path / f"{name}.jsonl.gz",
        [taskset_run(own) for own in (losses, middle, middle, worst, diverged)],
    )
    table = read_others(tmp_path, name)
    assert table.regrets == pytest.approx([0.0, 1.0, 1.0, 1.0, 1.0])
    assert table.scores[0, -1] == pytest.approx(math.exp(-0.1))
    assert np.isfinite(table.scores[:4]).all()
    assert np.isnan(table.scores[4]).tolist() == [False] * 4 + [True] * 5
    assert table.configs[0]["1-beta1"] == pytest.approx(0.1)


def made_up(regrets: list[float]) -> CurveTable:
    configs: tuple[Params, ...] = tuple({"x": 0.1 * k} for k in range(len(regrets)))
    return CurveTable("made up", (), configs, np.zeros((len(regrets), 9)), np.array(regrets), {})


def test_the_first_of_a_portfolio_is_best_on_average_and_the_next_helps_most() -> None:
    tables = [made_up([0.0, 0.9, 0.2, 0.8]), made_up([0.9, 0.0, 0.3, 0.8])]
    assert portfolio(tables, 4) == [2, 1, 0, 3]


def test_the_second_of_a_portfolio_is_best_of_all_pairs_with_the_first() -> None:
    draw = np.random.default_rng(0)
    tables = [made_up(draw.random(12).tolist()) for _ in range(3)]
    first, second = portfolio(tables, 2)
    together = {
        pair: sum(min(table.regrets[list(pair)]) for table in tables)
        for pair in combinations(range(12), 2)
        if first in pair
    }
    best: tuple[int, int] = min(together, key=together.__getitem__)
    assert set(best) == {first, second}


@pytest.fixture
def curves(shared: Path) -> Path:
    """Folder of the recorded curves, which are not part of the project."""
    folder = shared / "data" / "curves"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    return folder


@pytest.mark.parametrize(
    ("name", "n"), [(DEBERTA, 1024), *((own, 1000) for own in TASKSETS), *((o, 81) for o in NMTLC)]
)
def test_every_recorded_configuration_is_inside_its_ranges(curves: Path, name: str, n: int) -> None:
    table = read_others(curves, name)
    assert len(table.configs) == len(table.regrets) == len(table.scores) == n
    for param in table.params:
        assert all(param.domain.contains(own[param.name]) for own in table.configs)
        assert param.domain.contains(table.default[param.name])
        if isinstance(param.domain, FloatRange):  # else the scale of its distances is wrong
            ends = [position((param,), {param.name: own[param.name]})[0] for own in table.configs]
            assert min(ends) < 0.05
            assert max(ends) > 0.95
    assert table.regrets.min() == 0.0
    assert np.nanmax(table.scores) <= 1.0
