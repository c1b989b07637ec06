"""The trainable of the project, which writes down every step that it makes."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from trainable.worker import spot_notice
from trainable.worker.ray_trainable import MultitaskTrainable

STEPS_FILE = "steps.jsonl"
TAKEN_FILE = "taken"  # where machines are many: the name of the one that is to have notice
_PATIENCE_SECONDS = 60.0


class CountingTrainable(MultitaskTrainable):
    """Where there is an address to ask for notice, it comes after the second step of unit 2.

    Elsewhere trials wait until one trains there: how fast workers start is no matter.

    Attributes:
        folder: Where steps are written down; set in a subclass, which goes to workers by value.
    """

    folder: str

    def setup(self, config: dict[str, Any]) -> None:
        """Start the first trial of this actor."""
        spot_notice._ASK_SECONDS = 0.1
        super().setup(config)

    def _start(self, config: dict[str, Any]) -> None:
        super()._start(config)
        run, in_unit_2 = self._run, 0
        assert run is not None
        assert run.training is not None
        training, step = run.training, run.training.step

        def counted() -> dict[str, Tensor]:
            nonlocal in_unit_2
            metrics = step()
            in_unit_2 += run.units == 2
            expects = self._expects(in_unit_2)
            line = {"trial": config["trial"], "step": training.steps, "expects": expects}
            line |= {"asks": self._spot is not None, "machine": socket.gethostname()}
            with (Path(self.folder) / STEPS_FILE).open("a") as file:
                file.write(json.dumps(line) + "\n")
            if expects:
                self._wait_for_notice()
            return metrics

        training.step = counted  # type: ignore[method-assign]

    def _expects(self, in_unit_2: int) -> bool:
        """Whether notice comes after so many steps of unit 2."""
        if self._spot is None:
            wait_until(
                lambda: any(step["asks"] for step in steps(Path(self.folder))),
                _PATIENCE_SECONDS,
                "no trial trains where notice comes",
            )
        return self._spot is not None and in_unit_2 == 2

    def _wait_for_notice(self) -> None:
        spot = self._spot
        assert spot is not None
        wait_until(lambda: spot.notice is not None, _PATIENCE_SECONDS, "no notice comes")


def wait_until(condition: Callable[[], bool], seconds: float, complaint: str) -> None:
    """Return once the condition holds; raise the complaint if it does not in so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(complaint)
        time.sleep(0.05)


def steps(folder: Path) -> list[dict[str, Any]]:
    """Return what was written down, in order.

    Each line has trial, step, expects, asks (for notice) and machine.
    """
    path = folder / STEPS_FILE
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]
