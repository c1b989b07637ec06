from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.schedulers.rungs import rungs, units_per_trial


@given(st.integers(1, 10_000), st.integers(2, 10))
def test_rungs_are_the_powers_of_eta_below_the_full_run_and_the_full_run(
    units: int, eta: int
) -> None:
    found = rungs(units, eta)
    assert found[0] == 1
    assert found[-1] == units
    assert all(low < high for low, high in pairwise(found))
    powers = [eta**k for k in range(20)]
    assert list(found[:-1]) == [power for power in powers if power < units]


@pytest.mark.parametrize("eta", range(2, 11))
def test_rungs_beside_every_power_of_eta(eta: int) -> None:
    """Where a logarithm in floating point may fall on either side."""
    for k in range(1, 31):
        below = tuple(eta**j for j in range(k))
        power = eta**k
        assert rungs(power, eta) == (*below, power)
        assert rungs(power + 1, eta) == (*below, power, power + 1)
        if power > 2:
            assert rungs(power - 1, eta) == (*below, power - 1)


@pytest.mark.parametrize(
    ("units", "eta", "expected"),
    [(9, 3, (1, 3, 9)), (10, 3, (1, 3, 9, 10)), (8, 2, (1, 2, 4, 8)), (1, 3, (1,))],
)
def test_rungs_of_usual_searches(units: int, eta: int, expected: tuple[int, ...]) -> None:
    assert rungs(units, eta) == expected


@given(st.integers(1, 6), st.integers(2, 5))
def test_units_of_a_trial_are_the_mean_over_trials_of_which_one_in_eta_goes_on(
    n_rungs: int, eta: int
) -> None:
    own = rungs(eta ** (n_rungs - 1), eta)
    n_trials = eta ** (n_rungs - 1)  # so many that each rung lets a whole number pass
    ended_at = [
        unit
        for k, unit in enumerate(own)
        for _ in range(n_trials // eta**k - (n_trials // eta ** (k + 1) if k + 1 < n_rungs else 0))
    ]
    assert len(ended_at) == n_trials
    assert units_per_trial(own, eta) == pytest.approx(sum(ended_at) / n_trials)
