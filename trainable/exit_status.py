"""What all commands have in common: how their threads wait, and how they end when stopped."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable


def exit_status(command: Callable[[], int]) -> int:
    """Run a command and return its exit status; Ctrl-C ends it without a traceback.

    OpenMP is told to let idle threads sleep, unless `OMP_WAIT_POLICY` is set: they spin otherwise,
    and where another program has one of the cores a tiny encoder trains fifty times slower.

    Args:
        command: Returns its own status, or exits by `SystemExit`. It imports torch, not its caller:
            OpenMP reads the variable when it is loaded.

    Returns:
        The command's status; 130 after Ctrl-C; 141 where whoever read its output has gone, as
        `head` does. These are the numbers that a shell gives to programs that such signals end.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
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
