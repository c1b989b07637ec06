from __future__ import annotations

from pathlib import Path

import pytest

from search.log.events import EventLog, new_event
from search.log.find_folder import find_folder
from search.log.folder import EVENTS
from trainable.errors import InputError


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))


def uri(folder: Path) -> str:
    """A storage that is reached as a remote one is, and needs no network."""
    return f"file://{folder}"


def begun(storage: str) -> Path:
    folder = find_folder(storage, "n", resume=False)
    folder.make()
    log = EventLog(folder.local / EVENTS)
    log.append(new_event("search"))
    log.close()
    return folder.local


def test_searches_of_one_name_in_two_storages_are_two(tmp_path: Path) -> None:
    assert begun(uri(tmp_path / "one")) != begun(uri(tmp_path / "two"))


def test_search_of_a_killed_driver_exists_though_it_was_not_published(tmp_path: Path) -> None:
    begun(uri(tmp_path / "store"))
    with pytest.raises(InputError, match="exists"):
        find_folder(uri(tmp_path / "store"), "n", resume=False)


def test_storage_that_cannot_be_reached_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="nosuchscheme"):
        find_folder("nosuchscheme://bucket", "n", resume=False)


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_search_that_was_stopped_before_its_first_line_is_to_be_started(
    tmp_path: Path, prefix: str
) -> None:
    storage = f"{prefix}{tmp_path}"
    find_folder(storage, "n", resume=False).make()
    with pytest.raises(InputError, match=r"nothing has begun in .*; start .* without --resume"):
        find_folder(storage, "n", resume=True)
    find_folder(storage, "n", resume=False)
