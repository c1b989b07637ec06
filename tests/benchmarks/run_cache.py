"""Real training for benchmarks, a unit at a time; what was trained once is never trained again.

Training is deterministic, so the reports of a run depend on its configuration and its seed alone.
They are kept in files: an interrupted benchmark goes on where it stopped, and contestants that try
the same configuration share its training.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import OrderedDict
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from trainable.cache.files import write_json
from trainable.run_config import RunConfig
from trainable.training.inputs import InputsSpec, open_inputs
from trainable.training.loop import Run
from trainable.training.predictions import PREDICTIONS, write_probabilities
from trainable.worker.ray_trainable import MultitaskTrainable, report_keys

Report = dict[str, Any]  # what `MultitaskTrainable.step` returns: numbers, `unit` and `failure`


class StaleReports(Exception):
    """A run that was trained again is not the run in the file."""


class RunCache:
    """Trains runs as the project's own Trainable does, and keeps their reports.

    Runs between two units stay in memory, the last `kept` of them. An older one begins anew if it
    is asked for again; whether its scores are those in the file is checked.

    Args:
        folder: Where the files are; runs of other data or with another encoder have another one.
        config: Any of the runs: all have its data and its encoder.
        kept: How many runs stay in memory.
        variant: Of the code that reports, where a benchmark changes it; part of the key.
        scored: Units after which a run is scored; those after the others have no scores.
    """

    def __init__(
        self,
        folder: Path,
        config: RunConfig,
        kept: int,
        variant: str = "",
        scored: Collection[int] = range(1, 10**9),
    ) -> None:
        torch.set_num_threads(1)
        self._folder, self._kept, self._variant = folder, kept, variant
        inputs = open_inputs(config, torch.device("cpu"))
        self._fingerprint = inputs.corpus.fingerprint
        # A class of its own, whose actors are warm from the beginning.
        shared: dict[str, Any] = {
            "_inputs": inputs,
            "_source": InputsSpec.of(config),
            "_setup_logdir": lambda self: None,  # Tune's would make a folder for each
        }

        def unit(own: MultitaskTrainable, run: Run) -> dict[str, Any]:
            is_scored = run.units + 1 in scored
            return MultitaskTrainable._unit(own, run) if is_scored else dict(run.train_unit())

        shared["_unit"] = unit
        self._trainable: Any = type("WarmTrainable", (MultitaskTrainable,), shared)
        self._actors: OrderedDict[str, Any] = OrderedDict()

    def report(self, config: RunConfig, unit: int) -> Report:
        """Return what a run reports after a unit; trains what is missing up to there.

        Raises:
            StaleReports: The run was trained again, and other scores came out.
        """
        key = self._key(config)
        known = self._read(key)
        if len(known) >= unit:
            return known[unit - 1]
        actor = self._actors.pop(key, None) or self._trainable({"run_config": config.to_dict()})
        while len(known) < unit:
            at = actor._run.units
            report = _plain(actor.step(), report_keys(config.data.table))
            if at < len(known):
                self._compare(key, report, known[at])
            else:
                known.append(report)
        is_over = bool(known[-1]["failure"]) or actor._run.done
        if actor._run.done and not known[-1]["failure"]:
            write_probabilities(actor._run, self.predictions(config), actor._found)
        self._write(key, config, known)
        self._keep(key, actor, is_over)
        return known[unit - 1]

    def predictions(self, config: RunConfig) -> Path:
        """Return the file with the predictions of a run that has ended."""
        folder = self._folder / self._key(config)
        folder.mkdir(parents=True, exist_ok=True)
        return folder / PREDICTIONS

    def _key(self, config: RunConfig) -> str:
        """Return a hash of everything that the reports depend on, but for the encoder's weights."""
        values = config.to_dict()
        del values["data"]  # where the files are; what is in them is the fingerprint
        del values["encoder"]["source"]
        values |= {"fingerprint": self._fingerprint, "variant": self._variant}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:24]

    def _read(self, key: str) -> list[Report]:
        path = self._folder / key / "reports.json"
        reports = json.loads(path.read_text("utf-8"))["reports"] if path.exists() else []
        return [{k: math.nan if v is None else v for k, v in own.items()} for own in reports]

    def _write(self, key: str, config: RunConfig, reports: list[Report]) -> None:
        folder = self._folder / key
        folder.mkdir(parents=True, exist_ok=True)
        own = [{k: None if v != v else v for k, v in report.items()} for report in reports]
        write_json(folder / "reports.json", {"run_config": config.to_dict(), "reports": own})

    def _compare(self, key: str, now: Report, then: Report) -> None:
        if repr(now["score"]) != repr(then["score"]):  # NaN where it is not scored
            raise StaleReports(
                f"{self._folder / key}: unit {now['unit']} scored {then['score']} and scores "
                f"{now['score']} now; the code has changed since: give another --out"
            )

    def _keep(self, key: str, actor: Any, is_over: bool) -> None:
        if is_over:
            actor.stop()
            return
        self._actors[key] = actor
        if len(self._actors) > self._kept:
            self._actors.popitem(last=False)[1].stop()


def _plain(report: dict[str, Any], keys: tuple[str, ...]) -> Report:
    """Return a report without what only Tune needs."""
    return {k: float(report[k]) for k in keys} | {"failure": report["failure"]}
