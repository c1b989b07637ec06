"""Tensors that processes share: computed once, mapped by all, never believed when torn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from torch import Tensor

import trainable.cache.cache
import trainable.cache.mapped
from trainable.cache.files import CACHE_VARIABLE
from trainable.cache.mapped import code_digest, mapped
from trainable.errors import InputError
from trainable.model.weights import read_shape, read_weights, shared_weights

Tensors = dict[str, Tensor]
TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.arange(5, dtype=torch.uint8)}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache" / "mapped"


def never() -> Tensors:
    raise AssertionError("computed what was there already")


def get(number: int = 0) -> Tensors:
    return mapped("test", {"number": number}, lambda: TENSORS)


def is_mapped(tensor: Tensor, folder: Path) -> bool:
    """Whether a tensor lies in memory that belongs to a file of the folder."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, path = line.split()[0], line.split(maxsplit=5)[5:]
        first, last = (int(end, 16) for end in span.split("-"))
        if first <= tensor.data_ptr() < last:
            return bool(path) and path[0].startswith(str(folder))
    return False


def test_what_was_computed_is_mapped_by_the_first_and_by_the_next(folder: Path) -> None:
    first, second = get(), mapped("test", {"number": 0}, never)
    for found in (first, second):
        assert found.keys() == TENSORS.keys()
        for name, tensor in TENSORS.items():
            assert torch.equal(found[name], tensor)
            assert found[name].dtype == tensor.dtype
            assert is_mapped(found[name], folder)
    assert not is_mapped(TENSORS["a"], folder)


def test_who_comes_second_waits_and_computes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_computing, go_on, asked = threading.Event(), threading.Event(), threading.Semaphore(0)

    class SeenLock(FileLock):
        def acquire(self, *given: Any, **named: Any) -> Any:
            asked.release()
            return super().acquire(*given, **named)

    def compute() -> Tensors:
        is_computing.set()
        assert go_on.wait(60)
        return TENSORS

    monkeypatch.setattr(trainable.cache.cache, "FileLock", SeenLock)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(mapped, "test", {}, compute)
        assert is_computing.wait(60)
        assert asked.acquire(timeout=60)
        second = threads.submit(mapped, "test", {}, never)
        assert asked.acquire(timeout=60)  # it found nothing, and asks for the lock
        assert not second.done()
        go_on.set()
        assert torch.equal(first.result()["a"], second.result()["a"])


def test_who_writes_has_a_page_of_its_own(folder: Path) -> None:
    get()["a"].zero_()
    assert torch.equal(mapped("test", {"number": 0}, never)["a"], TENSORS["a"])


def test_another_identity_or_kind_is_another_file(folder: Path) -> None:
    get()
    with pytest.raises(AssertionError, match="computed"):
        mapped("test", {"number": 1}, never)
    with pytest.raises(AssertionError, match="computed"):
        mapped("other", {"number": 0}, never)


def test_the_order_of_an_identity_does_not_matter(folder: Path) -> None:
    mapped("test", {"a": 1, "b": {"c": 2, "d": 3}}, lambda: TENSORS)
    mapped("test", {"b": {"d": 3, "c": 2}, "a": 1}, never)


def test_a_file_that_is_used_becomes_the_newest(folder: Path) -> None:
    get()
    (path,) = folder.glob("*.safetensors")
    os.utime(path, (1000, 1000))
    get()
    assert path.stat().st_mtime > 1000


