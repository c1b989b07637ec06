from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from trainable.cache.files import (
    cache_folder,
    read_json,
    user_path,
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


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": math.nan})
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert json.loads(path.read_text()) == {"a": 1}


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


def test_a_user_s_path_is_absolute_and_no_pattern(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert user_path("~/x") == Path("/home/me/x")
    assert user_path("~nobody-of-this-name/x") == tmp_path / "~nobody-of-this-name" / "x"
    for name in ("a?b", "[a]*", "a#b", "100%25", "$HOME", "a b"):
        assert user_path(name) == tmp_path / name
