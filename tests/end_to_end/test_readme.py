"""The commands of the README are commands that these programs take."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import tyro

from search.options import SearchOptions, parse
from search.retraining import RetrainOptions

PROGRAMS = ("search/run.py", "search/retrain.py")


def commands(readme: Path) -> list[tuple[str, list[str]]]:
    """Return program and arguments of each call in a fenced block."""
    if not readme.is_file():
        return []
    text = readme.read_text(encoding="utf-8")
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    found = []
    for line in "".join(blocks).replace("\\\n", " ").splitlines():
        # To the end of the command: a quote closes one that runs on another machine.
        for program, arguments in re.findall(rf"python ({'|'.join(PROGRAMS)})([^&'|\n]*)", line):
            found.append((program, shlex.split(arguments, comments=True)))
    return found


@pytest.fixture(scope="module")
def found(repository: Path) -> list[tuple[str, list[str]]]:
    calls = commands(repository / "README.md")
    if not calls:
        pytest.skip("the README has no commands yet")
    return calls


def test_searches_of_the_readme_parse(found: list[tuple[str, list[str]]]) -> None:
    searches = [arguments for program, arguments in found if program == "search/run.py"]
    assert [] in searches, "the first command has no arguments"
    for arguments in searches:
        if "--help" not in arguments:
            assert isinstance(parse(arguments), SearchOptions), arguments


def test_retrainings_of_the_readme_parse(found: list[tuple[str, list[str]]]) -> None:
    calls = [arguments for program, arguments in found if program == "search/retrain.py"]
    assert calls
    for arguments in calls:
        if "--help" not in arguments:
            options = tyro.cli(RetrainOptions, args=arguments)
            assert options.best.suffix == ".json"


def test_programs_of_the_readme_are_there(
    repository: Path, found: list[tuple[str, list[str]]]
) -> None:
    for program, _ in found:
        assert (repository / program).is_file()


def test_commands_are_found_in_fenced_blocks_only(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(
        "python search/run.py --not-this\n"
        "```sh\npip install -e . && python search/run.py\n"
        "python search/run.py --trials 3 \\\n    --units 2  # a remark\n```\n"
        "```\nray exec cluster.yaml 'cd x && A=b python search/run.py --seed 1'\n"
        "$ python search/retrain.py runs/a/best.json --seeds 3\n```\n"
    )
    assert commands(readme) == [
        ("search/run.py", []),
        ("search/run.py", ["--trials", "3", "--units", "2"]),
        ("search/run.py", ["--seed", "1"]),
        ("search/retrain.py", ["runs/a/best.json", "--seeds", "3"]),
    ]
