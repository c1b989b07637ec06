from __future__ import annotations

from pathlib import Path

import pytest

from search.log.events import EventLog, new_event
from search.log.find_folder import find_folder
from search.log.folder import EVENTS, SearchFolder, inside
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


def test_published_search_is_fetched_on_another_machine(tmp_path: Path) -> None:
    local = begun(uri(tmp_path / "store"))
    text = (local / EVENTS).read_text()
    find_folder(uri(tmp_path / "store"), "n", resume=True).publish()
    (local / EVENTS).unlink()
    folder = find_folder(uri(tmp_path / "store"), "n", resume=True)
    assert folder.fetch_log().read_text() == text


FIRST, MORE, OTHER = b'{"event": "search"}\n', b'{"event": "one"}\n', b'{"event": "two"}\n'


def logs(tmp_path: Path, here: bytes, there: bytes) -> SearchFolder:
    """Return a search with a log on this machine and one in its storage."""
    begun(uri(tmp_path / "store"))
    folder = find_folder(uri(tmp_path / "store"), "n", resume=True)
    (folder.local / EVENTS).write_bytes(here)
    (tmp_path / "store" / "n" / EVENTS).write_bytes(there)
    return folder


@pytest.mark.parametrize(
    ("here", "there", "taken"),
    [
        (FIRST, FIRST + MORE, "there"),
        (FIRST + MORE, FIRST, "here"),
        (FIRST + MORE, FIRST + MORE, "here"),
        (FIRST + MORE[:9], FIRST + MORE, "there"),  # killed while it wrote; copied later
        (FIRST + OTHER[:9], FIRST + MORE, "there"),  # went on elsewhere, without what is torn
        (FIRST + MORE, FIRST + MORE[:9], "here"),  # copied while it was written
        (FIRST + MORE[:9] + b"\n" + OTHER, FIRST + MORE[:9], "here"),
        (FIRST + MORE[:9], FIRST + MORE[:9] + b"\n" + OTHER, "there"),
        (FIRST[:9], FIRST, "there"),
        (FIRST, b"", "here"),
    ],
)
def test_the_log_that_goes_further_is_the_newer(
    tmp_path: Path, here: bytes, there: bytes, taken: str
) -> None:
    log = logs(tmp_path, here, there).fetch_log()
    assert log.read_bytes() == {"here": here, "there": there}[taken]


@pytest.mark.parametrize("longer", [b"", MORE])
def test_a_log_that_forks_is_refused_with_both_places(tmp_path: Path, longer: bytes) -> None:
    folder = logs(tmp_path, FIRST + OTHER + longer, FIRST + MORE + MORE)
    with pytest.raises(InputError, match="two drivers went on") as caught:
        folder.fetch_log()
    assert f"{folder.local}/{EVENTS} and {EVENTS} in {folder.uri}" in str(caught.value)
    assert "move the other away" in str(caught.value)
    (folder.local / EVENTS).unlink()
    assert folder.fetch_log().read_bytes() == FIRST + MORE + MORE


def test_a_local_log_is_where_it_is(tmp_path: Path) -> None:
    local = begun(str(tmp_path / "runs"))
    folder = find_folder(str(tmp_path / "runs"), "n", resume=True)
    assert not folder.is_copied
    assert folder.fetch_log() == local / EVENTS
    folder.publish()
    assert [path.name for path in local.iterdir()] == [EVENTS]


def test_the_probe_is_gone_after_the_storage_was_tried(tmp_path: Path) -> None:
    local = begun(uri(tmp_path / "store"))
    assert [path.name for path in local.iterdir()] == [EVENTS]
    assert list((tmp_path / "store" / "n").iterdir()) == []


def kept(tmp_path: Path, scheme: str) -> tuple[SearchFolder, Path]:
    """Return a search, and the folder that its storage has of it."""
    folder = find_folder(f"{scheme}{tmp_path / 'store'}", "n", resume=False)
    folder.make()
    return folder, tmp_path / "store" / "n"


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_folder_is_read_and_deleted_wherever_it_is(tmp_path: Path, scheme: str) -> None:
    folder, there = kept(tmp_path, scheme)
    (there / "t" / "c" / "deep").mkdir(parents=True)
    (there / "t" / "c" / "deep" / "file").write_bytes(b"content")
    assert folder.read("t/c/deep/file") == b"content"
    folder.delete("t/c")
    assert not (there / "t" / "c").exists()
    folder.delete("t/c")  # it is gone already
    with pytest.raises(FileNotFoundError):
        folder.read("t/c/deep/file")


