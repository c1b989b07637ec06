"""The command `mtbert report`: write report.md and report.html again.

It reads data and encoder, as the search did, but starts no Ray. `search/export.py` writes what
needs the log only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import tyro

from search.commands.log_command import print_answer, read_history
from search.log.find_folder import find_folder, split
from search.planning.make_plan import make_plan
from search.planning.options import SearchOptions
from search.planning.resume import header
from search.report.page.parts import FOLDER
from search.report.page.write_page import PAGE
from search.report.sections.base import FinishedSearch
from search.report.write import write_reports
from trainable.errors import InputError


@dataclass(frozen=True)
class ReportOptions:
    """Write report.md and report.html of a search again; the search may still run.

    Call it from the folder that the search was started in, if its files were given by relative
    paths.
    """

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SEARCH")]
    """Name of the search below --storage, or its folder or URI."""

    storage: str = "runs"
    """Where the search is kept: a folder, or any URI that Ray can read, such as
    s3://bucket/prefix."""


def main(arguments: list[str] | None = None, prog: str = "mtbert report") -> int:
    """Run `mtbert report`; returns the exit status."""
    options = tyro.cli(ReportOptions, prog=prog, args=arguments)
    return print_answer(lambda: _write(options))


def _write(options: ReportOptions) -> str:
    """Write the report into the search's folder; returns a sentence for the user."""
    storage, name = split(options.name) if "/" in options.name else (options.storage, options.name)
    folder = find_folder(storage, name, resume=True)
    history = read_history(folder)
    if not history.trials:
        raise InputError(f"{folder.uri} has no trial yet; there is nothing to report")
    try:
        asked = SearchOptions(**history.header["options"])
    except TypeError as error:
        raise InputError(
            f"{folder.uri}: its options are those of another version of the project ({error}); "
            f"write the report with that version"
        ) from error
    # What another search taught this one is no part of the report, and may be gone.
    begun = asked.warm_start if asked.warm_start == "published" else None
    asked = replace(asked, name=name, storage=storage, resume=True, dry_run=False, log=())
    plan = make_plan(replace(asked, warm_start=begun))
    if plan.data_fingerprint != history.header["data_fingerprint"]:
        raise InputError(
            f"{folder.uri}: the data have changed since the search; give back the files that it "
            f"read"
        )
    tasks = header(plan)["tasks"]
    if history.header.get("tasks", tasks) != tasks:
        raise InputError(
            f"{folder.uri}: the tasks have changed since the search; give back the task file that "
            f"it read"
        )
    write_reports(FinishedSearch(plan, history))
    folder.publish("report.md", PAGE, FOLDER)
    return f"report.md and {PAGE} are in {folder.uri}"
