"""One trial, as the events of the log make it."""

from __future__ import annotations

import math

import pytest

from search.log.events import Event
from search.log.history import History
from search.log.trial import TrialRecord
from tests.search.log_lines import reported, suggested
from trainable.errors import InputError


def folded(*later: Event) -> TrialRecord:
    """Return what is known of one trial."""
    return History([suggested(0), *later]).trials[0]


def test_a_trial_without_a_report_has_no_score() -> None:
    trial = folded()
    assert (trial.units, trial.last, trial.score) == (0, {}, -math.inf)
    assert folded(reported(0, 1.0, 1, None)).score == -math.inf


def test_a_config_of_another_program_is_refused_when_somebody_asks_for_it() -> None:
    line = suggested(7)
    line["run_config"] = {**line["run_config"], "unheard_of": 1}
    history = History([line])
    with pytest.raises(InputError, match=r"trial 7.*unheard_of"):
        assert history.trials[7].config


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("default", True),
        ("base", True),
        ("default, one-size/3", True),
        ("one-size/3, default", True),
        ("random", False),
        ("one-size/default", False),
        ("", False),
    ],
)
def test_the_default_is_known_by_its_origin(origin: str, expected: bool) -> None:
    assert TrialRecord(0, {}, {}, 0.0, 0.0, origin=origin).is_default == expected


def test_a_report_without_a_score_is_below_all() -> None:
    trial = TrialRecord(0, {}, {}, 0.0, 0.0)
    trial.reports = {1: {"score": 0.5}, 3: {"score": 0.6, "learned": 0.2}, 4: {"learned": 0.2}}
    assert [trial.score_at(unit) for unit in (1, 3, 4)] == [0.5, 0.6, -math.inf]