def test_a_torn_file_is_computed_again(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    get()
    (path,) = folder.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    assert torch.equal(get()["a"], TENSORS["a"])
    assert "computed again" in caplog.text
    mapped("test", {"number": 0}, never)


def test_what_a_killed_process_left_goes_away(folder: Path) -> None:
    get()
    (path,) = folder.glob("*.safetensors")
    left = folder / f".{path.name}.123.tmp"
    path.rename(left)
    get()
    assert not left.exists()


def test_what_was_unused_for_longest_goes_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [get(number) for number in range(3)]
    paths = sorted(folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns)
    for age, path in zip((20, 30, 10), paths, strict=True):  # the second is the oldest
        os.utime(path, (1000 - age, 1000 - age))
    size = paths[0].stat().st_size
    monkeypatch.setattr(trainable.cache.mapped, "_MOST_BYTES", int(3.5 * size))
    get(3)
    assert [path.exists() for path in paths] == [True, False, True]
    assert torch.equal(kept[1]["a"], TENSORS["a"])  # mapped still


def test_a_cache_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(InputError, match="set MTBERT_CACHE to a folder that can be written to"):
        get()


def test_other_code_has_another_digest(tmp_path: Path) -> None:
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text("a = 1")
    other.write_text("b = 1")
    before = code_digest(one, other)
    assert code_digest(other, one) == before
    other.write_text("b = 2")
    assert code_digest(one, other) != before


def test_weights_are_shared_until_their_file_changes(folder: Path, minilm: Path) -> None:
    shape = read_shape(minilm)
    expected, found = read_weights(minilm, shape), shared_weights(minilm, shape)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    assert all(is_mapped(tensor, folder) for tensor in found.values())


def test_weights_of_a_changed_file_are_read_anew(
    folder: Path, minilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "encoder"
    copy.mkdir()
    (copy / "model.safetensors").write_bytes(b"one")
    given = iter(({"a": torch.zeros(1)}, {"a": torch.ones(1)}))
    monkeypatch.setattr("trainable.model.weights.read_weights", lambda folder, shape: next(given))
    shape = read_shape(minilm)
    first = shared_weights(copy, shape)
    assert shared_weights(copy, shape)["a"].item() == 0.0
    status = (copy / "model.safetensors").stat()
    (copy / "model.safetensors").write_bytes(b"two")  # the same size
    os.utime(copy / "model.safetensors", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert shared_weights(copy, shape)["a"].item() == 1.0
    assert first["a"].item() == 0.0


@pytest.mark.parametrize("changed", [None, "contents", "shape", "code"])
def test_weights_are_shared_by_what_they_depend_on(
    changed: str | None, minilm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of the file elsewhere has the same weights: its path and times do not matter."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        content = b"other" if changed == "contents" and name == "two" else b"same"
        (tmp_path / name / "model.safetensors").write_bytes(content)
    given = iter(({"a": torch.zeros(1)}, {"a": torch.ones(1)}))
    monkeypatch.setattr("trainable.model.weights.read_weights", lambda folder, shape: next(given))
    shape = read_shape(minilm)
    assert shared_weights(tmp_path / "one", shape)["a"].item() == 0.0
    if changed == "shape":
        shape = replace(shape, layer_norm_eps=2 * shape.layer_norm_eps)
    if changed == "code":
        monkeypatch.setattr("trainable.model.weights.code_digest", lambda *_: "other code")
    assert shared_weights(tmp_path / "two", shape)["a"].item() == (changed is not None)


# Opens inputs; says how much memory of its own that took, and what it computed for it.
_SCRIPT = """
import gc, json, pathlib, sys
import torch
import torch._dynamo  # 60 MB of code, which torch imports where a model is first made
from transformers import AutoTokenizer  # which is 17 MB of code, and loads the tokenizer
import trainable.model.encoder, trainable.model.weights
import trainable.training.inputs, trainable.training.shared_corpus
from trainable.model.encoder import EncoderConfig
from trainable.run_config import RunConfig

torch.set_num_threads(1)
computed = []

def counted(module, name):
    real = getattr(module, name)
    setattr(module, name, lambda *given: computed.append(name) or real(*given))

def own_bytes():
    gc.collect()
    text = pathlib.Path("/proc/self/smaps_rollup").read_text()
    return 1024 * next(int(l.split()[1]) for l in text.splitlines() if l.startswith("Anonymous"))

counted(trainable.model.weights, "read_weights")
counted(trainable.training.shared_corpus, "prepare")
before = own_bytes()
config = RunConfig(encoder=EncoderConfig(source=sys.argv[1]))
inputs = trainable.training.inputs.open_inputs(config, torch.device("cpu"))
held = [inputs.corpus.tokens, inputs.stage_inputs.own.tokens]
held += inputs.pretrained.parameters.values()
size = sum(t.numel() * t.element_size() for t in held)
checksum = sum(t.double().sum().item() for t in held)
grown = own_bytes() - before
print(json.dumps({"computed": computed, "grown": grown, "size": size, "checksum": checksum}))
"""


@pytest.mark.slow
def test_processes_that_start_together_compute_once_and_hold_nothing_of_their_own(
    minilm: Path, repository: Path
) -> None:
    environment = os.environ | {"PYTHONPATH": str(repository)}
    command = [sys.executable, "-c", _SCRIPT, str(minilm)]
    children = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    found: list[dict[str, Any]] = [json.loads(child.communicate()[0]) for child in children]
    assert sorted(found[0]["computed"] + found[1]["computed"]) == ["prepare", "read_weights"]
    assert found[0]["checksum"] == found[1]["checksum"]
    for own in found:
        assert own["size"] > 80e6
        assert own["grown"] < own["size"] / 2  # it holds ids and offsets, no weights
