"""Runs a pass of curation through datatrove's executors.

A pass is a datatrove `PipelineStep` whose task `rank` does unit `rank` and writes that unit's files, each appearing
whole.
What a unit is depends on the input alone, so the number of workers changes no byte; a task that was killed has no
completion marker and is done again on the next run.
"""

from __future__ import annotations

import os
import resource
import struct
import sys
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from curate.shards.seal import ENGINE

_TALLY = struct.Struct("<QQQ")  # documents, bytes, peak resident bytes of the process


class Pass(PipelineStep):
    """One pass over all units. A subclass says what is done with a unit; the executor calls `run` in its workers."""

    type = "postgrad"
    name = "pass"  # a subclass gives the verb that the progress bar shows

    def __init__(self, folder: Path, tasks: int) -> None:
        super().__init__()
        self.folder = folder
        """Where the units' files appear."""
        self.tasks = tasks

    @property
    def engine(self) -> Path:
        """Where the executor's markers and the tallies lie while the folder is in the making."""
        return self.folder / ENGINE / self.name

    @abstractmethod
    def unit(self, rank: int, tally: Tally) -> None:
        """Do unit `rank`: read, work, write its files atomically, tell the tally."""

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        with Tally.at(self.engine, rank) as tally:
            self.unit(rank, tally)
        self.stat_update("documents", value=tally.documents)
        self.stat_update("bytes", value=tally.n_bytes)
        yield from data or ()


class Tally:
    """Documents and bytes a task has done, in a file of 24 bytes that the parent's progress bar reads."""

    def __init__(self, path: Path) -> None:
        self.path, self.documents, self.n_bytes = path, 0, 0
        self._told = 0.0

    @classmethod
    @contextmanager
    def at(cls, engine: Path, rank: int) -> Iterator[Tally]:
        path = engine / "tally" / f"{rank:05d}"
        path.parent.mkdir(parents=True, exist_ok=True)
        tally = cls(path)
        yield tally
        tally._tell()

    def add(self, documents: int, n_bytes: int) -> None:
        self.documents += documents
        self.n_bytes += n_bytes
        if time.monotonic() - self._told > 0.2:
            self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self.path.write_bytes(_TALLY.pack(self.documents, self.n_bytes, peak))


class _QuietExecutor(LocalPipelineExecutor):
    """datatrove's local executor without its running commentary: our progress bar and faults say it instead."""

    def run(self) -> Any:
        _hush()
        return super().run()

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> Any:
        _hush()
        return super()._run_for_rank(rank, local_rank, node_rank)


def _hush() -> None:
    from loguru import logger

    logger.disable("datatrove")


def cores(workers: str | int) -> int:
    return len(os.sched_getaffinity(0)) if workers == "auto" else int(workers)


@dataclass(frozen=True, slots=True)
class Progress:
    documents: int = 0
    n_bytes: int = 0
    tasks: int = 0
    """Tasks that are finished."""
    peak_bytes: int = 0
    """Largest resident memory of any process that worked on the pass."""


Report = Callable[[str, Progress, int], None]
"""Called now and then with (pass name, how far it is, tasks in all)."""


def run_pass(step: Pass, workers: int, report: Report) -> Progress:
    """Run all units of a pass, those that an interrupted run finished aside.

    Raises what a unit raised: a Fault of the user's, or our own bug.
    """
    if step.tasks == 0:
        return Progress()
    executor = _QuietExecutor(
        pipeline=[step],
        tasks=step.tasks,
        workers=min(workers, step.tasks),
        logging_dir=str(step.engine),
        start_method="forkserver",
    )
    with _watched(step, report):
        executor.run()
    return how_far(step.engine)


def how_far(engine: Path) -> Progress:
    """Over all tasks of a pass so far."""
    read = [path.read_bytes() for path in (engine / "tally").glob("*")]
    tallies = [_TALLY.unpack(raw) for raw in read if len(raw) == _TALLY.size]
    return Progress(
        documents=sum(t[0] for t in tallies),
        n_bytes=sum(t[1] for t in tallies),
        tasks=len(list((engine / "completions").glob("*"))),
        peak_bytes=max((t[2] for t in tallies), default=0),
    )


@contextmanager
def _watched(step: Pass, report: Report) -> Iterator[None]:
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.25):
            report(step.name, how_far(step.engine), step.tasks)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        report(step.name, how_far(step.engine), step.tasks)


def preload_workers() -> None:
    """Let the fork server import what every worker needs, once for all passes."""
    import multiprocess

    if sys.platform != "win32":
        multiprocess.get_context("forkserver").set_forkserver_preload(["curate.passes.sift", "curate.passes.shard"])
