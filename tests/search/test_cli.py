from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from search.cli import COMMANDS, main


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    output = capsys.readouterr().out
    assert all(f"\n  {name}" in output for name in COMMANDS)


def test_without_a_command_the_help_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("usage: mtbert")


def test_a_mistyped_command_is_answered_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["searhc", "--trials", "3"]) == 2
    error = capsys.readouterr().err
    assert "no command 'searhc'" in error
    assert "did you mean 'search'?" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_shows_its_own_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(import_module(f"search.commands.{COMMANDS[name][0]}").main)
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: mtbert {name} ")


def test_wrong_options_of_a_search_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "--trials", "0"]) == 2
    assert "--trials 0: give at least 1" in capsys.readouterr().err


@pytest.mark.slow
def test_nothing_heavy_is_imported_for_help_and_wrong_options(repository: Path) -> None:
    heavy = "{'torch', 'ray', 'transformers', 'pyarrow', 'numpy'} & set(sys.modules)"
    for arguments in ("['--help']", "['serch']", "['search', '--eta', '1']"):
        code = f"import sys; from search.cli import main; main({arguments}); assert not {heavy}"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=repository)
