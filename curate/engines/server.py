"""The process that workers are forked from. Light to import, so that a command can start it before all else.

It imports and warms what workers need (curate/engines/preload.py) while the command that started it goes on, and ends
with that command, however that ends: by itself where the command is killed, at once where it comes to its end.
"""

from __future__ import annotations

import atexit
import os
import signal
from contextlib import suppress
from functools import cache
from multiprocessing import forkserver


@cache
def start_server() -> None:
    """Start it unless it runs. Returns at once; the first worker waits until it is ready."""
    forkserver.set_forkserver_preload(["curate.engines.preload"])
    forkserver.ensure_running()
    atexit.register(_stop, os.getpid())


def _stop(starter: int) -> None:
    """It would finish warming up first, and whoever reads the command's output from a pipe would wait for it."""
    server = getattr(forkserver, "_forkserver", None)
    pid = getattr(server, "_forkserver_pid", None)
    if pid and os.getpid() == starter:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
