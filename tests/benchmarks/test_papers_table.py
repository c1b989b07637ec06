from __future__ import annotations

import math
import re

import pytest
import torch

from tests.benchmarks import papers_table
from tests.benchmarks.papers_table import REFERENCE, Tensors, table

N = 200


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(papers_table, "_RESAMPLES", 100)


def labels() -> Tensors:
    draw = torch.Generator().manual_seed(0)
    return {
        "sst": torch.randint(5, (N,), generator=draw),
        "para": torch.randint(2, (N,), generator=draw),
        "sts": torch.randint(6, (N,), generator=draw).float(),
    }


def wrong_at(n: int, truth: Tensors) -> Tensors:
    """Return predictions of which the first n of SST are wrong."""
    sst = truth["sst"].clone()
    sst[:n] = (sst[:n] + 1) % 5
    return truth | {"sst": sst}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_difference_has_the_standard_error_of_paired_examples() -> None:
    truth = labels()
    reference, other = wrong_at(20, truth), wrong_at(60, truth)
    heads, _, first, second = table({REFERENCE: [reference], "stage/x": [other]}, truth).split("\n")
    column = cells(heads).index("sst_acc")
    assert cells(first)[:3] == [REFERENCE, "1", REFERENCE]
    assert cells(first)[column : column + 2] == ["0.900 ± nan", "-"]
    assert cells(second)[column] == "0.700 ± nan"
    found = re.fullmatch(r"-0\.200 ± (0\.\d+)", cells(second)[column + 1])
    assert found is not None
    # 40 of 200 examples differ, and all of them in the same direction.
    assert float(found[1]) == pytest.approx(math.sqrt(0.2 * 0.8 / N), rel=0.2)


def test_equal_rows_have_no_difference_and_no_error() -> None:
    truth = labels()
    runs = [wrong_at(n, truth) for n in (10, 30)]
    *_, line = table({"batch_order/lock_step": runs, "gradients/x": runs}, truth).split("\n")
    name, n, reference, *figures = cells(line)
    assert (name, n, reference) == ("gradients/x", "2", "batch_order/lock_step")
    assert figures[1::2] == ["+0.000 ± 0.000"] * 4
    assert figures[2] == "0.900 ± 0.050"  # 0.95 and 0.85


def test_a_row_without_its_reference_has_no_difference() -> None:
    *_, line = table({"one-size/sts-x": [labels()]}, labels()).split("\n")
    name, _, reference, *figures = cells(line)
    assert (name, reference) == ("one-size/sts-x", "one-size/baseline")
    assert figures[1::2] == ["-"] * 4
