from __future__ import annotations

from typing import Any

import pytest

from search.log.history import History
from search.planning.past_forecast import how_good
from tests.search.log_lines import ended, event, suggested


def events(closed: float | None, *, status: Any = "done") -> list[dict[str, Any]]:
    """Return a search of one trial whose forecast, 100 s after its start, was 10 to 20 minutes."""
    found = [
        event("search", 1000.0, version=2, n_trials=1, units=9),
        event("forecast", 1090.0, elapsed=100.0, seconds=[600.0, 1200.0]),
        suggested(0, 1100.0),
        ended(0, 1500.0, status),
    ]
    return [*found, *([] if closed is None else [event("closed", closed, reason="")])]


def test_a_forecast_that_held() -> None:
    said = how_good(History(events(1990.0)))
    assert said == "forecast at the start: 12 - 22 min; it took 17 min"


@pytest.mark.parametrize(("closed", "took"), [(1500.0, "8 min"), (3000.0, "34 min")])
def test_a_forecast_that_did_not(closed: float, took: str) -> None:
    said = how_good(History(events(closed)))
    assert said.endswith(f"it took {took}, outside the 80 % interval")


def test_a_search_that_was_ended_early_is_not_judged() -> None:
    assert how_good(History(events(1990.0, status="interrupted"))) == ""
    assert how_good(History(events(None))) == ""
    assert how_good(History()) == ""


def test_a_later_driver_forecasts_anew() -> None:
    resumed = event("resumed", 5000.0, n_trials=1, options={}, slots=1)
    assert how_good(History([*events(1990.0), resumed])) == ""
