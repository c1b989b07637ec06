"""TensorBoard files: curves for each trial, and the HParams page.

A trial's file depends on its record alone, byte for byte: a later driver on another machine, and
`search/export.py`, write the same file from the log.

All trials have the same keys on the HParams page: where keys differ, TensorBoard shows only some of
the trials. A param that a trial does not have reads "n/a".
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from pathlib import Path
from typing import Any

import google_crc32c
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.metadata import (
    SESSION_END_INFO_TAG,
    create_summary_metadata,
)
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from torch.utils.tensorboard.summary import hparams

from search.log.history import History
from search.log.trial import TrialRecord
from search.report.importance import usual_order
from spaces.params import Param
from trainable.cache.files import write_bytes
from trainable.component import Value
from trainable.metrics import score_keys
from trainable.tasks import Tasks
from trainable.training.step import step_metrics

TENSORBOARD = "tensorboard"  # below the folder of the search
_Cell = str | float | bool  # of the HParams page
# Status of a trial -> that of the HParams page; where it may go on, TensorBoard says "unknown".
_STATUSES = {"done": "STATUS_SUCCESS", "stopped": "STATUS_SUCCESS", "failed": "STATUS_FAILURE"}
_LEARNING = ("dev_loss", "matthews", "top_share")  # parts of `learning` that are shown
_N_SHOWN = 5  # params that the HParams page shows before one asks for more
_VERSION = "brain.Event:2"  # of the format, in the first record of a file

PROGRESS = "progress/units"  # units that the trial finished
DONE = "progress/done"  # 1 for a trial that trained to the end, 0 for one that ended before
_GROUPS = {  # end or beginning of a key -> its group on the page of scalars; else it is of a task
    r".*_loss": "losses",
    r".*_seconds": "times",
    r"(score|score_2024|learned)": "score",
    r"(cosine|conflict)_.*": "gradients",
    r"progress/.*": "",
}


@lru_cache(maxsize=256)
def tag_of(key: str) -> str:
    """Return the tag of a number that trials report, such as `losses/sst_loss`."""
    found = (group for form, group in _GROUPS.items() if re.fullmatch(form, key))
    return f"{next(found, 'tasks')}/{key}".removeprefix("/")


class TensorBoard:
    """Files of all trials.

    Args:
        folder: Local folder of the search.
        params: All params of the search space.
        tasks: The tasks of the search.
    """

    def __init__(self, folder: Path, params: tuple[Param, ...], tasks: Tasks) -> None:
        self._folder, self._params, self._tasks = folder, params, tasks

    def write_all(self, history: History) -> None:
        """Restore the files of an earlier driver that are missing or incomplete.

        A kill can damage only the files of trials that were running, and of the one that the last
        event is of. So this must be called while the history still says which trials those are.
        """
        last = max((trial.ended for trial in history.trials.values()), default=0.0)
        for trial in history.trials.values():
            there = (self._folder / tensorboard_path(trial)).exists()
            may_be_torn = trial.is_open or trial.ended == last or not there
            if trial.id and may_be_torn:  # the trial has been started
                self.write(trial)

    def write(self, trial: TrialRecord) -> None:
        """Bring the file of a trial up to date with its record."""
        path = self._folder / tensorboard_path(trial)
        wanted = tensorboard_file(trial, self._params, self._tasks)
        there = path.read_bytes() if path.exists() else b""
        if wanted.startswith(there):  # TensorBoard goes on reading a file that grows
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.write(wanted[len(there) :])
        else:  # for example a torn file of an earlier driver
            write_bytes(path, wanted)


def tensorboard_path(trial: TrialRecord) -> str:
    """Return the path of a trial's file below the folder of its search."""
    return f"{TENSORBOARD}/trial_{trial.number:04d}/events.out.tfevents.{trial.started:.0f}.search"


