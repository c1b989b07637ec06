from __future__ import annotations

import json
import random

from tests.benchmarks.forecast_coverage import _RECORDED, BEFORE, FIRST, Held, RecordedUnits, table


def test_a_trial_takes_the_units_of_one_that_was_recorded() -> None:
    recorded = {"default": [1.0, 2.0], "others": [[3.0], [4.0]]}
    units = RecordedUnits(recorded, random.Random(0))
    assert [units.seconds(0, unit) for unit in (1, 2)] == [1.0, 2.0]
    assert units.seconds(0, 3) == units.seconds(0, 3) in (1.0, 2.0)
    assert {units.seconds(number, 1) for number in range(1, 20)} == {3.0, 4.0}
    assert recorded["default"] == [1.0, 2.0]


def test_recorded_units_take_time() -> None:
    recorded = json.loads(_RECORDED.read_text("utf-8"))
    assert len(recorded) == 12
    for search in recorded:
        assert min(min(units) for units in (search["default"], *search["others"])) > 0


def test_the_table_counts_what_held() -> None:
    # Of a quarter there is none here, as where a search ends before.
    held = [Held(FIRST, 10.0, 20.0, took) for took in (5.0, 10.0, 15.0, 25.0)]
    rows = {("crossing", 12, 1, FIRST): held, ("crossing", 12, 1, BEFORE): held[:1]}
    last = table(rows).splitlines()[-2:]
    assert last[0] == f"| crossing | 12 | 1 | {FIRST} | 50% of 4 (1 below, 1 above) | 2.00 |"
    assert last[1] == f"| all | | | {FIRST} | 50% of 4 (1 below, 1 above) | 2.00 |"
