"""Passes in processes of this machine: datatrove's local executor with a loop over workers of our own.

    parent ──rank▶ worker, forked from a warm server ─▶ None or trouble ──▶ parent gives it the next rank

Of `LocalPipelineExecutor` this keeps the pickled pipeline, the ranks and the completion markers, and replaces how
processes are run, for four reasons. Its pool waits for ever for a worker that the system killed; here the end of its
pipe says so at once. Its manager is one process more per pass, and stays behind when the parent is killed. Its workers
import the caller's main program again, so a script without `if __name__ == "__main__"` starts itself for ever. And its
log sinks cost 16 ms a task.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import ModuleType
from typing import Any

from datatrove.executor.local import LocalPipelineExecutor

from curate.engines.server import start_server
from curate.engines.task import attempt, await_last_run, lost, raise_trouble, write_program
from curate.shards.fault import Fault

_FEWER = "the same command goes on from here; give it fewer processes with  --set engine.workers=1"


class LocalExecutor(LocalPipelineExecutor):
    """Every task in a process beside this one, also where there is one worker: a killed worker is then a message."""

    def run(self) -> None:
        folder = Path(self.logging_dir.path)
        await_last_run(folder)
        if ranks := self.get_incomplete_ranks():
            program = write_program(self, folder)
            with _workers(min(self.workers, len(ranks)), program) as workers:
                self._share_out(ranks, workers)

    def _share_out(self, ranks: Sequence[int], workers: dict[connection.Connection, ForkServerProcess]) -> None:
        """Give each worker one rank at a time until all are done. Raises the first trouble."""
        waiting, busy = deque(ranks), dict[connection.Connection, int]()
        idle = list(workers)
        while waiting or busy:
            while idle and waiting:
                pipe = idle.pop()
                busy[pipe] = waiting.popleft()
                with suppress(BrokenPipeError):  # its end is told below
                    pipe.send(busy[pipe])
            for pipe in [pipe for pipe in connection.wait(list(busy)) if isinstance(pipe, connection.Connection)]:
                rank = busy.pop(pipe)
                try:
                    raw = pipe.recv()
                except (EOFError, ConnectionResetError):
                    raise self._lost(rank, workers[pipe]) from None
                if raw is not None:
                    raise_trouble(raw)
                idle.append(pipe)

    def _lost(self, rank: int, worker: ForkServerProcess) -> Fault:
        worker.join(timeout=10)
        code = worker.exitcode
        if code == -signal.SIGKILL:
            how = "was killed, most likely by the system for want of memory"
        elif code is not None and code < 0:
            how = f"crashed ({signal.Signals(-code).name})"
        else:
            how = f"ended before its time (exit code {code})"
        return lost(self.pipeline[0], rank, how, _FEWER)

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> None:
        """As datatrove's, less the log sinks."""
        if not self.is_rank_completed(rank):
            data: Any = None
            for step in self.pipeline:
                data = step(data, rank, self.world_size)
            deque(data or (), maxlen=0)
            self.mark_rank_as_completed(rank)


@contextmanager
def _workers(n: int, program: str) -> Iterator[dict[connection.Connection, ForkServerProcess]]:
    """`n` processes by the pipe each listens to. When the block ends early they are killed, whatever they do."""
    start_server()
    workers: dict[connection.Connection, ForkServerProcess] = {}
    try:
        for _ in range(n):
            ours, theirs = multiprocessing.Pipe()
            worker = ForkServerProcess(target=_serve, args=(theirs, program))
            _start(worker)
            theirs.close()
            workers[ours] = worker
        yield workers
        for pipe in workers:
            with suppress(BrokenPipeError):
                pipe.send(None)
    except BaseException:
        for worker in workers.values():
            _kill(worker)
        raise
    finally:
        for pipe, worker in workers.items():
            worker.join(timeout=10)  # told to stop or killed
            _kill(worker)
            pipe.close()


def _start(worker: ForkServerProcess) -> None:
    try:
        with _no_main_program():
            worker.start()
    except (ConnectionError, EOFError) as error:
        raise Fault("the process that workers are forked from was killed", where="engine", hint=_FEWER) from error


@contextmanager
def _no_main_program() -> Iterator[None]:
    """Keep a worker from importing the program that started us: a script would run again in it, without end."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _kill(worker: ForkServerProcess) -> None:
    if worker.is_alive() and worker.pid:
        with suppress(ProcessLookupError, PermissionError):  # it has not made its own group yet
            os.killpg(worker.pid, signal.SIGKILL)
        worker.kill()
        worker.join()


# in the worker -------------------------------------------------------------------------------------------------------


def _serve(pipe: connection.Connection, program: str) -> None:
    """Do one task after another until told to stop."""
    os.setpgrp()  # Ctrl-C goes to the parent alone, and a kill reaches what a task may have started
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, ConnectionError):  # the parent is gone
        while (rank := pipe.recv()) is not None:
            pipe.send(attempt(program, rank))


def _end_with_parent() -> None:
    """However the parent ends, kill -9 included: a worker that outlived it would write beside the next run's."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.killpg(0, signal.SIGKILL)
