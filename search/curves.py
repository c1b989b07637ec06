"""TensorBoard files: curves for each trial, and the HParams page.

All trials have the same keys on the HParams page: where keys differ, TensorBoard shows only some of
the trials. A param that a trial does not have reads "n/a".
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from spaces.walk import Param
from trainable.evaluation import SCORE_KEYS
from trainable.multitask import STEP_METRICS

_CURVES = (*SCORE_KEYS, *STEP_METRICS, "train_seconds", "eval_seconds")
_FOLDER = "tensorboard"


class TensorBoard:
    """Writers of all trials.

    Args:
        folder: Local folder of the search.
        params: Everything that varies.
    """

    def __init__(self, folder: Path, params: tuple[Param, ...]) -> None:
        self._folder = folder / _FOLDER
        self._params = params
        self._writers: dict[int, SummaryWriter] = {}

    def start(self, trial: int, params: dict[str, Any]) -> None:
        """Open a trial's file and write its line of the HParams page."""
        self.end(trial)  # an attempt that failed left it open
        writer = SummaryWriter(str(self._folder / f"trial_{trial:04d}"), flush_secs=10)
        self._writers[trial] = writer
        values = {p.name: _shown(p, params) for p in self._params}
        page = hparams(values, dict.fromkeys(SCORE_KEYS, 0.0))  # type: ignore[no-untyped-call]
        for summary in page[:2]:  # the columns, and this trial's line
            writer._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]

    def report(self, trial: int, metrics: dict[str, Any]) -> None:
        """Add a point to each curve; the step is the number of training tokens."""
        writer = self._writers[trial]
        for key in _CURVES:
            if math.isfinite(metrics[key]):
                writer.add_scalar(key, metrics[key], metrics["tokens"])

    def end(self, trial: int) -> None:
        """Close a trial's file."""
        writer = self._writers.pop(trial, None)
        if writer is not None:
            writer.close()

    def close(self) -> None:
        """Close all files."""
        for trial in list(self._writers):
            self.end(trial)


def _shown(param: Param, params: dict[str, Any]) -> str | float | bool:
    """A column needs one type: params that a trial may lack are shown as text in every trial."""
    if param.parents:
        value = params.get(param.name, "n/a")
        return f"{value:.4g}" if isinstance(value, float) else str(value)
    value = params[param.name]
    return value if isinstance(value, bool | str) else float(value)
