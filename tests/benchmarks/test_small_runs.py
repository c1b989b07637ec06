"""Benchmarks that seldom run, by their own commands and as small as they go: they must not rot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Script and options -> what it prints at the end of what it measures.
SMALL_RUNS = {
    "audit_coverage.py --searches 1 --trials 12 --families crossing": "| crossing |",
    "bare_tune.py --trials 3": "user,ms",
    "finalist_worth.py --searches 1": "| 40, 1 and the default |",
    "memory.py --encoder tiny": "a run",
    "replay_ranking.py --searches 1 --draws 2 --trials 12": "| parallel |",
    "scale.py --trials 3": "whole search:",
    "scale.py --without-ray --trials 12 --tensorboard": "resume,s",
    "scaling.py --workers 1 --trials 2 --out OUT": "driver busy",
    "switch.py --trials 3 --cold-trials 2": "losses of warm and cold trials are equal: True",
}


@pytest.mark.slow
@pytest.mark.parametrize("command", SMALL_RUNS)
def test_it_runs_and_says_what_it_measured(repository: Path, tmp_path: Path, command: str) -> None:
    script, *options = command.split()
    done = subprocess.run(
        [
            sys.executable,
            f"tests/benchmarks/{script}",
            *(str(tmp_path) if own == "OUT" else own for own in options),
        ],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert SMALL_RUNS[command] in done.stdout
    assert "Traceback" not in done.stderr
