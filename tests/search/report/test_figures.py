from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_a_home_that_cannot_be_written_is_not_spoken_of(repository: Path, tmp_path: Path) -> None:
    """matplotlib then keeps its caches in a temporary folder, which goes with the process."""
    kept = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)}
    program = "import search.report; from matplotlib.figure import Figure as f; print(f.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=repository,
        env={**kept, "HOME": "/proc/nobody"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("Figure\n", "", 0)
    assert list(tmp_path.iterdir()) == []
