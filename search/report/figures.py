"""Write figures to PNG files.

matplotlib draws them: a Markdown file needs plain image files, and plotly writes those only where
a Chrome browser is installed.
"""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from trainable.cache.files import write_bytes


def save(figure: Figure, path: Path) -> None:
    """Write a PNG file, whole or not at all."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_bytes(path, buffer.getvalue())


# A name with two dollar signs is a name, not a formula.
matplotlib.rcParams["text.parse_math"] = False
matplotlib.use("Agg")  # it needs no display and looks for none
