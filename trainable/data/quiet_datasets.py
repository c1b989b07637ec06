"""Switch off the progress bars of the datasets library, which would fill a search's logs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import datasets


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Switch the bars off inside the block, and leave them as the user had them."""
    if datasets.are_progress_bars_disabled():
        yield
        return
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()