def tensorboard_file(trial: TrialRecord, params: tuple[Param, ...], tasks: Tasks) -> bytes:
    """Return the content of a trial's file: its line on the HParams page, its points, its end.

    The steps of the curves are training tokens.

    Args:
        trial: Record of the trial.
        params: All params of the search space.
        tasks: The tasks of the search.
    """
    scores = score_keys(tasks)
    shares = (f"{task}_{what}" for what in _LEARNING for task in tasks)
    times = ("train_seconds", "eval_seconds")
    scalars = tuple(dict.fromkeys((*scores, "learned", *step_metrics(tasks), *shares, *times)))
    values = tuple((param.name, _shown(param, trial.params)) for param in usual_order(params))
    columns = (*map(tag_of, scores), PROGRESS, DONE)
    records = [_head(trial.number, trial.started, values, columns)]
    for unit, metrics in trial.reports.items():
        known = {key: metrics[key] for key in scalars if metrics.get(key) is not None}
        known[PROGRESS] = float(unit)
        points = [Summary.Value(tag=tag_of(key), simple_value=own) for key, own in known.items()]
        time, step = trial.reported[unit], int(metrics["tokens"] or 0)
        records.append(_record(Event(wall_time=time, step=step, summary=Summary(value=points))))
    if trial.status in _STATUSES:
        step = int(trial.last.get("tokens") or 0)
        records.append(_record(Event(wall_time=trial.ended, step=step, summary=_end(trial))))
    return b"".join(records)


@lru_cache(maxsize=256)  # a running trial needs its own again with every report
def _head(
    number: int, started: float, values: tuple[tuple[str, _Cell], ...], scores: tuple[str, ...]
) -> bytes:
    """Return the records of a trial's file that come before its curves."""
    types = tuple((name, type(value)) for name, value in values)
    pages = (_columns(types, scores), _line(number, started, dict(values)))
    records = [Event(wall_time=started, file_version=_VERSION)]
    records += [Event(wall_time=started, summary=page) for page in pages]
    return b"".join(map(_record, records))


def _record(event: Event) -> bytes:
    """Return the record of an event: its length and its content, each with a checksum.

    Source: TensorFlow's TFRecord format. TensorBoard's own writer computes the checksum in Python,
    which was a twentieth of the driver's time for a trial without training.
    """
    data = _bytes(event)
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def _checksum(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    masked = (crc >> 15 | crc << 17) + 0xA282EAD8
    return struct.pack("<I", masked & 0xFFFFFFFF)


@lru_cache(maxsize=1)  # slow, and the same for all trials of a search
def _columns(types: tuple[tuple[str, type], ...], scores: tuple[str, ...]) -> Any:
    """Return the columns of the HParams page.

    TensorBoard sorts params by name, behind those that are said to differ, and shows the first few.
    """
    empty = {name: of() for name, of in types}
    page = hparams(empty, dict.fromkeys(scores, 0.0))[0]  # type: ignore[no-untyped-call]
    plugin = page.value[0].metadata.plugin_data
    data = HParamsPluginData.FromString(plugin.content)
    first = {name for name, _ in types[:_N_SHOWN]}
    for param in data.experiment.hparam_infos:
        param.differs = param.name in first
    plugin.content = _bytes(data)
    return page


def _line(number: int, started: float, values: dict[str, _Cell]) -> Summary:
    """Return a trial's line of the HParams page."""
    page = hparams_pb(values, f"trial_{number:04d}", started)
    plugin = page.value[0].metadata.plugin_data
    plugin.content = _bytes(HParamsPluginData.FromString(plugin.content))
    return page


def _end(trial: TrialRecord) -> Summary:
    """Return how a trial ended, for its line on the HParams page."""
    end = SessionEndInfo(status=Status.Value(_STATUSES[trial.status]), end_time_secs=trial.ended)
    data = HParamsPluginData(session_end_info=end)
    session = Summary.Value(tag=SESSION_END_INFO_TAG, metadata=create_summary_metadata(data))
    done = Summary.Value(tag=DONE, simple_value=float(trial.status == "done"))
    return Summary(value=[session, done])


def _bytes(message: Any) -> bytes:
    """Return the bytes of a message; equal messages give equal bytes in every process."""
    return bytes(message.SerializeToString(deterministic=True))


def _shown(param: Param, params: dict[str, Value]) -> _Cell:
    """Return the cell of a param.

    A column needs one type, so params that some trials lack are text in every trial.
    """
    if param.parents:
        value = params.get(param.name, "n/a")
        return f"{value:.4g}" if isinstance(value, float) else str(value)
    value = params[param.name]
    return value if isinstance(value, bool | str) else float(value)
