"""A pass to be interrupted: its units write Parquet row by row, and die, fail or wait where a file tells them to."""

from __future__ import annotations

import hashlib
import os
import random
import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curate.engine import Pass, Progress, Tally

UNITS, STEPS = 5, 4


class Working(Pass):
    """`orders/<rank>-<step>` holds what happens to the task of that rank at that step, once."""

    name = "work"

    def __init__(self, folder: Path, tasks: int = UNITS) -> None:
        super().__init__(folder, tasks)
        self.orders = folder.parent / "orders"

    def place(self, rank: int) -> str:
        return f"raw/part-{rank}.jsonl"

    def unit(self, rank: int, tally: Tally) -> None:
        rng = random.Random(rank)
        beside = self.folder / f".unit-{rank}.tmp"
        with pq.ParquetWriter(beside, pa.schema([("text", pa.string())])) as writer:
            for step in range(STEPS):
                rows = [hashlib.sha256(rng.randbytes(8)).hexdigest() for _ in range(50)]
                writer.write(pa.record_batch({"text": rows}))
                self._obey(rank, step)
                tally.add(len(rows), 64 * len(rows))
        os.replace(beside, self.folder / f"unit-{rank}.parquet")
        self._obey(rank, STEPS)  # written, and no marker yet

    def _obey(self, rank: int, step: int) -> None:
        order = self.orders / f"{rank}-{step}"
        if not order.exists():
            return
        what, _, detail = order.read_text().partition(" ")
        order.unlink()
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif what == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif what == "orphan":
            os.kill(int((self.orders / "parent").read_text()), signal.SIGKILL)
            signal.pause()
        elif what == "wait":
            with open(detail, "w"):  # whoever reads it knows that the task is at work, and when it ends
                signal.pause()
        elif what == "fill":
            with open("/dev/full", "wb") as file:
                file.write(b"x")
                file.flush()
        elif what == "read":
            Path(detail).read_bytes()
        elif what == "bug":
            raise ZeroDivisionError(f"a bug of ours in task {rank}")


class Nodes(Pass):
    """Notes on which node of a Ray cluster each unit is done."""

    name = "nodes"

    def unit(self, rank: int, tally: Tally) -> None:
        import ray

        (self.folder / f"node-of-{rank}").write_text(ray.get_runtime_context().get_node_id())
        Working(self.folder, self.tasks).unit(rank, tally)


def order(place: Path, rank: int, step: int, what: str) -> None:
    (place / "orders" / f"{rank}-{step}").write_text(what)


def made(place: Path) -> dict[str, str]:
    """sha256 of what a pass has written, engine's own files aside."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((place / "made").glob("[!._]*"))
    }


def new_place(folder: Path) -> Path:
    for name in ("made", "orders"):
        (folder / name).mkdir(parents=True)
    return folder


def quiet(name: str, done: Progress, tasks: int) -> None:
    pass
