"""`--log wandb` offline: what the processes of Ray's callback write."""

from __future__ import annotations

import importlib.util
import json
import os
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.cluster.local_ray import shut_down, start_local
from search.cluster.trackers import check_trackers, shown_config
from search.log.trial import TrialRecord
from search.planning.options import SearchOptions
from trainable.errors import InputError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="needs the extra `wandb`"),
]
KEY = "0123456789" * 4
PARAMS = {"a.head": "mlp", "multitask.optimization.lr": 3e-5}
TRIAL = TrialRecord(3, PARAMS, {}, 0.0, 0.0, origin="default", slot_since=1.0)


@pytest.fixture(scope="module")
def _ray() -> Iterator[None]:
    start_local()
    yield
    shut_down()


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_DIR", "WANDB_PROJECT", "WANDB_BASE_URL", "WANDB_ENTITY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_API_KEY", KEY)


def records(path: Path) -> Iterator[Any]:
    """Read a file of W&B: protocol buffers in the blocks of LevelDB's log, behind seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, size, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # a whole record, or the end of one
            yield Record.FromString(whole)
            whole = b""


@pytest.mark.usefixtures("_ray")
def test_a_trial_that_pauses_and_is_promoted_is_one_whole_run(tmp_path: Path) -> None:
    from search.cluster.wandb_runs import WandbRuns

    runs = WandbRuns("search", "1.000", tmp_path)
    assert "WANDB_API_KEY" not in os.environ
    assert runs.where.startswith("group search of project multitask-bert-search, offline: ")
    first = {"score": 0.25, "x_loss": 1.5, "confirm_score": 0.1}
    second = {"score": 0.5, "x_loss": None}
    one = replace(TRIAL, reports={1: first})
    two = replace(TRIAL, reports={1: first, 2: second})
    runs.write(TRIAL)
    runs.write(one)
    runs.write(replace(one, slot_since=None, status="paused"))
    runs.write(one)
    runs.write(two)
    runs.write(replace(two, slot_since=None, status="done"))
    runs.write(replace(two, slot_since=None, status="done"))
    runs.close()

    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    found = list(records(file))
    (run,) = [record.run for record in found if record.HasField("run")]
    assert (run.display_name, run.run_group) == ("trial_0003", "search")
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert {k: v for k, v in config.items() if not k.startswith("_")} == shown_config(TRIAL)
    rows = [record.history.item for record in found if record.HasField("history")]
    points = [{i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in r} for r in rows]
    own = [{k: v for k, v in point.items() if not k.startswith("_")} for point in points]
    assert own == [
        {"training_iteration": 1, "score": 0.25, "x_loss": 1.5},
        {"training_iteration": 2, "score": 0.5},
    ]
    assert [point["_step"] for point in points] == [1, 2]
    assert found[-1].HasField("exit")


@pytest.mark.usefixtures("_ray")
def test_what_goes_wrong_in_a_process_is_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from search.cluster.wandb_runs import WandbRuns

    monkeypatch.setenv("WANDB_MODE", "nowhere")
    runs = WandbRuns("search", "1.000", tmp_path)
    runs.write(replace(TRIAL, reports={1: {"score": 0.5}}))
    with pytest.raises(Exception, match="mode"):
        runs.close()


def test_without_a_key_it_is_refused_unless_it_is_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    options = SearchOptions(log=("wandb",))
    check_trackers(options)
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.delenv("WANDB_API_KEY")
    with pytest.raises(InputError, match="--log wandb: there is no key of W&B here"):
        check_trackers(options)
