from __future__ import annotations

from search.log.trial import TrialRecord
from search.planning.unit_cost import UnitCost, mean_cost, recorded_cost


def trial(**seconds: float | None) -> TrialRecord:
    """Return a trial whose three units train 1,000 tokens each in ten seconds."""
    record = TrialRecord(0, {}, {}, 0.0, 0.0)
    for unit in (1, 2, 3):
        own = {"tokens": 1000.0 * unit, "train_seconds": 10.0, "eval_seconds": 2.0}
        record.reports[unit] = own | {"save_seconds": 0.5, "start_seconds": 1.5} | seconds
    record.reports[3]["eval_seconds"] = 6.0
    return record


def test_a_unit_takes_training_evaluation_and_a_checkpoint() -> None:
    cost = UnitCost(100.0, 2.0, 6.0, 0.5, 1.5)
    assert cost.unit_seconds(1000.0) == 12.5
    assert cost.last_seconds == 4.0


def test_what_a_search_recorded() -> None:
    assert recorded_cost([trial()], 3) == UnitCost(100.0, 2.0, 6.0, 0.5, 1.5)
    assert recorded_cost([trial()], 9) == UnitCost(100.0, 2.0, 2.0, 0.5, 1.5)
    assert recorded_cost([trial(save_seconds=None)], 3) == UnitCost(100.0, 2.0, 6.0, 0.0, 1.5)


def test_nothing_is_recorded_before_the_first_unit_and_of_units_that_failed() -> None:
    assert recorded_cost([], 3) is None
    assert recorded_cost([trial(train_seconds=None)], 3) is None


def test_the_mean_of_slots() -> None:
    found = mean_cost([UnitCost(100.0, 2.0, 6.0, 0.5, 1.5), UnitCost(200.0, 4.0, 6.0, 0.5, 2.5)])
    assert found == UnitCost(150.0, 3.0, 6.0, 0.5, 2.0)
