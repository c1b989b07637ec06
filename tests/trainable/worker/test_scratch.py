from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainable.worker.scratch import use_scratch


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    yield tmp_path / f"mtbert-{os.getuid()}"
    tempfile.tempdir = None


def test_temporary_files_go_to_a_folder_of_the_process(parent: Path) -> None:
    own = use_scratch()
    assert own == parent / str(os.getpid())
    assert Path(tempfile.mkdtemp()).parent == own
    assert own.stat().st_mode & 0o077 == 0, "nobody else reads weights"
    assert use_scratch() == own, "a second call does not nest"


def test_what_dead_processes_left_is_removed(parent: Path) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    left = parent / dead.stdout.decode().strip() / "checkpoint"
    left.mkdir(parents=True)
    (left / "weights").write_bytes(b"0")
    alive = parent / str(os.getppid())
    alive.mkdir()
    other = parent / "notes"
    other.mkdir()
    use_scratch()
    assert not left.parent.exists()
    assert alive.exists()
    assert other.exists(), "not ours to remove"
