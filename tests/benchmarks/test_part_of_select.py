from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from tests.benchmarks.part_of_select import Options, Runs, compare, main
from trainable.tasks import Task

N = 20_000
TASK = Task(name="mood", classes=("bad", "good"))


def runs_of(*shares: float) -> Runs:
    """Return runs that are right about such shares of the examples, each about its own."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(2, (N,), generator=draw).double()
    wrong = [torch.rand(N, generator=draw) >= share for share in shares]
    predicted = [{"mood": torch.where(own, 1 - labels, labels)} for own in wrong]
    return Runs({"mood": TASK}, predicted, {"mood": labels})


def test_the_error_is_that_of_an_accuracy_on_so_many_examples() -> None:
    runs = runs_of(*[0.8] * 12)
    error, _ = compare(runs, 400, 300)
    assert error == pytest.approx(math.sqrt(0.8 * 0.2 / 400), rel=0.1)


def test_what_all_runs_have_in_common_is_no_error() -> None:
    one = runs_of(0.8, 0.7)
    better, worse = one.predicted
    error, _ = compare(Runs(one.tasks, [better] * 3 + [worse] * 3, one.labels), 100, 5)
    assert error == pytest.approx(0, abs=1e-12)


def test_a_larger_part_has_more_of_the_order() -> None:
    runs = runs_of(0.9, 0.88, 0.86, 0.84, 0.82, 0.8)
    ranks = [compare(runs, size, 30)[1] for size in (50, 500, 5000)]
    assert ranks == sorted(ranks)
    assert ranks[0] < 0.9 < ranks[2]


def test_an_empty_folder_ends_with_a_line(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="has no whole run of 'course'"):
        main(Options(tmp_path))
