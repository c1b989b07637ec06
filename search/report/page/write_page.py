"""Write report.html from the log of a search, and from what was written of its data before.

All text is escaped: names, sentences and errors are anybody's. A policy in the page's head forbids
it to load anything.
"""

from __future__ import annotations

import re
import time
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from search.planning.options import SearchOptions
from search.report.ablation_table import ablation_rows, note, p_value
from search.report.ablation_table import shown as shown_or_dash
from search.report.differences import differences, values
from search.report.importance import MIN_TRIALS, importances, usual_order
from search.report.logged_search import LoggedSearch, default_name, name_of
from search.report.markdown import visible
from search.report.page.answer import answer, commands, gain, pick_command, state
from search.report.page.cost_charts import timeline
from search.report.page.learning_curves import learning_curves
from search.report.page.parallel_chart import parallel_chart
from search.report.page.param_charts import importance_chart, param_charts
from search.report.page.pareto_chart import pareto_charts
from search.report.page.parts import read_parts, to_html
from search.report.page.score_charts import best_over_time
from search.report.page.vega import COLOURS, ORDER, Chart, NoScript, vega_script
from search.report.pareto import trade_offs
from search.report.sections.finalist_table import finalists_of
from search.report.sections.rung_cuts import rung_cuts_of
from search.report.sections.times import time_rows
from trainable.cache.files import write_text

PAGE = "report.html"
MOST_ROWS = 500  # of the leaderboard; trials.csv has all
_MOST_CHANGED = 15  # that are not folded
_MOST_TRADES = 12  # rows of the Pareto front
_LONGEST_ERROR = 300


def write_page(search: LoggedSearch, folder: Path, uri: str, parts: Path | None = None) -> None:
    """Write the page of a search.

    Args:
        search: The search.
        folder: Where the page goes.
        uri: Folder or URI of the search, for the commands.
        parts: Folder of the search where its parts lie, if that is another one.
    """
    write_text(folder / PAGE, page(search, parts or folder, uri))


def page(search: LoggedSearch, folder: Path, uri: str) -> str:
    """Return the page, with the parts that lie in the folder of the search; see `write_page`."""
    script, problem = "", ""
    try:
        script = vega_script()
    except NoScript as error:
        problem = f"The charts are missing: their script could not be made ({error})."
    text = _environment().get_template("page.html").render(
        **_context(search),
        commands=commands(search, uri),
        pick_command=pick_command(search, uri),
        parts=read_parts(folder, search.winner),
        script=Markup(script),  # of vl-convert; has no text of this search
        problem=problem,
        written=time.strftime("%Y-%m-%d %H:%M"),
    )  # fmt: skip
    return text.encode("utf-8", "backslashreplace").decode()


@cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        auto_reload=False,  # a driver keeps its template while the project is updated
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: (
            visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
        ),
    )
    environment.filters["breakable"] = _breakable
    return environment


def _breakable(name: str) -> Markup:
    """Return the name of a param or row, which a narrow window breaks at its dots and slashes."""
    text = str(escape(visible(name)))  # in Markup itself the tags would be escaped, too
    return Markup(re.sub(r"[./]", r"\g<0><wbr>", text))


def _context(search: LoggedSearch) -> dict[str, Any]:
    """Return what the template reads."""
    header, winner, default = search.history.header, search.winner, search.default
    has_params = "row" not in header["space"]  # the leaderboard says all of rows
    found = importances(search.params, search.ranked) if has_params else []
    changed = (
        differences(default, winner, search.params, found)
        if winner is not None and default is not None and winner is not default
        else []
    )
    rows = ablation_rows(search)
    order = _order(search, [own.name for own in found], [own.name for own in changed])
    return {
        "search": search,
        # An older log lacks the options of today.
        "options": asdict(SearchOptions()) | header["options"],
        "fingerprint": header["data_fingerprint"],
        "answer": answer(search),
        "gain": gain(search),
        "state": state(search),
        "state_of_driver": _state_of_driver(search),
        "winner": winner,
        "default_name": default_name(default),
        "changed": changed,
        "most_changed": _MOST_CHANGED,
        "is_clear": any(own.is_clear for own in found),
        "values": [] if changed or winner is None else sorted(values(winner).items()),
        "board": [_line(search, rank, t) for rank, t in enumerate(search.ranked[:MOST_ROWS], 1)],
        "most_rows": MOST_ROWS,
        "over_time": _some(best_over_time(search)),
        "curves": learning_curves(search),
        "has_params": has_params,
        "importance": _some(importance_chart(found)),
        "min_trials": MIN_TRIALS,
        "parallel": _some(parallel_chart(search, order)),
        "outcomes": [(o, c) for o, c in zip(ORDER, COLOURS, strict=True) if o != "went on"],
        "param_charts": param_charts(search, order),
        "finalists": _html(finalists_of(search)),
        "rung_cuts": _html(rung_cuts_of(search)),
        "pareto": pareto_charts(search),
        "trades": trade_offs(search.ranked, search.tasks)[:_MOST_TRADES],
        "ablation": rows,
        "ablation_note": note(rows) if rows else "",
        "timeline": timeline(search),
        "times": time_rows(search.history.runs, search.slot_seconds),
        "name_of": name_of,
        "or_dash": shown_or_dash,
        "p_value": p_value,
    }


def _html(paragraphs: list[str]) -> Markup:
    """Return a section of report.md, which has no pictures; empty where it has nothing to say."""
    return Markup(to_html("\n\n".join(paragraphs), Path()))


def _state_of_driver(search: LoggedSearch) -> str:
    """Return the end of the sentence that says when the page was written."""
    if search.is_over:
        return "."
    if search.has_driver:
        return "; the search still runs: load the page again."
    return ", where the search stopped before its end: a command below goes on with it."


def _some(chart: Chart | None) -> list[Chart]:
    return [] if chart is None else [chart]


def _order(search: LoggedSearch, *first: list[str]) -> list[str]:
    """Return the names of the params: those named first, then how it is trained, then the rest."""
    rest = usual_order(search.params)
    return list(dict.fromkeys([*(n for own in first for n in own), *(p.name for p in rest)]))


def _line(search: LoggedSearch, rank: int, trial: Any) -> dict[str, Any]:
    """Return a line of the leaderboard."""
    keys = ("score", *(task.metric_key for task in search.tasks.values()), "confirm_score")
    error = trial.error or ""
    return {
        "rank": rank,
        "trial": trial.number,
        "name": name_of(trial),
        "units": trial.units,
        "scores": [trial.last.get(key) for key in keys],
        "status": trial.status,
        "error": error if len(error) <= _LONGEST_ERROR else f"{error[: _LONGEST_ERROR - 1]}…",
        "is_audited": trial.is_audited,
        "minutes": trial.slot_seconds / 60,
        "is_winner": trial is search.winner,
        "is_default": trial is search.default,
    }
