"""One task of a pass, on whatever machine: done once, by one process at a time, its trouble brought home whole.

    executor.pik ─▶ attempt(program, rank) ─▶ None                     the task is done, its marker stands
                                           └▶ bytes of an exception    raised where the user is: a Fault stays a Fault

Trouble travels as bytes rather than as an exception that is raised again and again on its way: through a pipe (local),
an object store (Ray) or a file (Slurm) it arrives the same, with the traceback of the task as its cause, once.
"""

from __future__ import annotations

import fcntl
import pickle
import shutil
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, cast

from curate.engines.troubles import fault_of
from curate.shards.fault import Fault

WORKING = "working"
PATIENCE = 60  # seconds to wait for a process that works on the same task
PROGRAM = "executor.pik"  # the name datatrove gives to a pickled executor


def write_program(executor: Any, folder: Path) -> str:
    """Put the executor where every worker finds it: sent along with each task, a list of 100,000 files would cost."""
    import dill

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PROGRAM
    # by value with what it refers to: a pass may be defined in the script that runs it, which workers don't import
    path.write_bytes(dill.dumps(executor, recurse=True))
    return str(path)


def attempt(program: str, rank: int) -> bytes | None:
    """Do a task unless it has its marker. Returns what went wrong, for `raise_trouble`."""
    try:
        _executor(program, Path(program).stat().st_mtime_ns)._run_for_rank(rank)
    except Exception as error:
        return trouble(error)
    return None


@lru_cache(maxsize=1)
def _executor(program: str, written: int) -> Any:
    import dill

    return dill.loads(Path(program).read_bytes())


def trouble(error: Exception) -> bytes:
    """An exception as bytes that can be read anywhere. What the user can mend becomes a Fault here."""
    text = "".join(traceback.format_exception(error))
    try:
        raw = pickle.dumps((fault_of(error) or error, text))
        pickle.loads(raw)  # an exception with arguments of its own may be written and yet not be read
    except Exception:
        return pickle.dumps((RuntimeError(str(error)), text))
    return raw


def raise_trouble(raw: bytes) -> None:
    error, text = pickle.loads(raw)
    raise error from None if isinstance(error, Fault) else InTask(text)


class InTask(Exception):
    """The traceback of a task, as the cause of the error that it brought home."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"


@contextmanager
def at_work(engine: Path, rank: int) -> Iterator[None]:
    """Hold a task's note, locked, while it is done: the lock is gone with the process, however that ends."""
    note = engine / WORKING / f"{rank:05d}"
    note.parent.mkdir(parents=True, exist_ok=True)
    with note.open("wb") as file:
        _lock(file)
        yield
    note.unlink(missing_ok=True)


def await_last_run(engine: Path) -> None:
    """Wait for workers whose parent was killed: they end a moment later, and two writing one file would garble it."""
    for note in sorted((engine / WORKING).glob("*")):
        with suppress(FileNotFoundError), note.open("rb") as file:
            _lock(file)
    shutil.rmtree(engine / WORKING, ignore_errors=True)


def _lock(file: IO[bytes]) -> None:
    """Have a file for this process alone, or go on: some network drives have no locks, or keep those of a dead node."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        except OSError:
            return
        else:
            return


def lost(step: Any, rank: int, how: str, hint: str, log: str = "") -> Fault:
    """The fault of a task whose process is gone."""
    place = cast(str, step.place(rank))
    return Fault(
        f"the process that worked on task {rank} of pass {step.name!r} {how}",
        where=f"{place}, log {log}" if log else place,
        hint=hint,
    )
