from __future__ import annotations

import hashlib
import json
import locale
import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from trainable.cache.files import (
    cache_folder,
    file_digest,
    read_json,
    reading,
    user_path,
    write_bytes,
    write_json,
    write_tensors,
    write_text,
)
from trainable.errors import InputError


def test_what_is_written_is_read_and_nothing_else_stays(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "früher")
    write_text(tmp_path / "a.txt", "später")
    write_json(tmp_path / "a.json", {"a": [1, 2.5, None]})
    write_tensors(tmp_path / "a.safetensors", {"a": torch.arange(3)})
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "später"
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1, 2.5, None]}
    assert load_file(tmp_path / "a.safetensors")["a"].tolist() == [0, 1, 2]
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", "a.json", "a.safetensors"}


@pytest.fixture
def ascii_locale() -> Iterator[None]:
    """A locale whose encoding is ASCII, as a batch job may have."""
    before = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C")
    yield
    locale.setlocale(locale.LC_CTYPE, before)


@pytest.mark.usefixtures("ascii_locale")
def test_text_is_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    if not sys.flags.utf8_mode:
        with pytest.raises(UnicodeEncodeError):
            (tmp_path / "a.txt").write_text("ü")
    write_text(tmp_path / "a.txt", "über 你好 🙂")
    assert (tmp_path / "a.txt").read_bytes() == "über 你好 🙂".encode()
    write_text(tmp_path / "a.json", '{"Zoë": "你好"}')
    assert read_json(tmp_path / "a.json", "make one") == {"Zoë": "你好"}


def test_bytes_replace_the_old_file_and_nothing_else_stays(tmp_path: Path) -> None:
    for content in (b"\r\n\0\xff" * 3, b"", b"new"):
        write_bytes(tmp_path / "a", content)
        assert (tmp_path / "a").read_bytes() == content
        assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("write", [write_text, write_bytes, write_json, write_tensors])
def test_what_is_being_written_lies_beside_the_file_under_a_name_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, Any], None]
) -> None:
    """On the same file system, and where neither a reader nor another process looks."""
    value = {write_text: "a", write_bytes: b"a", write_json: 1, write_tensors: {}}[write]
    found, replace = list[Path](), Path.replace

    def replaced(self: Path, target: Path) -> Path:
        found.append(self)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", replaced)
    write(tmp_path / "a.json", value)
    monkeypatch.setattr(os, "getpid", lambda: 7)
    write(tmp_path / "a.json", value)
    assert {path.parent for path in found} == {tmp_path}
    assert len({path.name for path in found}) == 2  # one for each process
    assert all(path.name.startswith(".a.json.") for path in found)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": math.nan})
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert json.loads(path.read_text()) == {"a": 1}


def test_a_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a machine that loses its power may leave the name of a file without its content."""
    synced, named, replace = dict[int, bytes](), list[str](), Path.replace

    def fsync(file: int) -> None:
        own = os.fstat(file).st_ino
        synced[own] = next(p for p in tmp_path.iterdir() if p.stat().st_ino == own).read_bytes()

    def checked(self: Path, target: Path) -> Path:
        assert synced.get(self.stat().st_ino) == self.read_bytes() != b""
        named.append(target.name)
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", checked)
    write_text(tmp_path / "text", "a" * 100_000)
    write_bytes(tmp_path / "bytes", b"a" * 100_000)
    write_json(tmp_path / "json", {"a": 1})
    write_tensors(tmp_path / "tensors", {"a": torch.arange(3)})
    assert named == ["text", "bytes", "json", "tensors"]
    assert {path.name for path in tmp_path.iterdir()} == set(named)


def test_json_that_cannot_be_read_is_refused_by_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.json: no such file; make one"):
        read_json(tmp_path / "a.json", "make one")
    (tmp_path / "a.json").write_text('{"a": ')
    with pytest.raises(InputError, match=r"a\.json: not valid JSON"):
        read_json(tmp_path / "a.json", "make one")


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("MTBERT_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path("/home/somebody/.cache/multitask-bert-search")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder() == Path("/caches/multitask-bert-search")
    monkeypatch.setenv("MTBERT_CACHE", "/fast/disk")
    assert cache_folder() == Path("/fast/disk")


def test_a_user_s_path_is_taken_literally(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("X", "y")
    for name in ("a*", "b[1]", "run?", "a::b", "$X/a", "%41", "a/~"):
        assert str(user_path(name)) == f"{os.getcwd()}/{name}"
    assert user_path("~/data") == Path("/home/somebody/data")
    with pytest.raises(InputError, match=r"~nobody-here.*without ~"):
        user_path("~nobody-here/data")
    monkeypatch.setenv("MTBERT_CACHE", "~nobody-here/cache")
    with pytest.raises(InputError, match="~nobody-here"):
        cache_folder()


def test_errors_of_reading_name_the_path(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("gone")
    with pytest.raises(InputError, match=r"cannot read .*link \(a link to gone\): No such file"):
        file_digest(tmp_path / "link")
    with pytest.raises(InputError, match=r"cannot read \S*: Is a directory; check"):
        file_digest(tmp_path)
    long = tmp_path / ("x" * 300)  # whatever asks for its status fails, too
    with pytest.raises(InputError, match=r"cannot read .*x: File name too long"), reading(long):
        long.is_file()
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"bytes is not UTF-8 text"), reading(tmp_path / "bytes"):
        (tmp_path / "bytes").read_text(encoding="utf-8")


def test_a_digest_is_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_digest(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()[:16]
