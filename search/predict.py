"""Predict with what a search found: `python search/predict.py --help`."""

import sys
from pathlib import Path

# Python puts this folder first on the path, where search/ would shadow other modules.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from trainable.exit_status import exit_status  # noqa: E402


def command() -> int:
    """Import the command and run it; Ctrl-C during the import has no traceback either."""
    from search.commands.predict import main

    return main()


if __name__ == "__main__":
    sys.exit(exit_status(command))
