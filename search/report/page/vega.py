"""Vega-Lite's JavaScript for a page that needs no network, and the specifications of its charts.

Vega draws in the reader's browser, as SVG, so that charts print well. Its script has 0.9 MB;
plotly's has 4.7 MB, most of what a page may have. vl-convert holds it: making it takes seconds of a
processor and 170 MB, so another process does that, once for each version on a machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from markupsafe import Markup

from trainable.cache.cache import locked
from trainable.cache.files import cache_folder, write_bytes
from trainable.errors import InputError

_MAKE = "import sys, vl_convert; sys.stdout.write(vl_convert.javascript_bundle())"
# Colours that people who see no red or green can tell apart (Okabe and Ito 2008).
ORDER = ("ran to the end", "went on", "held back", "under way", "failed")
COLOURS = ("#0072b2", "#009e73", "#e69f00", "#999999", "#d55e00")
OUTCOMES = {"domain": list(ORDER), "range": list(COLOURS)}
SERIES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#000000")

_CONFIG = {
    "background": None,
    "font": "system-ui, sans-serif",
    "axis": {"labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal", "grid": True},
    "axisX": {"labelFlush": True, "labelLimit": 110},
    "legend": {
        "orient": "top",
        "title": None,
        "labelFontSize": 11,
        "columns": 3,
        "labelLimit": 150,
    },
    "title": {
        "fontSize": 13,
        "anchor": "start",
        "fontWeight": 600,
        "limit": 330,
        "subtitleFontSize": 12,
        "subtitleColor": "#5b5b5b",
    },
    "view": {"stroke": "#ddd"},
}


@dataclass(frozen=True)
class Chart:
    """A chart of the page.

    Attributes:
        spec: Of Vega-Lite, without width, which follows the reader's window.
        label: What it shows, for people who do not see it.
        is_wide: Whether it needs a line of the page for itself.
        is_broad: Whether it needs 760 pixels; in a smaller window it is scrolled.
    """

    spec: dict[str, Any]
    label: str
    is_wide: bool = False
    is_broad: bool = False

    @property
    def json(self) -> Markup:
        """The whole specification as JSON that may stand inside a script element."""
        whole = {
            "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
            "width": "container",
            "height": 220,
            "autosize": {"type": "fit", "contains": "padding"},
            "config": _CONFIG,
            **self.spec,
        }
        text = json.dumps(whole, separators=(",", ":"), allow_nan=False)
        return Markup(text.replace("<", "\\u003c").replace("&", "\\u0026"))


def short(value: float | None) -> float | None:
    """Return a number with five digits, which is more than an eye can see."""
    return None if value is None else float(f"{value:.5g}")


class NoScript(Exception):
    """The script cannot be made or kept; says why."""


def vega_script() -> str:
    """Return the JavaScript of Vega, Vega-Lite and vega-embed.

    Raises:
        NoScript: vl-convert failed, or the folder of caches cannot be written.
    """
    path = cache_folder() / "vega" / f"vega-{version('vl-convert-python')}.js"
    try:
        if not path.exists():
            with locked(path.with_suffix(".lock"), "the script of the report's charts"):
                if not path.exists():
                    write_bytes(path, _made())
        text = path.read_text(encoding="utf-8")
    except (OSError, InputError) as error:
        raise NoScript(str(error)) from error
    # Inside a script element this ends it wherever it stands; in JavaScript `<\/` is the same.
    return text.replace("</script", "<\\/script")


def _made() -> bytes:
    # Ctrl-C is for the search: in a session of its own the process does not see it.
    made = subprocess.run(
        [sys.executable, "-c", _MAKE], capture_output=True, check=False, start_new_session=True
    )
    if made.returncode:
        lines = made.stderr.decode(errors="replace").strip().splitlines()
        raise NoScript(lines[-1] if lines else f"status {made.returncode}")
    return made.stdout
