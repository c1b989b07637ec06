from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from tests.chaos.metadata import PATH, Metadata
from trainable.errors import InputError
from trainable.worker.spot_notice import (
    ADDRESS_VARIABLE,
    SpotNotice,
    SpotWatcher,
    parse_notice,
    watch_spot,
)

NOTICE = {"action": "terminate", "time": "2026-09-18T08:22:00Z"}
DEADLINE = datetime(2026, 9, 18, 8, 22, tzinfo=UTC).timestamp()
PATIENCE_SECONDS = 30.0


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    with Metadata() as server:
        yield server


@pytest.fixture
def watch() -> Iterator[Callable[[str], SpotWatcher]]:
    """Return a function that watches an address."""
    watchers: list[SpotWatcher] = []

    def start(address: str) -> SpotWatcher:
        watchers.append(SpotWatcher(address, seconds=0.01, timeout=0.2))
        return watchers[-1]

    yield start
    for watcher in watchers:
        stop(watcher)


Watch = Callable[[str], SpotWatcher]


def stop(watcher: SpotWatcher) -> None:
    watcher.stop()
    watcher._thread.join(PATIENCE_SECONDS)
    assert not watcher._thread.is_alive()


def ended(watcher: SpotWatcher) -> SpotNotice | None:
    """Wait until a watcher asks no more; returns what it was told."""
    watcher._thread.join(PATIENCE_SECONDS)
    assert not watcher._thread.is_alive()
    return watcher.notice


def test_nothing_is_said_until_the_notice_comes(metadata: Metadata, watch: Watch) -> None:
    watcher = watch(metadata.address)
    metadata.wait_for(3)
    assert watcher.notice is None
    metadata.answers = [(200, json.dumps(NOTICE))]
    assert ended(watcher) == SpotNotice("terminate", DEADLINE)
    assert metadata.asked[0] == "PUT /latest/api/token"


def test_tokens_may_be_good_for_one_question_only(metadata: Metadata, watch: Watch) -> None:
    metadata.tokens = 1
    metadata.answers = [(404, ""), (404, ""), (200, json.dumps(NOTICE))]
    assert ended(watch(metadata.address)) is not None
    assert metadata.asked == ["PUT /latest/api/token", f"GET {PATH}"] * 3


@pytest.mark.parametrize(
    "answer",
    [
        None,
        (500, json.dumps(NOTICE)),
        (200, ""),
        (200, "<html>"),
        (200, "[]"),
        (200, '{"action": "terminate"}'),
        (200, '{"action": "terminate", "time": "soon"}'),
        (200, '{"action": "terminate", "time": "2026-09-18T08:22:00"}'),
        (200, '{"action": null, "time": "2026-09-18T08:22:00Z"}'),
        (200, "\xff"),
    ],
    ids=str,
)
def test_what_is_no_answer_is_no_notice_and_said_once(
    metadata: Metadata,
    watch: Watch,
    caplog: pytest.LogCaptureFixture,
    answer: tuple[int, str] | None,
) -> None:
    metadata.answers = [answer, answer, (404, ""), (200, json.dumps(NOTICE))]
    assert ended(watch(metadata.address)) == SpotNotice("terminate", DEADLINE)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert said[0].startswith(f"no answer about spot from {metadata.address}: ")
    assert said[1].startswith("spot notice: terminate at ")


def test_nobody_at_the_address_is_no_notice(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    watcher = watch(f"http://127.0.0.1:{port}")
    stop(watcher)
    assert watcher.notice is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_no_proxy_is_asked(
    metadata: Metadata, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    metadata.answers = [(200, json.dumps(NOTICE))]
    assert ended(watch(metadata.address)) is not None


def test_a_notice_says_what_and_when() -> None:
    notice = parse_notice(json.dumps(NOTICE))
    text = str(notice)
    assert text.startswith("spot notice: terminate at 2026-09-")
    assert datetime.fromisoformat(text.split()[-1]).timestamp() == DEADLINE


def test_without_an_address_nothing_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ADDRESS_VARIABLE, raising=False)
    n_threads = threading.active_count()
    assert watch_spot() is None
    assert threading.active_count() == n_threads


def test_the_address_is_that_of_the_environment(
    metadata: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata.answers = [(200, json.dumps(NOTICE))]
    monkeypatch.setenv(ADDRESS_VARIABLE, f"{metadata.address}/")
    watcher = watch_spot()
    assert watcher is not None
    assert ended(watcher) is not None


def test_what_is_no_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS_VARIABLE, "yes")
    with pytest.raises(InputError, match="MTBERT_SPOT_METADATA='yes': should be the address"):
        watch_spot()
