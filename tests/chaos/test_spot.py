"""Notice that a machine is taken away, in a real search on two of them."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import ray
import torch

import search.commands.run
import search.commands.run_jobs
import search.loop.watchdog
from search.log.events import Event, read_events
from search.log.folder import EVENTS
from search.log.history import History
from search.log.trial import TrialRecord
from tests.chaos import counting
from tests.chaos.clusters import Nodes
from tests.chaos.metadata import Metadata
from tests.chaos.verify import orphans
from tests.course import SCORE_KEYS, STEP_METRICS
from trainable.training.inputs import open_inputs
from trainable.training.loop import Run
from trainable.worker.spot_notice import ADDRESS_VARIABLE

pytestmark = pytest.mark.slow


@pytest.fixture
def metadata(tmp_path: Path) -> Iterator[Metadata]:
    """What the first machine asks: it has notice as soon as a trial there expects it."""
    deadline = datetime.now(UTC) + timedelta(seconds=120)
    notice = {"action": "terminate", "time": deadline.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def answer(asker: str) -> tuple[int, str]:
        is_time = any(step["expects"] for step in counting.steps(tmp_path))
        return (200, json.dumps(notice)) if is_time else (404, "")

    with Metadata() as server:
        server.next = answer
        yield server


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Searches of this process write down every step."""
    own = type("Counting", (counting.CountingTrainable,), {"folder": str(tmp_path)})
    monkeypatch.setattr(search.commands.run_jobs, "MultitaskTrainable", own)
    ray.cloudpickle.register_pickle_by_value(counting)  # type: ignore[no-untyped-call]
    yield
    ray.cloudpickle.unregister_pickle_by_value(counting)  # type: ignore[no-untyped-call]


@pytest.fixture
def tune_log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What Ray Tune logs, which does not reach the root logger."""
    logger = logging.getLogger("ray.tune")
    logger.addHandler(caplog.handler)
    caplog.handler.addFilter(_is_of_this_cluster)
    yield caplog
    caplog.handler.removeFilter(_is_of_this_cluster)
    logger.removeHandler(caplog.handler)


def _is_of_this_cluster(record: logging.LogRecord) -> bool:
    """Whether it is no note of Ray that another cluster, of a test beside this one, began here."""
    return not record.getMessage().startswith("Overwriting previous Ray address")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is told that processes take long to start where other tests keep the cores busy."""
    monkeypatch.setattr(search.loop.watchdog, "_SLOT_SECONDS", 600.0)


@pytest.mark.usefixtures("counted", "patient")
def test_a_trial_leaves_in_time_and_goes_on_elsewhere_as_if_nothing_had_happened(
    tmp_path: Path,
    metadata: Metadata,
    capsys: pytest.CaptureFixture[str],
    tune_log: pytest.LogCaptureFixture,
) -> None:
    options = ["--space", "smoke", "--budget", "12000", "--units", "2", "--trials", "2", "--quiet"]
    options += ["--scheduler", "none", "--name", "search", "--storage", str(tmp_path / "runs")]
    with Nodes() as nodes:
        nodes.add(0, num_cpus=1, env_vars={ADDRESS_VARIABLE: metadata.address})
        nodes.add(0, num_cpus=1)
        assert search.commands.run.main([*options, "--address", nodes.address]) == 0
    said = capsys.readouterr().out
    assert "left its machine (spot notice: terminate at " in said
    assert "warning: node" not in said, "the node was not drained"
    assert not tune_log.records, "what is expected is no error"
    folder = tmp_path / "runs" / "search"
    events = read_events(folder / EVENTS)
    it_left_once_and_nothing_failed(events)
    assert orphans(events, folder) == 0
    steps = counting.steps(tmp_path)
    (at,) = [k for k, step in enumerate(steps) if step["expects"]]
    assert not any(step["asks"] for step in steps[at + 1 :]), "the machine got a trial again"
    made = Counter((step["trial"], step["step"]) for step in steps)
    assert set(made.values()) == {1}, "a step was made twice"
    trials = History(events).trials
    for trial in trials.values():
        assert max(step for number, step in made if number == trial.number) == trial.last["steps"]
        it_is_as_if_it_had_stayed(trial)


def it_left_once_and_nothing_failed(events: list[Event]) -> None:
    kinds = Counter(event["event"] for event in events)
    assert (kinds["leaving"], kinds["failed"], kinds["lost"]) == (1, 0, 0)
    units = Counter((e["trial"], e["unit"]) for e in events if e["event"] == "reported")
    assert units == Counter([(0, 1), (0, 2), (1, 1), (1, 2)])
    (at,) = [k for k, event in enumerate(events) if event["event"] == "leaving"]
    assert events[at]["reason"].startswith("spot notice: terminate at ")
    after = [event for event in events[at:] if event.get("trial") == events[at]["trial"]]
    told: list[tuple[str, Any]] = [(e["event"], e.get("unit")) for e in after]
    assert told[:4] == [("leaving", 1), ("saved", 1), ("cost", None), ("started", 1)]


def it_is_as_if_it_had_stayed(trial: TrialRecord) -> None:
    """Compare, bit for bit, with the same run in this process."""
    run = Run(trial.config, open_inputs(trial.config, torch.device("cpu")))
    for unit in (1, 2):
        expected = run.train_unit() | run.evaluate("select")
        for key in (*SCORE_KEYS, *STEP_METRICS):
            found = trial.reports[unit][key]
            assert found == expected[key] or (found is None and expected[key] != expected[key])
    assert trial.last["steps"] == run.steps
