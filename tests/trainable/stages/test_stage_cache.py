"""Cached results of stages: what is kept, what is refused, and two processes that need the same."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from trainable.errors import InputError
from trainable.model.weights import Parameters
from trainable.stages import stage_cache
from trainable.stages.stage_cache import StageCache, identity_key

IDENTITY = {"stage": {"kind": "mlm", "lr": 1e-4}, "seed": 0, "start": "abc"}
KEY = identity_key(IDENTITY)


def weights(value: float = 1.0) -> Parameters:
    return {"a": torch.full((3, 4), value), "b": torch.arange(5.0)}


def never() -> Parameters:
    raise AssertionError("computed what was there already")


def get(cache: StageCache, value: float = 1.0) -> tuple[Parameters, bool]:
    return cache.get(IDENTITY, lambda: weights(value), lambda: None)


def test_what_was_computed_is_there_afterwards_bit_for_bit(tmp_path: Path) -> None:
    cache = StageCache(tmp_path / "stages")
    assert cache.find(IDENTITY) is None
    computed, cached = get(cache)
    assert not cached
    assert torch.equal(computed["a"], weights()["a"])
    read, cached = StageCache(tmp_path / "stages").get(IDENTITY, never, lambda: None)
    assert cached
    assert read.keys() == weights().keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in weights().items())
    record = json.loads((tmp_path / "stages" / KEY / "stage.json").read_text())
    assert record["depends_on"] == IDENTITY


def test_another_identity_is_another_result(tmp_path: Path) -> None:
    cache = StageCache(tmp_path)
    get(cache)
    assert cache.find({**IDENTITY, "seed": 1}) is None
    # The order of the keys says nothing.
    assert identity_key(dict(reversed(IDENTITY.items()))) == KEY
    assert identity_key({**IDENTITY, "seed": 1}) != KEY


def tear_weights(folder: Path) -> None:
    path = folder / "encoder.safetensors"
    path.write_bytes(path.read_bytes()[:-8])


def flip_a_bit(folder: Path) -> None:
    path = folder / "encoder.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def lose_record(folder: Path) -> None:
    (folder / "stage.json").unlink()


def tear_record(folder: Path) -> None:
    (folder / "stage.json").write_text('{"key": "')


def foreign_record(folder: Path) -> None:
    (folder / "stage.json").write_text('["no", "record"]')


def copy_of_another(folder: Path) -> None:
    record = json.loads((folder / "stage.json").read_text())
    (folder / "stage.json").write_text(json.dumps({**record, "key": "0" * 64}))


@pytest.mark.parametrize(
    "damage",
    [tear_weights, flip_a_bit, lose_record, tear_record, foreign_record, copy_of_another],
)
def test_a_folder_that_is_not_whole_is_computed_again(
    damage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = StageCache(tmp_path)
    get(cache)
    damage(tmp_path / KEY)
    assert cache.find(IDENTITY) is None
    with caplog.at_level(logging.WARNING):
        computed, cached = get(cache, 2.0)
    assert not cached
    assert "holds no whole result" in caplog.text
    assert float(computed["a"][0, 0]) == 2.0
    assert get(cache)[1]


def test_what_fails_leaves_nothing_and_the_next_one_computes(tmp_path: Path) -> None:
    cache = StageCache(tmp_path)

    def fail() -> Parameters:
        raise RuntimeError("diverged")

    with pytest.raises(RuntimeError, match="diverged"):
        cache.get(IDENTITY, fail, lambda: None)
    assert not list(tmp_path.glob("*/"))
    assert not get(cache)[1]


def test_leftovers_of_a_process_that_died_are_swept(tmp_path: Path) -> None:
    leftover = tmp_path / f".{KEY}.tmp"
    leftover.mkdir()
    (leftover / "encoder.safetensors").write_bytes(b"half")
    cache = StageCache(tmp_path)
    assert not get(cache)[1]
    assert get(cache)[1]
    assert not leftover.exists()


def test_a_full_disk_does_not_cost_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(path: Path, tensors: Parameters) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(stage_cache, "write_tensors", full)
    computed, cached = get(StageCache(tmp_path))
    assert not cached
    assert torch.equal(computed["a"], weights()["a"])
    assert "No space left on device" in caplog.text


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="set MTBERT_CACHE to a folder that can be written to"):
        get(StageCache(tmp_path / "file" / "stages"))


def test_a_result_of_another_user_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = StageCache(tmp_path)
    get(cache)

    def refuse(path: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "utime", refuse)
    assert get(cache, 2.0)[1]


def test_results_used_longest_ago_are_removed(tmp_path: Path) -> None:
    cache = StageCache(tmp_path)
    identities = [{"number": number} for number in range(4)]
    for age, identity in enumerate(reversed(identities[:3])):
        cache.get(identity, weights, lambda: None)
        seconds = 1_000_000.0 - age
        os.utime(tmp_path / identity_key(identity), (seconds, seconds))
    size = sum(file.stat().st_size for file in (tmp_path / identity_key(identities[0])).iterdir())
    assert cache.find(identities[0]) is not None  # used now
    small = StageCache(tmp_path, most_bytes=int(2.5 * size))
    small.get(identities[3], weights, lambda: None)
    there = [cache.find(identity) is not None for identity in identities]
    assert there == [True, False, False, True]


# A process that computes IDENTITY: it says so in a file, then waits until another file is there.
WORKER = """
import json, sys, time
from pathlib import Path
import torch
from trainable.stages.stage_cache import StageCache
folder, name = Path(sys.argv[1]), sys.argv[2]
def compute():
    (folder / f"computing-{name}").touch()
    while not (folder / "go").exists():
        time.sleep(0.01)
    return {"a": torch.ones(3)}
def wait():
    (folder / f"waiting-{name}").touch()
_, cached = StageCache(folder / "stages").get(json.loads(sys.argv[3]), compute, wait)
print("read" if cached else "computed")
"""


def start(folder: Path, name: str, repository: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder), name, json.dumps(IDENTITY)],
        env=os.environ | {"PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    for _ in range(30_000):  # a cache that is wrong must not hang the tests
        if path.exists():
            return
        assert process.poll() is None, f"the process ended before {path.name} was there"
        time.sleep(0.01)
    process.kill()
    pytest.fail(f"{path.name} did not appear in five minutes")


@pytest.mark.slow
def test_two_processes_compute_once(tmp_path: Path, repository: Path) -> None:
    first = start(tmp_path, "first", repository)
    wait_for(tmp_path / "computing-first", first)
    second = start(tmp_path, "second", repository)
    wait_for(tmp_path / "waiting-second", second)
    (tmp_path / "go").touch()
    assert first.communicate()[0].strip() == "computed"
    assert second.communicate()[0].strip() == "read"
    assert not (tmp_path / "computing-second").exists()


@pytest.mark.slow
def test_whoever_waits_computes_when_the_first_is_killed(tmp_path: Path, repository: Path) -> None:
    first = start(tmp_path, "first", repository)
    wait_for(tmp_path / "computing-first", first)
    second = start(tmp_path, "second", repository)
    wait_for(tmp_path / "waiting-second", second)
    first.send_signal(signal.SIGKILL)
    wait_for(tmp_path / "computing-second", second)
    (tmp_path / "go").touch()
    assert second.communicate()[0].strip() == "computed"
    assert first.wait() == -signal.SIGKILL
    assert StageCache(tmp_path / "stages").find(IDENTITY) is not None
