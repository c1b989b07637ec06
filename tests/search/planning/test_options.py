from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields

import pytest

from search.planning.options import SearchOptions, parse
from tests.search.planning.every_option import GIVEN


def test_every_option_is_tried_here() -> None:
    assert set(GIVEN) == {field.name for field in fields(SearchOptions)}


@pytest.mark.parametrize("name", GIVEN)
def test_option_is_parsed_and_leaves_the_others_alone(name: str) -> None:
    arguments, value = GIVEN[name]
    assert value != getattr(SearchOptions(), name)
    found = parse(arguments)
    for field in fields(SearchOptions):
        expected = value if field.name == name else field.default
        if field.name == "data" and name == "tasks":
            expected = "tasks"  # which --tasks implies
        assert getattr(found, field.name) == expected


def test_all_options_go_together() -> None:
    found = parse([word for arguments, _ in GIVEN.values() for word in arguments])
    assert found == SearchOptions(**{name: value for name, (_, value) in GIVEN.items()})


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--trails", "3"], "--trials"),
        (["--max-concurent", "3"], "--max-concurrent"),
        (["--data", "cs24n"], "cs224n"),
        (["--searcher", "runggp"], "rung-gp"),
        (["--scheduler", "promotion"], "promotion-asha"),
        (["--trials", "many"], "many"),
        (["--trials"], "--trials"),
        (["--eta", "2.5"], "2.5"),
        (["--seed"], "--seed"),
        (["first"], "first"),
    ],
)
def test_a_wrong_option_exits_with_2_and_a_hint(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(arguments)
    assert caught.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert hint in output.err


@pytest.mark.parametrize("name", ["trials", "max-concurrent", "min-gain", "gpus-per-trial"])
def test_a_word_for_a_number_is_refused_without_types_of_python(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse([f"--{name}", "four"])
    error = capsys.readouterr().err
    assert f"--{name}" in error
    assert "four" in error
    assert "None" not in error


def test_the_word_none_is_a_name_like_any_other() -> None:
    assert parse(["--name", "None"]).name == "None"


@pytest.fixture
def help_text(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as caught:
        parse(["--help"])
    assert caught.value.code == 0
    return capsys.readouterr().out


def test_the_help_has_every_option_in_one_of_five_groups(help_text: str) -> None:
    groups = re.findall(r"^\W*(\w+) options\W*$", help_text, re.MULTILINE)
    assert groups == ["data", "search", "budget", "resource", "storage"]
    for field in fields(SearchOptions):
        option = f"--{field.name.replace('_', '-')}"
        assert len(re.findall(rf"^\W? *{option} ", help_text, re.MULTILINE)) == 1


def test_the_help_fits_80_columns_and_says_each_default_once(help_text: str) -> None:
    assert max(map(len, help_text.splitlines())) <= 80
    assert "None" not in help_text
    whole = " ".join(re.sub("[│╭╮╰╯─]|--+ ", " ", help_text).split())
    for text in re.split(r" (?=--[a-z-]+ )", whole):
        assert text.lower().count("(default: ") <= 1, text
        assert "Default:" not in text


def test_options_are_parsed_without_the_libraries_that_take_seconds_to_load() -> None:
    code = (
        "import sys, search.planning.check_options\n"
        "slow = {'torch', 'ray', 'transformers', 'datasets', 'optuna', 'pyarrow', 'pydantic'}\n"
        "sys.exit(', '.join(slow & set(sys.modules)) or 0)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")
