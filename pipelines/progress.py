"""What a run says while it works, on stderr: a bar per pass at a terminal, a line per pass where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from curate.engine import Progress as Done

err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    err.print(text, markup=False)


def as_bytes(n: float) -> str:
    """
    >>> as_bytes(999), as_bytes(12_345_678)
    ('999 B', '12.3 MB')
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if n < 1000 or unit == "TB":
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n /= 1000
    raise AssertionError("unreachable")


QUIET_SECONDS = 60  # between two lines about a long pass where nobody watches: a log of hours stays readable


class Passes:
    """The `report` that the engine calls: a bar where somebody watches, a line a minute where nobody does.

    One closing line per pass in any case.
    """

    def __init__(self, bars: Progress | None) -> None:
        self.bars, self.name = bars, ""
        self.told = time.monotonic()
        self.task: TaskID | None = None  # a step that has no bar may be the first to close

    def __call__(self, name: str, done: Done, tasks: int) -> None:
        if name != self.name:
            self.name, self.told = name, time.monotonic()
            if self.bars is not None:
                self.task = self.bars.add_task(name, total=tasks, counts="")
        counts = f"{done.documents:,} documents  {as_bytes(done.n_bytes)}"
        if self.bars is None and time.monotonic() - self.told >= QUIET_SECONDS:
            self.told = time.monotonic()
            say(f"{name:<14}{done.tasks:,} of {tasks:,} tasks  {counts}")
        if self.bars is not None and self.task is not None:
            self.bars.update(self.task, completed=done.tasks, total=tasks, counts=counts)

    def close(self, name: str, done: Done, seconds: float) -> None:
        if self.bars is not None and self.task is not None:
            self.bars.update(self.task, visible=False)
        size = as_bytes(done.n_bytes) if done.n_bytes else ""
        speed = f"{as_bytes(done.n_bytes / seconds)}/s" if done.n_bytes and seconds > 0.01 else ""
        say(f"{name:<14}{done.documents:>11,} documents {size:>10}  {seconds:6.1f} s  {speed:>12}".rstrip())


@contextmanager
def passes() -> Iterator[Passes]:
    if not sys.stderr.isatty():
        yield Passes(None)
        return
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bars:
        yield Passes(bars)
