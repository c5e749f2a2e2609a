"""Runs a pass of curation through datatrove's executors: here, on a Ray cluster or on a Slurm cluster.

A pass is a datatrove `PipelineStep` whose task `rank` does unit `rank` and writes that unit's files, each appearing
whole. What a unit is depends on the input alone, so neither the number of workers nor the engine changes a byte; a task
that was killed has no completion marker and is done again on the next run.

    run_pass(Sift(folder, units, ...), Where("local", workers=2), report)
       ├─ Where("local")   processes of this machine, forked from a warm server
       ├─ Where("ray")     tasks of a Ray cluster
       └─ Where("slurm")   a task array, waited for
"""

from __future__ import annotations

import os
import resource
import struct
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from datatrove.pipeline.base import PipelineStep

from curate.engines.jobs import SlurmJobs
from curate.engines.server import start_server
from curate.engines.task import at_work
from curate.engines.troubles import fault_of
from curate.memory import keep_memory
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

    def place(self, rank: int) -> str:
        """What a task works on, for the message where its process is lost."""
        return f"task {rank}"

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        keep_memory()  # a worker of a cluster comes from no server of ours, which has done so
        with at_work(self.engine, rank), Tally.at(self.engine, rank) as tally:
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


@dataclass(frozen=True, slots=True)
class Where:
    """Where passes run. The recipe's `engine`."""

    kind: Literal["local", "ray", "slurm"] = "local"
    workers: int | None = None
    """Tasks at a time. None: one per core (local), all that the cluster gives (ray, slurm)."""
    address: str | None = None
    """Of a Ray cluster. None: one of this machine alone."""
    slurm: SlurmJobs = field(default_factory=SlurmJobs)


@contextmanager
def ready(where: Where) -> Iterator[None]:
    """Have at hand what passes need while the block runs, so that each of them does not start it anew."""
    if where.kind == "ray":
        from curate.engines.ray import cluster

        with cluster(where.address, where.workers):
            yield
        return
    if where.kind == "local":
        start_server()
    yield


def run_pass(step: Pass, where: Where | int, report: Report) -> Progress:
    """Run all units of a pass, those that an interrupted run finished aside. A number: so many processes here.

    Raises what a unit raised: a Fault of the user's, or our own bug; and Fault where a worker was killed, a file went
    away, the disk is full.
    """
    if step.tasks == 0:
        return Progress()
    where = Where(workers=where) if isinstance(where, int) else where
    _hush()
    try:
        step.engine.mkdir(parents=True, exist_ok=True)
        with _reported(step, report), ready(where):
            _executor(step, where)()
    except OSError as error:
        if fault := fault_of(error):
            raise fault from None
        raise
    return how_far(step.engine)


def _executor(step: Pass, where: Where) -> Callable[[], None]:
    """What runs the tasks that have no marker."""
    tasks, folder = step.tasks, str(step.engine)
    if where.kind == "slurm":
        from curate.engines.slurm import SlurmExecutor

        return SlurmExecutor(step, tasks, where.workers or -1, step.engine, where.slurm).submit_and_wait
    if where.kind == "ray":
        from curate.engines.ray import RayExecutor

        return RayExecutor([step], tasks, where.workers or -1, logging_dir=folder).run
    from curate.engines.local import LocalExecutor

    return LocalExecutor([step], tasks, where.workers or cores("auto"), logging_dir=folder).run


def _hush() -> None:
    """Without datatrove's running commentary: our progress bar and faults say it instead."""
    from loguru import logger

    logger.disable("datatrove")


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
def _reported(step: Pass, report: Report) -> Iterator[None]:
    """Report now and then while the block runs, and at its end."""
    over = threading.Event()

    def watch() -> None:
        pause = 0.25
        while not over.wait(pause):
            begun = time.monotonic()
            report(step.name, how_far(step.engine), step.tasks)
            pause = max(0.25, 20 * (time.monotonic() - begun))  # thousands of tallies on a network drive take a while

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        report(step.name, how_far(step.engine), step.tasks)
