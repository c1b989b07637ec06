"""The real driver, with a trainable that trains nothing."""

from __future__ import annotations

import json
from pathlib import Path

import ray

import search.commands.run
import search.commands.run_jobs
from tests.chaos import stub


def run(faults: Path, options: list[str]) -> int:
    """Run `search/run.py`; returns its exit status.

    Args:
        faults: How stubs behave: fields of `stub.Faults` as JSON.
        options: Of `search/run.py`.
    """
    behaviour = stub.Faults(**json.loads(faults.read_text(encoding="utf-8")))
    # Workers need to know neither of tests nor of torch.
    ray.cloudpickle.register_pickle_by_value(stub)  # type: ignore[no-untyped-call]
    search.commands.run_jobs.MultitaskTrainable = type(  # type: ignore[attr-defined, assignment]
        "StubTrainable", (stub.StubTrainable,), {"faults": behaviour}
    )
    return search.commands.run.main(options)
