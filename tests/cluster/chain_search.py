"""The search of test_chain.py: the real driver and trials, which write down every step.

    python tests/cluster/chain_search.py FOLDER [options of search/run.py]

Trials take pretended GPUs. In FOLDER, which machines and test share, the first trial that comes to
the middle of its second unit says that its machine is to have a spot notice. Trials wait until two
machines train, and from then on until a third one does: how fast machines start is no matter.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

# This folder must not come first on the path, where cluster/ would shadow other modules.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import ray
import torch

import search.commands.run
import search.commands.run_jobs
from tests.chaos import counting
from tests.chaos.counting import TAKEN_FILE, CountingTrainable, wait_until

_PATIENCE_SECONDS = 300.0


class ChainTrainable(CountingTrainable):
    """Waits for other machines, and lets one of them have notice."""

    def _start(self, config: dict[str, Any]) -> None:
        self._device = torch.device("cpu")  # its GPU is a pretended one
        super()._start(config)

    def _expects(self, in_unit_2: int) -> bool:
        taken = Path(self.folder) / TAKEN_FILE
        self._wait_for_machines(3 if taken.exists() else 2)
        if in_unit_2 != 2:
            return False
        try:
            with taken.open("x") as file:
                file.write(socket.gethostname())
        except FileExistsError:
            return False
        return True

    def _wait_for_machines(self, n: int) -> None:
        """Wait until so many have made a step; this one is about to write that it has."""
        folder = Path(self.folder)
        (folder / f"trains-{socket.gethostname()}").touch()
        wait_until(
            lambda: len(list(folder.glob("trains-*"))) >= n,
            _PATIENCE_SECONDS,
            f"less than {n} machines train",
        )


def main(folder: str, options: list[str]) -> int:
    """Run the search; returns its exit status."""
    ray.cloudpickle.register_pickle_by_value(counting)  # type: ignore[no-untyped-call]
    own = type("Chain", (ChainTrainable,), {"folder": folder})
    search.commands.run_jobs.MultitaskTrainable = own  # type: ignore[attr-defined, assignment]
    return search.commands.run.main(options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
