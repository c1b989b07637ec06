from __future__ import annotations

import os
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


@pytest.mark.parametrize(("own", "used"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_idle_threads_sleep_unless_the_user_says_otherwise(
    own: str | None, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if own:
        monkeypatch.setenv("OMP_WAIT_POLICY", own)
    exit_status(lambda: 0)
    assert os.environ["OMP_WAIT_POLICY"] == used


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["-m", "trainable", "--example"],
        ["search/run.py", "--dry-run"],
        ["search/retrain.py", "missing"],
    ],
)
def test_openmp_is_loaded_after_it_is_told_so(repository: Path, command: list[str]) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=repository,
        env={**environment, "OMP_DISPLAY_ENV": "TRUE"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in done.stderr


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
