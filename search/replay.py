"""What other schedulers would have found: `python search/replay.py --help`."""

import sys
from pathlib import Path

# Python puts this folder first on the path, where search/ would shadow other modules.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from search.cli import run_command  # noqa: E402
from trainable.exit_status import exit_status  # noqa: E402

if __name__ == "__main__":
    sys.exit(exit_status(lambda: run_command("replay", None, "search/replay.py")))
