from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from trainable.exit_status import exit_status

PRINTS = """
import sys
from trainable.exit_status import exit_status
def command():
    print("line\\n" * {lines})
    return 0
sys.exit(exit_status(command))
"""


def test_a_command_keeps_its_own_status() -> None:
    assert [exit_status(lambda own=own: own) for own in (0, 1, 2)] == [0, 1, 2]


def test_ctrl_c_is_one_line_and_130(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> int:
        raise KeyboardInterrupt

    assert exit_status(command) == 130
    assert capsys.readouterr() == ("", "stopped\n")


@pytest.mark.parametrize("lines", [1, 100_000])  # less and more than Python's buffer
def test_a_reader_that_has_gone_is_no_error(repository: Path, lines: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PRINTS.format(lines=lines)],
        cwd=repository,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141
