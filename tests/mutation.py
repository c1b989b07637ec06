"""Measure how many small faults in the modules that matter most are seen by their tests.

    python tests/mutation.py [MODULE.py ...] [--sample 40] [--seed 0] [--jobs 2]

mutmut changes one expression at a time inside the functions of the modules that `[tool.mutmut]` in
pyproject.toml names, and runs those fast tests of these modules that call the changed function. It
does not change constants of modules and classes, nor decorated functions. The table counts, for
each module, the mutants that exist, that were tried, and that were seen, because a test failed or
exceeded its time limit; the next column counts the latter alone. `mutmut results` lists the others,
and `mutmut show NAME` shows one. It needs the extra `mutation`.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import tyro

ROOT = Path(__file__).resolve().parents[1]
_FAILED = {1, 3}  # exit codes of pytest
_TIMED_OUT = {24, -24, 36, 152, 255}  # exit codes of a mutant that mutmut has stopped


@dataclass(frozen=True)
class Options:
    """Measure how many mutants the tests see."""

    modules: tyro.conf.Positional[tuple[str, ...]] = ()
    """Modules to measure, such as search/log/mirror.py; without any, all that pyproject.toml has.
    The same mutants are chosen as if all were measured."""

    sample: int | None = None
    """Mutants of each module, chosen at random; without it all."""

    seed: int = 0
    """Seed of the choice."""

    jobs: int = os.cpu_count() or 1
    """Mutants at the same time."""


def mutated_modules() -> list[str]:
    """Return the paths of the modules, relative to the root, as in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return list(project["tool"]["mutmut"]["only_mutate"])


def run_mutmut(names: list[str], jobs: int) -> None:
    """Try the mutants with these names or patterns; without any, all that were not tried yet."""
    command = [sys.executable, "-m", "mutmut", "run", "--max-children", str(jobs), *names]
    subprocess.run(command, cwd=ROOT, check=True)


def exit_codes(module: str) -> dict[str, int | None]:
    """Return mutant -> exit code of its tests; None if it was not tried."""
    meta = json.loads((ROOT / "mutants" / f"{module}.meta").read_text(encoding="utf-8"))
    return dict(meta["exit_code_by_key"])


def main(options: Options) -> None:
    """Try mutants, and print a line for each module."""
    modules = mutated_modules()
    # mutmut makes the mutants of all modules before it tries those of the first one.
    run_mutmut([modules[0].removesuffix(".py").replace("/", ".") + ".*"], options.jobs)
    draw = random.Random(options.seed)
    chosen: dict[str, list[str]] = {}
    for module in modules:
        names = sorted(exit_codes(module))
        n = len(names) if options.sample is None else min(options.sample, len(names))
        chosen[module] = draw.sample(names, n)
    if options.modules:
        chosen = {module: chosen[module] for module in options.modules}
    run_mutmut([name for names in chosen.values() for name in names], options.jobs)
    print("| module | mutants | tried | seen | timed out | share |\n|---|---|---|---|---|---|")
    for module, names in chosen.items():
        codes = exit_codes(module)
        timed_out = sum(codes[name] in _TIMED_OUT for name in names)
        seen = timed_out + sum(codes[name] in _FAILED for name in names)
        share = f"{100 * seen / len(names):.0f} %"
        print(f"| `{module}` | {len(codes)} | {len(names)} | {seen} | {timed_out} | {share} |")


if __name__ == "__main__":
    main(tyro.cli(Options))
