from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pyarrow
import pyarrow.fs
import pytest

from search.log.events import EventLog, new_event
from search.log.folder import EVENTS, SearchFolder
from search.log.mirror import Mirror


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    """A search whose storage is reached as a remote one is."""
    found = SearchFolder("search", f"file://{tmp_path / 'store'}", tmp_path / "local")
    found.make()
    log = EventLog(found.local / EVENTS)
    log.append(new_event("search"))
    log.close()
    return found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Seconds that pass when the test says so."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr("search.log.mirror.time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


def idle(folder: SearchFolder) -> Mirror:
    """Return a mirror whose thread has ended without a copy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mirror, "_run", lambda self: None)
        mirror = Mirror(folder)
        mirror._thread.join()
    return mirror


def grow(folder: SearchFolder) -> None:
    log = EventLog(folder.local / EVENTS)
    log.append(new_event("resumed"))
    log.close()


def copied(folder: SearchFolder) -> bytes:
    filesystem, path = folder.location()
    below = pyarrow.fs.SubTreeFileSystem(path, filesystem)
    with below.open_input_stream(EVENTS) as stream:
        return bytes(stream.read())


def waits(mirror: Mirror, count: int) -> list[float]:
    """Let the thread's loop copy so often; returns how long it would have waited each time."""
    found: list[float] = []

    def wait(seconds: float) -> bool:
        found.append(seconds)
        return len(found) == count

    mirror._stop.wait = wait  # type: ignore[method-assign,assignment]
    mirror._run()
    return found


