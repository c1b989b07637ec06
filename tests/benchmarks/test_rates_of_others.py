from __future__ import annotations

import numpy as np

from search.searchers.base import Params
from tests.benchmarks.curve import UNITS
from tests.benchmarks.others_tables import CurveTable
from tests.benchmarks.rates_of_others import table_of


def test_runs_count_at_their_rate_and_with_their_epochs() -> None:
    rates, epochs = (2e-6, 3e-6, 2e-4, 2e-4, 2e-4, 2e-4), (1, 1, 1, 1, 1, 3)
    regrets = np.array([1.0, 2.0, 50.0, 50.0, 4.0, 9.0])
    configs: tuple[Params, ...] = tuple(
        {"learning_rate": rate, "num_train_epochs": n}
        for rate, n in zip(rates, epochs, strict=True)
    )
    table = CurveTable("deberta", (), configs, np.zeros((6, UNITS)), regrets, {})
    rows = table_of(table, (1, 1))
    assert rows[0] == "| 1.0e-06 - 1.0e-05 | 2 | 1.5 | 0% |"
    assert rows[1] == "| 1.0e-05 - 2.5e-05 | 0 | - | - |"
    assert rows[6] == "| 1.5e-04 - 3.0e-04 | 3 | 50.0 | 67% |"
    assert table_of(table, (2, 4))[6] == "| 1.5e-04 - 3.0e-04 | 1 | 9.0 | 0% |"
