"""Trials that share a GPU are measured with a simulated GPU and trials that sleep."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.log.events import VERSION, Event
from tests.benchmarks.sharing import Options, measure
from tests.benchmarks.sharing_report import Line, line_of, print_lines, write_lines
from tests.chaos.clusters import Nodes
from tests.chaos.drivers import Search


@pytest.mark.slow
def test_two_trials_share_a_simulated_gpu(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    used, memory = 100.0, [900.0]

    def search(arguments: list[str], folder: Path) -> list[Event]:
        nonlocal used
        own = Search(folder, [*arguments, "--address", nodes.address], seconds=0.2)
        used += memory[0]
        try:
            assert own.run() == 0, own.printed
        finally:
            used -= memory[0]
        return own.events

    options = Options(trials=3, budget="60000", out=tmp_path / "out", precision="fp32")
    with Nodes() as nodes:
        nodes.add(gpus=1, num_cpus=2)
        line = measure(options, 0.5, tmp_path / "search", search, lambda: used)
    assert (line.at_a_time, line.done, line.out_of_memory, line.failed) == (2, 3, 0, 0)
    assert line.tokens == 3 * 3000
    assert line.mib_per_trial == pytest.approx(450.0)
    print_lines([line])
    assert "0.5" in capsys.readouterr().out
    write_lines([line], options.out, ["--trials", "3"], {"gpus": ["simulated"]})
    written: dict[str, Any] = json.loads((tmp_path / "out" / "sharing.json").read_text())
    assert written["lines"][0]["per_hour"] == pytest.approx(3600 * 3 / line.seconds)


def events(*more: Event) -> list[Event]:
    """Return the log of a search of two trials of one unit; `more` are events at its end."""
    numbers = {"tokens": 1000.0, "score": 0.5}
    begin: Event = {"event": "search", "version": VERSION, "units": 1, "n_trials": 2, "slots": 2}
    found: list[Event] = [begin | {"options": {}}]
    for trial in range(2):
        trial_fields: Event = {"trial": trial, "run_config": {}, "params": {}, "origin": "random"}
        found += [
            trial_fields | {"event": "suggested", "bracket": 0},
            {"event": "started", "trial": trial, "id": f"job{trial}", "unit": 0},
            {"event": "reported", "trial": trial, "unit": 1, "metrics": numbers, "failure": ""},
        ]
    found += [{"event": "ended", "trial": 0, "status": "done", "error": None}, *more]
    return [each | {"time": float(n)} for n, each in enumerate(found)]


def test_trials_that_run_out_of_memory_have_their_own_count() -> None:
    short = "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"
    for error, counts in ((short, (1, 0)), ("RunFailed: the loss is nan in unit 1", (0, 1))):
        log = events(
            {"event": "failed", "trial": 1, "error": error},
            {"event": "ended", "trial": 1, "status": "failed", "error": error},
        )
        line = line_of(0.25, log, 3000.0)
        assert (line.out_of_memory, line.failed) == counts
        assert (line.done, line.tokens, line.mib_per_trial) == (1, 2000.0, 1500.0)


def test_rates_are_of_all_trials_together() -> None:
    line = Line(0.5, 2, done=4, out_of_memory=0, failed=0, seconds=8, tokens=160, mib_per_trial=1)
    assert (line.per_hour, line.tokens_per_second) == (1800, 20)
    assert replace(line, done=2).per_hour == 900


def test_a_search_in_which_no_trial_ended_is_an_error() -> None:
    log = [event for event in events() if event["event"] != "ended"]
    with pytest.raises(RuntimeError, match="no trial came to an end"):
        line_of(1.0, log, 0.0)
