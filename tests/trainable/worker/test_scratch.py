from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainable.errors import InputError
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


def test_a_folder_that_others_could_write_to_is_closed(parent: Path) -> None:
    parent.mkdir()
    parent.chmod(0o777)
    use_scratch()
    assert parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("is_link", [True, False])
def test_a_link_or_a_file_in_its_place_is_refused(parent: Path, is_link: bool) -> None:
    there = parent.with_name("elsewhere")
    there.mkdir()
    if is_link:
        parent.symlink_to(there)
    else:
        parent.touch()
    with pytest.raises(InputError, match=f"{parent}, is a link or a file; remove it, or set TMPD"):
        use_scratch()
    assert list(there.iterdir()) == []


def test_a_folder_of_another_user_is_refused(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    folder = parent.with_name(f"mtbert-{owner + 1}")
    folder.mkdir()
    with pytest.raises(InputError, match=rf"belongs to another user \(uid {owner}\); remove it"):
        use_scratch()
    assert list(folder.iterdir()) == []


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