def test_an_empty_folder_of_a_trial_goes_and_one_with_more_in_it_stays(tmp_path: Path) -> None:
    folder, there = kept(tmp_path, "")
    for name in ("one", "two"):
        (there / "t" / name).mkdir(parents=True)
    folder.delete("t/one")
    assert [path.name for path in (there / "t").iterdir()] == ["two"]
    folder.delete("t/two")
    assert list(there.iterdir()) == []


OUTSIDE = ["a/../../b", "../b", "..", "/b", "//b", "", ".", "a/..", "./"]


@pytest.mark.parametrize("scheme", ["", "file://"])
@pytest.mark.parametrize("path", OUTSIDE)
def test_nothing_outside_the_folder_is_read_or_deleted(
    tmp_path: Path, scheme: str, path: str
) -> None:
    folder, there = kept(tmp_path, scheme)
    for own in (there / "a", there / "b", there.parent / "b"):
        own.mkdir()
        (own / "file").write_bytes(b"content")
    for refused in (folder.delete, folder.read):
        with pytest.raises(InputError, match="not below the folder of the search") as caught:
            refused(path)
        assert repr(path) in str(caught.value)
    for own in (there / "a", there / "b", there.parent / "b"):
        assert (own / "file").read_bytes() == b"content"


@pytest.mark.parametrize("path", ["trial_0000_a/checkpoint_000001", "a/b..c/..d", "./a/b"])
def test_what_is_below_the_folder_is_inside(path: str) -> None:
    assert inside(path) == path


def test_only_what_is_named_is_published(tmp_path: Path) -> None:
    folder, there = kept(tmp_path, "file://")
    for name in ("file", "folder/deep/file", "other"):
        (folder.local / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.local / name).write_text(name)
    folder.publish("file", "folder")
    found = {str(p.relative_to(there)) for p in there.rglob("*") if p.is_file()}
    assert found == {"file", "folder/deep/file"}
    assert (there / "folder/deep/file").read_text() == "folder/deep/file"


@pytest.mark.parametrize(
    ("storage", "uri"),
    [
        ("/a/b", "/a/b/n"),
        ("/a/b/", "/a/b/n"),
        ("/a?b", "/a?b/n"),
        ("s3://bucket/runs", "s3://bucket/runs/n"),
        ("s3://bucket/runs/?region=eu-west-1", "s3://bucket/runs/n?region=eu-west-1"),
    ],
)
def test_the_uri_of_a_search_leads_back_to_it(storage: str, uri: str) -> None:
    folder = SearchFolder("n", storage, Path("/local/n"))
    assert folder.uri == uri
    assert folder.is_copied == ("://" in storage)
    here = folder.on_this_machine()
    assert (here.uri, here.is_copied, here.local) == ("/local/n", False, folder.local)


@pytest.mark.parametrize("end", ["", "/"])
def test_the_path_in_the_storage_has_one_slash_before_the_name(tmp_path: Path, end: str) -> None:
    folder = SearchFolder("n", f"file://{tmp_path}/store{end}", tmp_path / "n")
    assert folder.location()[1] == f"{tmp_path}/store/n"


def test_a_log_that_is_published_again_is_never_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver is killed while it copies: the storage still has the log of before."""
    folder, there = kept(tmp_path, "file://")
    (folder.local / EVENTS).write_bytes(FIRST)
    folder.publish_log(folder.log_bytes)

    def fail(self: Path) -> bytes:
        raise OSError("killed")

    (folder.local / EVENTS).write_bytes(FIRST + MORE)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fail)
        with pytest.raises(OSError, match="killed"):
            folder.publish_log(folder.log_bytes)
    assert (there / EVENTS).read_bytes() == FIRST
    folder.publish_log(folder.log_bytes)
    assert (there / EVENTS).read_bytes() == FIRST + MORE


def test_a_folder_that_can_be_made_is_not_made_by_looking(tmp_path: Path) -> None:
    find_folder(str(tmp_path / "a" / "b"), "n", resume=False).check()
    find_folder(uri(tmp_path / "a" / "b"), "n", resume=False).check()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_this_user_may_not_write_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)  # root may write to all
    with pytest.raises(InputError, match="may not write to") as caught:
        find_folder(str(tmp_path / "a"), "n", resume=False).check()
    assert str(caught.value).startswith(f"--storage '{tmp_path}/a' cannot be written: ")
