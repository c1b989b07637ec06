"""Ends the processes of a local Ray once its driver has ended, however that came about.

Ray ends its daemons with the driver, but the agents of a daemon that was killed go on: they wait
for a control service that never comes back. Run as a script, with the ids of sessions as arguments;
the driver holds the other end of stdin.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys


def end_sessions(ids: set[int]) -> None:
    """Kill all processes of these sessions."""
    for name in os.listdir("/proc"):
        with contextlib.suppress(ValueError, OSError):  # no process, or one that has just ended
            if os.getsid(int(name)) in ids:
                os.kill(int(name), signal.SIGKILL)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    end_sessions({int(id) for id in sys.argv[1:]})
