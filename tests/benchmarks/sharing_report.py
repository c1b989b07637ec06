"""The figures of sharing.py: a line for each search, from its events."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from search.log.events import Event
from search.log.history import History

_OUT_OF_MEMORY = ("outofmemory", "out of memory", "memoryerror")


@dataclass(frozen=True)
class Line:
    """The figures of one search.

    Attributes:
        gpus_per_trial: GPUs of a trial, at most 1.
        at_a_time: Trials at the same time.
        done: Trials that ran to their end.
        out_of_memory: Trials that ran out of memory at least once.
        failed: Other trials that failed.
        seconds: From the start of the first trial to the end of the last.
        tokens: Training tokens of all trials.
        mib_per_trial: Peak of the GPUs' memory in use, divided by `at_a_time`.
    """

    gpus_per_trial: float
    at_a_time: int
    done: int
    out_of_memory: int
    failed: int
    seconds: float
    tokens: float
    mib_per_trial: float

    @property
    def per_hour(self) -> float:
        """Trials an hour."""
        return 3600 * self.done / self.seconds

    @property
    def tokens_per_second(self) -> float:
        """Training tokens a second of all trials together."""
        return self.tokens / self.seconds


def line_of(gpus_per_trial: float, events: list[Event], mib: float) -> Line:
    """Return the figures of a search from its events, and from its peak of memory in MiB."""
    kinds = ("started", "ended")
    times = {kind: [e["time"] for e in events if e["event"] == kind] for kind in kinds}
    if not all(times.values()):
        raise RuntimeError(f"--gpus-per-trial {gpus_per_trial:g}: no trial came to an end")
    trials = History(events).trials.values()
    errors = {e["trial"]: "" for e in events if e["event"] == "suggested"}
    for event in events:
        if event["event"] in ("reported", "failed"):
            errors[event["trial"]] += str(event.get("failure") or event.get("error") or "").lower()
    short = {n for n, text in errors.items() if any(word in text for word in _OUT_OF_MEMORY)}
    at_a_time = int(next(e["slots"] for e in events if e["event"] == "search"))
    return Line(
        gpus_per_trial=gpus_per_trial,
        at_a_time=at_a_time,
        done=sum(trial.status == "done" for trial in trials),
        out_of_memory=len(short),
        failed=sum(t.status == "failed" and t.number not in short for t in trials),
        seconds=max(times["ended"]) - min(times["started"]),
        tokens=sum(trial.last.get("tokens") or 0.0 for trial in trials),
        mib_per_trial=mib / at_a_time,
    )


def print_lines(lines: list[Line]) -> None:
    """Print a line for each search."""
    print("GPUs a trial  at a time  done  oom  failed  trials/h  MiB a trial  tokens/s in total")
    for line in lines:
        print(
            f"{line.gpus_per_trial:12g} {line.at_a_time:10} {line.done:5} {line.out_of_memory:4} "
            f"{line.failed:7} {line.per_hour:9.1f} {line.mib_per_trial:12,.0f} "
            f"{line.tokens_per_second:18,.0f}"
        )


def write_lines(
    lines: list[Line], out: Path | None, search_options: list[str], machine: dict[str, object]
) -> None:
    """Write sharing.json if there is a folder for it."""
    if out:
        out.mkdir(parents=True, exist_ok=True)
        rates = [
            asdict(x) | {"per_hour": x.per_hour, "tokens_per_second": x.tokens_per_second}
            for x in lines
        ]
        content = {"machine": machine, "search": search_options, "lines": rates}
        (out / "sharing.json").write_text(json.dumps(content, indent=2), encoding="utf-8")
