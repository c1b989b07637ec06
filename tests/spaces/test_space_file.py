from __future__ import annotations

from pathlib import Path

import pytest

from spaces.edits import Edit, Edits
from spaces.space_file import read_space_file
from trainable.errors import InputError

WHOLE = """\
from: heads
fix:
  sst.dropout: 0.2
  multitask.optimization.amsgrad: true
range:
  "*.lr": 1e-5..1e-4
  para.dropout: [0, 5e-1]
choices:
  "*.pooling": [mean, cls]
vary: [para.*]
"""


def test_a_file_says_where_it_begins_and_what_changes(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(WHOLE)
    assert read_space_file(path) == (
        "heads",
        Edits(
            (
                Edit("sst.dropout", (0.2,), f"{path}, fix: sst.dropout"),
                Edit(
                    "multitask.optimization.amsgrad",
                    (True,),
                    f"{path}, fix: multitask.optimization.amsgrad",
                ),
            ),
            (
                Edit("*.lr", (1e-5, 1e-4), f"{path}, range: *.lr"),
                Edit("para.dropout", (0, 0.5), f"{path}, range: para.dropout"),
            ),
            (Edit("*.pooling", ("mean", "cls"), f"{path}, choices: *.pooling"),),
            (Edit("para.*", (), f"{path}, vary: para.*"),),
        ),
    )


def test_every_key_may_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("{}")
    assert read_space_file(path) == ("full", Edits())


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("", "give a mapping with the keys from, fix, range, choices, vary"),
        ("- a", "give a mapping"),
        ("fixed: {}", "unknown key 'fixed'; known are from, fix, range, choices, vary; did you"),
        ("from: [full]", "from: ['full'] is no name"),
        ("fix: [a]", "fix: give a mapping from names to values, not ['a']"),
        ("fix: {a: }", "fix: a: None is no value; give a word, a number, true or false"),
        ("fix: {a: [1]}", "fix: a: [1] is no value"),
        ("range: {a: 5}", "range: a: 5 is no range; give 1e-5..1e-4 or [1e-5, 1e-4]"),
        ("range: {a: [1]}", "range: a: give two numbers"),
        ("range: {a: [1, true]}", "range: a: True is no number"),
        ("choices: {a: mean}", "choices: a: 'mean' is no list"),
        ("choices: {a: []}", "choices: a: [] is no list"),
        ("vary: {a: 1}", "vary: {'a': 1} is no list of names"),
        ("vary: [*.lr]", "write what begins with * in quotes"),
        ("fix: {a: 1, a: 2}", "line 1: the key 'a' stands twice"),
    ],
)
def test_another_form_is_refused_with_the_file(tmp_path: Path, text: str, fragment: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_space_file(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert fragment in message
    assert "\n" not in message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"own\.yaml: no such file; give a file, or the name of"):
        read_space_file(tmp_path / "own.yaml")
