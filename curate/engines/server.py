"""The process that workers are forked from. Light to import, so that a command can start it before all else.

It imports and warms what workers need (curate/engines/preload.py) while the command that started it goes on, and ends
with that command, however that ends.
"""

from __future__ import annotations

from multiprocessing import forkserver


def start_server() -> None:
    """Start it unless it runs. Returns at once; the first worker waits until it is ready."""
    forkserver.set_forkserver_preload(["curate.engines.preload"])
    forkserver.ensure_running()
