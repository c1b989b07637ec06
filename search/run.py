"""Search for the best multitask configuration: `python search/run.py --help`."""

import sys
from pathlib import Path

# Python puts this folder first on the path, where search/ would shadow other modules.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from trainable.exit_status import exit_status  # noqa: E402


def main() -> int:
    """Parse the options before torch and Ray are imported, which takes seconds; then run."""
    from search.planning.options import parse

    parse()
    from search.commands.run import main

    return main()


if __name__ == "__main__":
    sys.exit(exit_status(main))
