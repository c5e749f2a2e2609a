"""The ids of a segment, in a file that is mapped; and ids and texts together, as numbers: has this one entered before?

A corpus that is published again, or a file that is named twice, must not enter twice. Segments that lie on disk are
asked through what they post (curate/index/segment.py) and compared exactly; of the segment in the making, 8 bytes of a
document are held. At 64 bits the chance that any two of 10^8 different documents of one segment meet is 0.0003; one
would then be passed over, and counted as being there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.dedup.partitions import positions
from curate.text import Int64s, UInt64s
from curate.xxh64 import xxh64

_BY_NAME = np.uint64(0xA54FF53A5F1D36F1)  # tells a name from what else a document is posted under


@dataclass(frozen=True, slots=True)
class Ids:
    """Looked up a record batch at a time: Arrow would bring the whole column together to take a few of it."""

    column: pa.ChunkedArray  # (n,)
    first: Int64s  # (chunks + 1,)
    chunks: list[pa.LargeStringArray]

    @classmethod
    def open(cls, path: Path) -> Ids:
        column = pa.ipc.open_file(pa.memory_map(str(path))).read_all()["id"]
        sizes = [len(chunk) for chunk in column.chunks]
        return cls(column, np.concatenate(([0], np.cumsum(sizes, dtype=np.int64))).astype(np.int64), column.chunks)

    def take(self, rows: Int64s) -> pa.LargeStringArray:
        number = np.searchsorted(self.first, rows, side="right") - 1
        order = np.argsort(number, kind="stable")
        edges = np.flatnonzero(np.diff(number[order], prepend=-1, append=-1))
        parts = [pa.array([], pa.large_string())]
        for some in (order[at:stop] for at, stop in pairwise(edges.tolist())):
            chunk = int(number[some[0]])
            parts.append(self.chunks[chunk].take(pa.array(rows[some] - self.first[chunk])))
        return pa.concat_arrays(parts).take(pa.array(np.argsort(order)))


def names(ids: pa.Array | pa.ChunkedArray, keys: UInt64s) -> UInt64s:
    """Of documents with these ids and exact keys (n, 2): (n,)."""
    return xxh64(ids) ^ keys[:, 1] ^ _BY_NAME


@dataclass(slots=True)
class Seen:
    """Names in sorted runs, each at least twice as long as the next: few to search, and each name is moved rarely."""

    runs: list[Int64s] = field(default_factory=list)

    def new(self, given: UInt64s) -> npt.NDArray[np.bool_]:
        """Which of these come for the first time; from here on they have come."""
        some = given.view(np.int64)
        order = np.argsort(some, kind="stable")
        is_new = np.ones(len(some), np.bool_)
        is_new[order[1:][some[order][1:] == some[order][:-1]]] = False
        for run in self.runs:
            is_new &= positions(some, run) < 0
        self.runs.append(np.sort(some[is_new]))
        while len(self.runs) > 1 and len(self.runs[-2]) < 2 * len(self.runs[-1]):
            self.runs.append(np.sort(np.concatenate((self.runs.pop(), self.runs.pop()))))
        return is_new
