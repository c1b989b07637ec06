from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.edits import Edit, Edits, parse_edits
from trainable.errors import InputError

NUMBERS = st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6)


def test_each_option_is_read() -> None:
    found = parse_edits(["a=1"], ["*.b = 1e-5..1e-4"], ["c=x, y"], ["d.*"])
    assert found == Edits(
        (Edit("a", ("1",), "--fix 'a=1'"),),
        (Edit("*.b", (1e-5, 1e-4), "--range '*.b = 1e-5..1e-4'"),),
        (Edit("c", ("x", "y"), "--choices 'c=x, y'"),),
        (Edit("d.*", (), "--vary 'd.*'"),),
    )
    assert found
    assert not parse_edits()


@given(NUMBERS, NUMBERS)
def test_ends_of_a_range_are_read_as_they_are_written(first: float, second: float) -> None:
    low, high = sorted((first, second))
    if low < high:
        (edit,) = parse_edits(range=[f"a={low}..{high}"]).range
        assert edit.given == (low, high)
        assert [type(end) for end in edit.given] == [type(low), type(high)]


@pytest.mark.parametrize(
    ("option", "text", "fragment"),
    [
        ("fix", "sst.pooling", "has no '='"),
        ("fix", "=mean", "names no hyperparameter"),
        ("fix", "sst.pooling=", "a value is empty"),
        ("range", "a=1", "two numbers with two dots"),
        ("range", "a=1..2..3", "two numbers with two dots"),
        ("range", "a=..2", "'' is no number"),
        ("range", "a=1..x", "'x' is no number"),
        ("range", "a=0..inf", "'inf' is no number"),
        ("range", "a=nan..1", "'nan' is no number"),
        ("range", "a=2..1", "2 is more than 1; give the lower end first"),
        ("range", "a=1..1", "both ends are 1; to keep one value give --fix"),
        ("choices", "a=x", "one value is no choice"),
        ("choices", "a=x,x", "given twice"),
        ("choices", "a=x,", "a value is empty"),
        ("vary", " ", "names no hyperparameter"),
    ],
)
def test_a_text_of_another_form_is_refused(option: str, text: str, fragment: str) -> None:
    with pytest.raises(InputError, match="^--" + option) as caught:
        parse_edits(**{option: [text]})
    assert repr(text) in str(caught.value)
    assert fragment in str(caught.value)


def test_it_needs_no_torch() -> None:
    code = "import sys, spaces.space_file; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
