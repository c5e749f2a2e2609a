"""Runs a pass of curation through datatrove's executors.

A pass is a datatrove `PipelineStep` whose task `rank` does unit `rank` and writes that unit's files, each appearing
whole.
What a unit is depends on the input alone, so the number of workers changes no byte; a task that was killed has no
completion marker and is done again on the next run.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import struct
import sys
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from curate.shards.fault import Fault
from curate.shards.seal import ENGINE

WORKING = "working"
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
        with _at_work(self.engine, rank), Tally.at(self.engine, rank) as tally:
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


@contextmanager
def _at_work(engine: Path, rank: int) -> Iterator[None]:
    """Note which process does a task, so that one that is killed is missed: the pool would wait for it for ever."""
    note = engine / WORKING / f"{rank:05d}"
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(str(os.getpid()))
    try:
        yield
    finally:
        note.unlink()


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
    if workers != "auto":
        return int(workers)
    ours = getattr(os, "sched_getaffinity", None)  # macOS has none
    return len(ours(0)) if ours else os.cpu_count() or 1


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

    Raises what a unit raised: a Fault of the user's, or our own bug; and Fault where a worker was killed.
    """
    if step.tasks == 0:
        return Progress()
    shutil.rmtree(step.engine / WORKING, ignore_errors=True)  # of a run that was killed
    executor = _QuietExecutor(
        pipeline=[step],
        tasks=step.tasks,
        workers=min(workers, step.tasks),
        logging_dir=str(step.engine),
        start_method="forkserver",
    )
    with _watched(step, report) as lost:
        try:
            executor.run()
        except KeyboardInterrupt:
            if lost:
                raise Fault(
                    f"the process that worked on task {lost[0]} of pass {step.name!r} was killed, most likely by the "
                    "system for want of memory",
                    hint="the same command goes on from here; give it fewer processes with  --set engine.workers=1",
                ) from None
            raise
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
def _watched(step: Pass, report: Report) -> Iterator[list[int]]:
    """Report while the block runs, and interrupt it when a worker dies: the list then holds the tasks that are lost."""
    over, lost = threading.Event(), list[int]()

    def watch() -> None:
        while not over.wait(0.25):
            report(step.name, how_far(step.engine), step.tasks)
            if not lost and (gone := _lost(step.engine)):
                lost.extend(gone)
                # a real signal: only that wakes a main thread that waits for results
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lost
    finally:
        over.set()
        watcher.join()
        report(step.name, how_far(step.engine), step.tasks)


def _lost(engine: Path) -> list[int]:
    """Tasks whose process is gone although it has not finished them."""
    gone = []
    for note in (engine / WORKING).glob("*"):
        with suppress(FileNotFoundError, ValueError):  # taken away, or not yet written
            if not _is_alive(int(note.read_text())) and note.exists():
                gone.append(int(note.name))
    return sorted(gone)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def preload_workers() -> None:
    """Let the fork server import what every worker needs, once for all passes."""
    import multiprocess

    if sys.platform != "win32":
        multiprocess.get_context("forkserver").set_forkserver_preload(["curate.passes.sift", "curate.passes.shard"])
