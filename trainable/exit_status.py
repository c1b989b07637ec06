"""How a command ends that Ctrl-C, or the end of its output's reader, stops: without a traceback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable


def exit_status(command: Callable[[], int]) -> int:
    """Run a command and return its exit status.

    Args:
        command: Returns its own status, or exits by `SystemExit`.

    Returns:
        The command's status; 130 after Ctrl-C; 141 where whoever read its output has gone, as
        `head` does. These are the numbers that a shell gives to programs that such signals end.
    """
    try:
        status = command()
        sys.stdout.flush()  # else Python does it later, and complains where nobody reads
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Python flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return status