def test_the_log_is_copied_whenever_it_has_grown(
    folder: SearchFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = idle(folder)
    mirror._copy()
    assert copied(folder) == (folder.local / EVENTS).read_bytes()
    grow(folder)
    assert copied(folder) != (folder.local / EVENTS).read_bytes()
    mirror._copy()
    assert copied(folder) == (folder.local / EVENTS).read_bytes()
    monkeypatch.setattr(
        SearchFolder, "publish_log", lambda self, n_bytes: pytest.fail("nothing is new")
    )
    assert mirror._copy() == 0.0


def test_it_copies_every_ten_seconds_and_less_often_where_that_takes_long(
    folder: SearchFolder, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    took = [0.1, 3.0, 0.1]

    def publish_log(self: SearchFolder, n_bytes: int) -> None:
        clock.now += took.pop(0)
        grow(folder)

    monkeypatch.setattr(SearchFolder, "publish_log", publish_log)
    mirror = idle(folder)
    assert waits(mirror, 3) == pytest.approx([10.0, 10.0, 60.0])


def test_it_remembers_since_when_the_storage_refuses(
    folder: SearchFolder, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: SearchFolder, n_bytes: int) -> None:
        clock.now += 1
        raise OSError(f"refused at {clock.now:.0f}")

    mirror = idle(folder)
    mirror._copy()
    with monkeypatch.context() as patch:
        patch.setattr(SearchFolder, "publish_log", refuse)
        grow(folder)
        assert mirror._copy() == 1.0
        clock.now = 1100.0
        mirror._copy()  # though the log has not grown: it has not been taken yet
        assert (mirror.error, mirror.failing_since) == ("refused at 1101", 1000.0)
    mirror._copy()
    assert (mirror.error, mirror.failing_since) == (None, None)
    assert copied(folder) == (folder.local / EVENTS).read_bytes()


def test_what_waits_for_a_copy_is_done_after_it_and_again_where_it_failed(
    folder: SearchFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = idle(folder)
    done: list[tuple[str, bytes]] = []

    def act(name: str) -> Callable[[], None]:
        return lambda: done.append((name, copied(folder)))

    def refuse() -> None:
        if not mirror.error:
            raise OSError("may not delete")
        done.append(("refused once", copied(folder)))

    grow(folder)
    for action in (act("first"), refuse, act("third")):
        mirror.after_copy(action)
    assert done == []
    with monkeypatch.context() as patch:
        patch.setattr(
            SearchFolder, "publish_log", lambda self, n_bytes: (folder.local / "no").read_bytes()
        )
        mirror._copy()
    assert done == []
    mirror.error = None
    mirror._copy()
    whole = (folder.local / EVENTS).read_bytes()
    assert (mirror.error, done) == ("may not delete", [("first", whole)])
    mirror._copy()
    names = ["first", "refused once", "third"]
    assert (mirror.error, done) == (None, [(name, whole) for name in names])
    mirror.after_copy(act("last"))  # though the log has not grown since
    mirror._copy()
    assert [name for name, _ in done] == [*names, "last"]


def test_what_comes_while_the_log_is_copied_waits_for_the_next_copy(
    folder: SearchFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy may know nothing of it."""
    mirror, publish_log, done = idle(folder), SearchFolder.publish_log, list[bytes]()

    def publish_and_grow(self: SearchFolder, n_bytes: int) -> None:
        publish_log(self, n_bytes)
        grow(self)
        mirror.after_copy(lambda: done.append(copied(folder)))

    with monkeypatch.context() as patch:
        patch.setattr(SearchFolder, "publish_log", publish_and_grow)
        mirror._copy()
    assert done == []
    whole = (folder.local / EVENTS).read_bytes()
    assert copied(folder) != whole
    mirror._copy()
    assert done == [whole]


def test_a_storage_that_is_gone_is_an_error_and_no_end_of_the_thread(
    folder: SearchFolder, tmp_path: Path
) -> None:
    mirror = idle(folder)
    store = tmp_path / "store"
    (store / "search").rmdir()
    store.rmdir()
    store.write_text("a file where the folder was")
    assert waits(mirror, 2)
    assert mirror.error is not None
    assert str(store) in mirror.error


def test_what_arrow_and_the_own_disk_raise_ends_no_thread_either(
    folder: SearchFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: SearchFolder, n_bytes: int) -> None:
        raise pyarrow.ArrowInvalid("not a path")

    mirror = idle(folder)
    monkeypatch.setattr(SearchFolder, "publish_log", refuse)
    assert waits(mirror, 2)
    assert mirror.error == "not a path"
    (folder.local / EVENTS).unlink()
    assert waits(mirror, 2)
    assert str(folder.local / EVENTS) in str(mirror.error)
    assert mirror.busy_since is None


def test_a_driver_that_another_one_has_overtaken_writes_and_deletes_nothing_more(
    folder: SearchFolder, tmp_path: Path
) -> None:
    mirror = idle(folder)
    mirror._copy()
    other = SearchFolder(folder.name, folder.storage, tmp_path / "other")
    other.fetch_log()
    grow(other)
    later = idle(other)
    later._copy()
    theirs = copied(folder)
    grow(folder)
    grow(folder)
    mirror.after_copy(lambda: pytest.fail("the other driver may need it"))
    mirror._copy()
    mirror._copy()
    assert (mirror.is_overtaken, mirror.error) == (True, None)
    assert mirror.close() == "is written by another driver of this search"
    grow(other)
    later._copy()
    assert (later.is_overtaken, later.close()) == (False, "")
    assert copied(folder) == (other.local / EVENTS).read_bytes() != theirs


def test_a_copy_whose_answer_was_lost_is_no_other_driver(
    folder: SearchFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror, publish_log = idle(folder), SearchFolder.publish_log

    def publish(self: SearchFolder, n_bytes: int) -> None:
        publish_log(self, n_bytes)
        raise OSError("timeout")

    mirror._copy()
    grow(folder)
    with monkeypatch.context() as patch:
        patch.setattr(SearchFolder, "publish_log", publish)
        mirror._copy()
    assert mirror.error == "timeout"
    grow(folder)
    mirror._copy()
    assert (mirror.error, mirror.is_overtaken) == (None, False)
    assert copied(folder) == (folder.local / EVENTS).read_bytes()


class Busy:
    """A thread that is at another action each time somebody has waited for it, and then ends."""

    def __init__(self, mirror: Mirror, n_actions: int) -> None:
        self._mirror, self.n_left = mirror, n_actions

    def is_alive(self) -> bool:
        return self.n_left > 0

    def join(self, seconds: float) -> None:
        assert seconds == 60.0
        self.n_left -= 1
        self._mirror.busy_since = 1000.0 - self.n_left


def test_it_waits_as_long_as_one_action_follows_another(folder: SearchFolder) -> None:
    mirror = idle(folder)
    mirror._thread = busy = Busy(mirror, 6)  # type: ignore[assignment]
    assert mirror.close() == ""
    assert busy.n_left == 0


def test_it_says_what_hangs_and_waits_no_longer_than_a_minute_for_it(
    folder: SearchFolder, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, end = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        end.wait()

    def publish_log(self: SearchFolder, n_bytes: int) -> None:
        clock.now += 7

    monkeypatch.setattr(SearchFolder, "publish_log", publish_log)
    monkeypatch.setattr("search.log.mirror._SECONDS", 0.001)
    # The thread may copy once before it is given what hangs; it then waits by the real clock.
    monkeypatch.setattr("search.log.mirror._SECONDS_PER_COPYING_SECOND", 0)
    monkeypatch.setattr("search.log.mirror._CLOSE_SECONDS", 0.001)
    mirror = Mirror(folder)
    mirror.after_copy(hang)
    begun.wait()
    assert mirror.busy_since in (1007.0, 1014.0)  # counted anew for each thing that is done
    assert mirror.close() == "does not answer"
    end.set()
    mirror._thread.join()
    assert mirror.close() == ""
    assert mirror.busy_since is None


def test_a_local_search_has_nothing_to_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = Mirror(SearchFolder("search", str(tmp_path), tmp_path / "search"))
    assert not mirror._thread.is_alive()
    done: list[str] = []
    mirror.after_copy(lambda: done.append("at once"))
    assert done == ["at once"]
    assert mirror.close() == ""


def test_the_thread_copies_and_ends(folder: SearchFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.log.mirror._SECONDS", 0.001)
    mirror = Mirror(folder)
    size: Callable[[], int] = (folder.local / EVENTS).stat().st_size.__int__
    while mirror._copied < size():
        mirror._thread.join(0.01)
    grow(folder)
    assert mirror.close() == ""
    assert not mirror._thread.is_alive()
    assert copied(folder) == (folder.local / EVENTS).read_bytes()


def test_what_a_local_storage_does_not_do_is_left(tmp_path: Path) -> None:
    """It is swept later, and what a search has left to do is not."""

    def refuse() -> None:
        raise OSError("a file in it is open elsewhere")

    mirror = Mirror(SearchFolder("search", str(tmp_path), tmp_path / "search"))
    mirror.after_copy(refuse)
    assert mirror.close() == ""


def test_a_storage_that_never_answers_does_not_keep_the_process_alive(folder: SearchFolder) -> None:
    mirror = idle(folder)
    assert mirror._thread.daemon
    assert mirror.busy_since is None  # nothing was asked of it yet
