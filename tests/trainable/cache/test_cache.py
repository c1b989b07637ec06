"""What is removed from a cache, and what is said where that cannot be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainable.cache.cache import locked, remove_oldest
from trainable.errors import InputError


def entries(folder: Path) -> list[Path]:
    """Make a file, a folder and a file of 10 bytes each; the first was used longest ago."""
    paths = [folder / name for name in ("a", "b", "c")]
    (folder / "b").mkdir()
    for age, path in zip((30, 20, 10), paths, strict=True):
        (path / "inner" if path.is_dir() else path).write_bytes(b"x" * 10)
        os.utime(path, (1000 - age, 1000 - age))
    return paths


@pytest.mark.parametrize(("most_bytes", "left"), [(30, "abc"), (29, "bc"), (19, "c"), (0, "c")])
def test_the_oldest_go_until_the_rest_is_small_enough(
    tmp_path: Path, most_bytes: int, left: str
) -> None:
    paths = entries(tmp_path)
    remove_oldest(paths, most_bytes, keep=paths[2])
    assert "".join(sorted(path.name for path in tmp_path.iterdir())) == left


def test_what_another_process_removed_does_no_harm(tmp_path: Path) -> None:
    paths = entries(tmp_path)
    remove_oldest([tmp_path / "gone", *paths], 29, keep=paths[2])
    assert not paths[0].exists()
    assert paths[1].exists()


def test_the_next_oldest_goes_where_one_cannot_be_removed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    paths = entries(tmp_path)

    def refuse(path: Path) -> None:
        raise PermissionError(1, "not yours")

    monkeypatch.setattr(Path, "unlink", refuse)
    remove_oldest(paths, 29, keep=paths[2])
    assert [path.exists() for path in paths] == [True, False, True]
    assert "not yours" in caplog.text


def test_a_lock_in_no_folder_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = "cannot keep results in .*file/cache: .*; set MTBERT_CACHE to a folder"
    with pytest.raises(InputError, match=message), locked(tmp_path / "file/cache/a", "results"):
        pass
