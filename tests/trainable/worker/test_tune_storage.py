from __future__ import annotations

import errno
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.fs
import pytest
from ray import tune
from ray.train._internal.storage import StorageContext

from trainable.worker.ray_trainable import MultitaskTrainable
from trainable.worker.tune_storage import save_in_place


class Small(MultitaskTrainable):
    """Trains nothing and writes one file; the disk is full if it is told so."""

    is_full = False

    def setup(self, config: dict[str, Any]) -> None:
        pass

    def step(self) -> dict[str, Any]:
        return {"unit": self.iteration + 1}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        Path(checkpoint_dir, "state").write_text(str(self.iteration))
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        self.loaded = Path(checkpoint_dir, "state").read_text()


class TunesOwn(Small):
    save = tune.Trainable.save


def storage(folder: Path, filesystem: pyarrow.fs.FileSystem | None = None) -> StorageContext:
    """Return what a driver sends to its actors."""
    path = str(folder / "runs") if filesystem is None else "runs"
    return StorageContext(path, "search", None, filesystem, "trial_0003_abc")


def new(kind: type[Small], context: StorageContext) -> Any:
    trial: Any = kind()
    trial._storage = context  # given to it by an actor, it would ask Ray where to log
    return trial


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


def files(folder: Path) -> dict[str, str]:
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    return {name: path.read_text() for name, path in found.items()}


def test_what_tune_gets_and_what_is_written_is_as_if_tune_had_done_it(tmp_path: Path) -> None:
    found = {}
    for kind in (Small, TunesOwn):
        folder = tmp_path / kind.__name__
        trial = new(kind, storage(folder))
        saved = []
        for _ in range(2):
            trial.train()
            saved.append(trial.save())
        paths = [Path(s.checkpoint.path).relative_to(folder).as_posix() for s in saved]
        units = [s.metrics["unit"] for s in saved]
        trial.restore(saved[0])
        found[kind] = (paths, units, trial.loaded, trial.iteration, files(folder))
    assert found[Small] == found[TunesOwn]
    assert found[Small][0][1] == "runs/search/trial_0003_abc/checkpoint_000001"


def test_nothing_is_written_twice(tmp_path: Path, temporary: Path) -> None:
    trial = new(Small, storage(tmp_path))
    trial.train()

    def write(checkpoint_dir: str) -> None:
        Path(checkpoint_dir, "state").write_text("1")
        assert list(temporary.iterdir()) == []
        assert Path(checkpoint_dir).name == "checkpoint_000000.part"

    trial.save_checkpoint = write
    trial.save()
    assert not list(tmp_path.rglob("*.part"))


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    trial = new(Small, storage(tmp_path))
    trial.train()
    trial.is_full = True
    with pytest.raises(OSError, match="No space left"):
        trial.save()
    assert not list(tmp_path.rglob("checkpoint_*"))
    trial.is_full = False
    assert Path(trial.save().checkpoint.path, "state").exists()


def test_what_a_killed_worker_left_is_replaced(tmp_path: Path) -> None:
    context = storage(tmp_path)
    left = Path(context.trial_fs_path) / "checkpoint_000000"
    for folder in (left, left.with_name("checkpoint_000000.part")):
        folder.mkdir(parents=True)
        (folder / "torn").write_text("")
    trial = new(Small, context)
    trial.train()
    trial.save()
    assert sorted(p.name for p in left.iterdir()) == ["state"]
    assert [p.name for p in left.parent.iterdir()] == ["checkpoint_000000"]


def test_a_node_without_the_folder_of_the_search_says_so(tmp_path: Path) -> None:
    trial = new(Small, storage(tmp_path))
    trial.train()
    shutil.rmtree(tmp_path / "runs")  # the driver made it, on its own machine
    with pytest.raises(RuntimeError, match="access to the configured storage path"):
        trial.save()


def test_other_storages_are_left_to_tune(tmp_path: Path) -> None:
    remote = pyarrow.fs.SubTreeFileSystem(str(tmp_path), pyarrow.fs.LocalFileSystem())
    trial = new(Small, storage(tmp_path, remote))
    trial.train()
    assert save_in_place(trial) is None
    saved = trial.save().checkpoint
    assert saved.path == "runs/search/trial_0003_abc/checkpoint_000000"
    assert files(tmp_path / saved.path) == {"state": "1"}


def test_outside_of_tune_there_is_no_storage(tmp_path: Path) -> None:
    trial = Small()
    trial.train()
    assert save_in_place(trial) is None
    assert Path(trial.save(str(tmp_path)).checkpoint.path) == tmp_path
