from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.planning.objective import objective_note, parse_objective, weights_of
from trainable.errors import InputError

DEFAULTS = {"rte": 1.0, "cola": 1.0, "stsb": 0.5}


@given(st.dictionaries(st.sampled_from(sorted(DEFAULTS)), st.floats(0, 1e6), min_size=1))
def test_weights_are_those_given_and_else_the_defaults(given: dict[str, float]) -> None:
    text = ", ".join(f"{task} = {weight}" for task, weight in given.items())
    assert parse_objective(text) == given
    wanted = {**DEFAULTS, **given}
    if any(wanted.values()):
        assert weights_of(text, DEFAULTS) == wanted


def test_the_note_says_which_weights_are_as_before() -> None:
    weights = weights_of("rte=2", DEFAULTS)
    expected = "weights in the score: rte 2, cola 1 (as before), stsb 0.5 (as before)"
    assert objective_note("rte=2", weights) == expected


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("rte", "'rte' is no task with a weight; give TASK=WEIGHT"),
        ("rte=2,", "'' is no task with a weight"),
        ("=2", "'=2' is no task"),
        ("rte=", "the weight of rte is ''"),
        ("rte=two", "the weight of rte is 'two'; give a number of at least 0"),
        ("rte=-1", "the weight of rte is '-1'"),
        ("rte=nan", "the weight of rte is 'nan'"),
        ("rte=inf", "the weight of rte is 'inf'"),
        ("rte=1,rte=2", "rte is named twice"),
        ("rtee=1", "no task 'rtee' in these data; give rte, cola, stsb; did you mean 'rte'?"),
        ("rte=0,cola=0,stsb=0", "all weights are 0"),
    ],
)
def test_another_objective_is_refused(text: str, fragment: str) -> None:
    with pytest.raises(InputError) as caught:
        weights_of(text, DEFAULTS)
    assert str(caught.value).startswith(f"--objective {text!r}: ")
    assert fragment in str(caught.value)
