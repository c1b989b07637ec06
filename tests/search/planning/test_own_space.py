from __future__ import annotations

from pathlib import Path

import pytest

from search.planning.check_options import check_options
from search.planning.options import SearchOptions
from search.planning.own_space import NAMED_SPACES, is_own, read_edits
from spaces.catalogue import SPACE_NAMES
from spaces.edits import parse_edits
from spaces.space_file import read_space_file
from trainable.errors import InputError


def test_the_names_are_those_of_the_spaces_that_there_are() -> None:
    assert NAMED_SPACES == SPACE_NAMES


def test_changes_of_options_come_after_those_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("from: heads\nfix: {a: 1}\n")
    _, own = read_space_file(path)
    assert read_edits(SearchOptions(space=str(path))) == ("heads", (own,))
    asked = parse_edits(fix=["b=2"], vary=["c"])
    options = SearchOptions(space=str(path), fix=("b=2",), vary=("c",))
    assert read_edits(options) == ("heads", (own, asked))
    assert read_edits(SearchOptions(vary=("c",), fix=("b=2",))) == ("full", (asked,))
    assert read_edits(SearchOptions()) == ("full", ())


@pytest.mark.parametrize(
    "changed",
    [
        {"space": "own.yaml"},
        {"space": "own.yml"},
        {"fix": ("a=1",)},
        {"range": ("a=1..2",)},
        {"choices": ("a=1,2",)},
        {"vary": ("a",)},
        {"base": "runs/first"},
    ],
)
def test_each_change_makes_a_space_the_user_s_own(changed: dict[str, object]) -> None:
    assert is_own(SearchOptions(**changed))  # type: ignore[arg-type]
    assert not is_own(SearchOptions(space="smoke", objective="a=1"))


@pytest.mark.parametrize(
    ("changed", "fragments"),
    [
        ({"space": "fulll"}, ["--space fulll", "did you mean 'full'?"]),
        ({"fix": ("a",)}, ["--fix 'a'", "has no '='"]),
        ({"vary": ("",)}, ["--vary", "is empty"]),
        ({"objective": "a"}, ["--objective 'a'", "TASK=WEIGHT"]),
        ({"space": "published", "fix": ("a=1",)}, ["--fix 'a=1'", "--space published"]),
        ({"space": "ablation", "vary": ("a",)}, ["--vary 'a'", "rows as they are"]),
        ({"space": "ablation", "range": ("a=1..2",)}, ["--range 'a=1..2'", "rows as they are"]),
        ({"space": "published", "base": "b"}, ["--base 'b'", "--space ablation"]),
    ],
)
def test_what_can_be_seen_without_the_params_is_refused_early(
    changed: dict[str, object], fragments: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        check_options(SearchOptions(**changed))  # type: ignore[arg-type]
    for fragment in fragments:
        assert fragment in str(caught.value)


@pytest.mark.parametrize("start", ["published", "heds"])
def test_a_file_begins_from_a_space_and_not_from_rows(tmp_path: Path, start: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f"from: {start}\n")
    with pytest.raises(InputError, match=f"from: {start}: there is no such space; give full"):
        check_options(SearchOptions(space=str(path)))
