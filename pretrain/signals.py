"""SIGINT and SIGTERM as a question the loop asks between steps: `with signals() as asked: ... if asked.to_stop:`.

The first signal only sets the flag, so that a step is finished and saved; a second one acts as it did before, for those
who can't wait. Schedulers (Slurm, Kubernetes, spot instances) send SIGTERM before they kill.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass(slots=True)
class Asked:
    to_stop: bool = False


@contextmanager
def signals() -> Iterator[Asked]:
    """In another thread than the main one Python allows no handlers: there signals stay as they are."""
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        if asked.to_stop:
            signal.signal(number, before[signal.Signals(number)])
            os.kill(os.getpid(), number)
        asked.to_stop = True

    for number in before:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
