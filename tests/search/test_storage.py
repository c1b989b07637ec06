from __future__ import annotations

from pathlib import Path

import pytest

from search.events import EventLog, new_event
from search.storage import EVENTS, find_folder
from trainable.errors import InputError


def uri(folder: Path) -> str:
    """A storage that is reached as a remote one is, and needs no network."""
    return f"file://{folder}"


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))


def begun(storage: str) -> Path:
    folder = find_folder(storage, "n", resume=False)
    folder.make()
    log = EventLog(folder.local / EVENTS)
    log.append(new_event("search"))
    log.close()
    return folder.local


def test_searches_of_one_name_in_two_storages_are_two(tmp_path: Path) -> None:
    assert begun(uri(tmp_path / "one")) != begun(uri(tmp_path / "two"))


def test_published_search_is_fetched_on_another_machine(tmp_path: Path) -> None:
    local = begun(uri(tmp_path / "store"))
    text = (local / EVENTS).read_text()
    find_folder(uri(tmp_path / "store"), "n", resume=True).publish()
    (local / EVENTS).unlink()
    folder = find_folder(uri(tmp_path / "store"), "n", resume=True)
    assert folder.fetch_log().read_text() == text


@pytest.mark.parametrize("longer", ["here", "there"])
def test_the_longer_of_two_logs_is_the_newer(tmp_path: Path, longer: str) -> None:
    local = begun(uri(tmp_path / "store"))
    folder = find_folder(uri(tmp_path / "store"), "n", resume=True)
    folder.publish_log()
    there = tmp_path / "store" / "n" / EVENTS
    assert there.read_bytes() == (local / EVENTS).read_bytes()
    with (there if longer == "there" else local / EVENTS).open("a") as file:
        file.write("more\n")
    assert folder.fetch_log().read_text().endswith("more\n")


def test_a_local_log_is_where_it_is(tmp_path: Path) -> None:
    local = begun(str(tmp_path / "runs"))
    folder = find_folder(str(tmp_path / "runs"), "n", resume=True)
    assert not folder.is_remote
    assert folder.fetch_log() == local / EVENTS
    folder.publish()
    assert [path.name for path in local.iterdir()] == [EVENTS]


def test_search_of_a_killed_driver_exists_though_it_was_not_published(tmp_path: Path) -> None:
    begun(uri(tmp_path / "store"))
    with pytest.raises(InputError, match="exists"):
        find_folder(uri(tmp_path / "store"), "n", resume=False)


def test_storage_that_cannot_be_reached_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="nosuchscheme"):
        find_folder("nosuchscheme://bucket", "n", resume=False)


def test_the_probe_is_gone_after_the_storage_was_tried(tmp_path: Path) -> None:
    local = begun(uri(tmp_path / "store"))
    assert [path.name for path in local.iterdir()] == [EVENTS]
    assert list((tmp_path / "store" / "n").iterdir()) == []
