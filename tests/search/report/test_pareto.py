from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.log.trial import TrialRecord
from search.report.pareto import front, pick, trade_offs
from tests.course import TASK_METRICS
from trainable.errors import InputError
from trainable.tasks import COURSE

Metrics = tuple[float, ...]
metrics = st.tuples(*[st.integers(0, 4).map(lambda n: n / 4)] * 3)


def trial(number: int, values: Metrics, status: str = "done") -> TrialRecord:
    record = TrialRecord(number, {}, {}, 0.0, 0.0, status=status)  # type: ignore[arg-type]
    own = dict(zip(TASK_METRICS, values, strict=True))
    record.reports = {9: {**own, "score": sum(values) / 3}}
    return record


def beats(one: Metrics, other: Metrics) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


@given(st.lists(metrics, max_size=12))
def test_the_front_is_what_nothing_beats(points: list[Metrics]) -> None:
    found = {own.number for own in front([trial(n, p) for n, p in enumerate(points)], COURSE)}
    assert found == {n for n, p in enumerate(points) if not any(beats(q, p) for q in points)}


def test_only_finished_trials_count() -> None:
    own = [trial(0, (0.1, 0.1, 0.1)), trial(1, (0.9, 0.9, 0.9), "stopped")]
    assert front(own, COURSE) == own[:1]
    own[0].reports[9]["sts_corr"] = None
    assert front(own, COURSE) == []


def test_the_table_says_what_is_given_up_against_the_best() -> None:
    own = [trial(0, (0.5, 0.8, 0.8)), trial(1, (0.6, 0.8, 0.6))]
    first, second = trade_offs(own, COURSE)
    assert first.trial is own[0]
    assert set(first.gains.values()) == {0.0}
    assert second.gains == pytest.approx({"sst": 0.1, "para": 0.0, "sts": -0.2})


@given(st.lists(metrics, min_size=1, max_size=8), st.integers(0, 4), st.integers(0, 4))
def test_the_pick_is_the_best_that_fulfils_all(points: list[Metrics], sst: int, sts: int) -> None:
    own = [trial(n, p) for n, p in enumerate(points)]
    text = f" sst>={sst / 4}, sts_corr > {sts / 4}"
    fitting = [t for t, p in zip(own, points, strict=True) if p[0] >= sst / 4 and p[2] > sts / 4]
    if fitting:
        assert pick(own, COURSE, text).score == max(t.score for t in fitting)
    else:
        with pytest.raises(InputError, match=f"none of {len(own)} finished trials fulfils it"):
            pick(own, COURSE, text)


def test_the_nearest_is_named_where_nothing_fits() -> None:
    own = [trial(0, (0.5, 0.9, 0.9)), trial(1, (0.6, 0.1, 0.1))]
    with pytest.raises(InputError, match=re.escape("the nearest is trial 1 with sst 0.6000")):
        pick(own, COURSE, "sst>=0.7")


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("", "'' is no condition"),
        ("sts", "'sts' is no condition; give a task"),
        ("sts=0.5", "'sts=0.5' is no condition"),
        ("sts>=0.5,", "'' is no condition"),
        ("sts>=1e999", "'sts>=1e999' is no condition"),
        ("sts>=--1", "'sts>=--1' is no condition"),
        ("stst>=0.5", "no task 'stst'; give one of score, sst, para, sts"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, fragment: str) -> None:
    with pytest.raises(InputError, match=re.escape(fragment)) as caught:
        pick([trial(0, (0.1, 0.1, 0.1))], COURSE, text)
    assert "\n" not in str(caught.value)


def test_without_a_finished_trial_there_is_nothing_to_pick() -> None:
    with pytest.raises(InputError, match="no trial has finished yet"):
        pick([trial(0, (0.1, 0.1, 0.1), "stopped")], COURSE, "sst>0")
