"""Search for the best multitask configuration: `python search/run.py --help`."""

import sys
from pathlib import Path

# Python puts this folder first on the path, where search/ would shadow other modules.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from trainable.errors import InputError  # noqa: E402
from trainable.exit_status import exit_status  # noqa: E402


def main() -> int:
    """Refuse wrong options before torch and Ray are imported, which takes seconds; then run."""
    from search.planning.check_options import check_options
    from search.planning.options import parse

    try:
        check_options(parse())
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    from search.commands.run import main

    return main()


if __name__ == "__main__":
    sys.exit(exit_status(main))
