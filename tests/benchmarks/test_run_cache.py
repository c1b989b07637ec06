from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.run_cache import RunCache, StaleReports
from trainable.run_config import RunConfig
from trainable.stages.multitask import Multitask
from trainable.training.loop import Run

pytestmark = pytest.mark.slow  # each cache opens the sample data


def config(seed: int = 0) -> RunConfig:
    return RunConfig(seed=seed, multitask=Multitask(budget_tokens=1200, units=3))


def cache(folder: Path, kept: int = 2, variant: str = "") -> RunCache:
    return RunCache(folder, config(), kept, variant)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The units that were trained, with the seed of their run in front."""
    units: list[int] = []
    real = Run.train_unit

    def train_unit(self: Run, *args: object) -> dict[str, float]:
        units.append(10 * self.config.seed + self.units + 1)
        return real(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Run, "train_unit", train_unit)
    return units


def test_what_was_trained_is_never_trained_again(tmp_path: Path, trained: list[int]) -> None:
    runs = cache(tmp_path)
    first = runs.report(config(), 1)
    last = runs.report(config(), 3)
    assert (first["unit"], last["unit"]) == (1, 3)
    assert last["confirm_score"] == last["confirm_score"]  # a number
    assert runs.predictions(config()).exists()
    assert trained == [1, 2, 3]
    again = cache(tmp_path)
    assert again.report(config(), 3)["score"] == last["score"]
    assert again.report(config(), 1)["score"] == first["score"]
    assert trained == [1, 2, 3]


def test_a_run_that_was_dropped_begins_anew_and_reports_the_same(
    tmp_path: Path, trained: list[int]
) -> None:
    whole = cache(tmp_path / "whole").report(config(1), 3)
    trained.clear()
    runs = cache(tmp_path / "cut", kept=1)
    runs.report(config(1), 1)
    runs.report(config(2), 1)  # drops the other
    cut = runs.report(config(1), 3)
    assert trained == [11, 21, 11, 12, 13]
    assert cut["score"] == whole["score"]
    assert cut["confirm_score"] == whole["confirm_score"]


def test_a_variant_shares_no_reports(tmp_path: Path, trained: list[int]) -> None:
    cache(tmp_path).report(config(), 1)
    cache(tmp_path, variant="whole select").report(config(), 1)
    assert trained == [1, 1]


def test_reports_of_other_code_are_refused(tmp_path: Path) -> None:
    cache(tmp_path).report(config(), 1)
    (path,) = tmp_path.glob("*/reports.json")
    content = json.loads(path.read_text("utf-8"))
    content["reports"][0]["score"] += 0.01
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(StaleReports, match="the code has changed"):
        cache(tmp_path).report(config(), 2)
