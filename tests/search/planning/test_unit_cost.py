from __future__ import annotations

from search.planning.unit_cost import UnitCost, mean_cost


def test_a_unit_takes_training_evaluation_and_a_checkpoint() -> None:
    cost = UnitCost(100.0, 2.0, 6.0, 0.5, 1.5)
    assert cost.unit_seconds(1000.0) == 12.5
    assert cost.last_seconds == 4.0


def test_the_mean_of_slots() -> None:
    found = mean_cost([UnitCost(100.0, 2.0, 6.0, 0.5, 1.5), UnitCost(200.0, 4.0, 6.0, 0.5, 2.5)])
    assert found == UnitCost(400 / 3, 3.0, 6.0, 0.5, 2.0)
