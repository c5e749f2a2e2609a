"""The documents that have a copy: their names, and what those that stay weigh.

Clusters are called by the id of a member that may lie anywhere.

Their ids stand in one Arrow file that is mapped, in the order of their records, so that writing one unit's decisions
does not mean looking through all the others for the names in them.

Rehydration (Penedo et al. 2025, FineWeb-2): text that was met often is often good, so a copy that stays may be trained
on more than once an epoch. Its weight follows from the documents it stands for: itself and those that left for it.

    rehydrate {1: 1, 2: 2, 3: 3, 5: 5}      stands for  1  2  3  4  5  9
                                            weight      1  2  3  3  5  5
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.dedup.resolve import NOT_REMOVED, Resolution
from curate.passes.sifted import Int64s
from curate.split import Float64s, places

Bools = npt.NDArray[np.bool_]
UInt8s = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Copies:
    found: Resolution
    ids: pa.ChunkedArray  # (c,) as found.record
    weight: UInt8s  # (c,) of each one if it stays and is trained on
    alone: int = 1
    """Weight of a document that has no copy."""
    without: Sequence[Mapping[str, Any]] = ()
    """Documents of clusters that a policy had nothing to go by for."""

    @classmethod
    def named(
        cls,
        found: Resolution,
        ids: Iterable[pa.LargeStringArray],
        path: Path,
        rehydrate: Mapping[int, int] | None = None,
        without: Sequence[Mapping[str, Any]] = (),
    ) -> Copies:
        """`ids`: of found.record in order, some at a time; they go to the file `path`."""
        schema = pa.schema([("id", pa.large_string())])
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            for some in ids:
                writer.write_batch(pa.record_batch([some], schema=schema))
        names = pa.ipc.open_file(pa.memory_map(str(path))).read_all()["id"]
        alone = int(weight_of(np.ones(1, np.int64), rehydrate)[0])
        return cls(found, names, weight_of(stands_for(found), rehydrate), alone, without)

    def between(self, records: slice) -> slice:
        """Which of the copies are among some records."""
        low, high = np.searchsorted(self.found.record, [records.start, records.stop])
        return slice(int(low), int(high))

    def name(self, records: Int64s) -> pa.ChunkedArray:
        """Ids of records that have a copy; null for -1."""
        return self.ids.take(pa.array(np.searchsorted(self.found.record, records), mask=records < 0))

    def places(self, seed: int) -> Float64s:
        """Where each one's cluster stands in the split."""
        own = np.concatenate([np.zeros(0), *(places(chunk, seed) for chunk in self.ids.chunks)])
        return own[np.searchsorted(self.found.record, self.found.cluster)]

    def numbers(self, kept: Bools) -> dict[str, Any]:
        """For the report. `kept` (N,): records that stay in the end.

        A copy that left stays away where the one preferred to it leaves later, as a leak: what is near to a leak holds
        most of it. How many there are is told.
        """
        left = np.flatnonzero(self.found.level != NOT_REMOVED)
        return {
            "pairs_compared": self.found.pairs_candidates,
            "pairs_verified": self.found.pairs_verified,
            "without_value": [dict(one) for one in self.without],
            "copies_of_what_left_later": int((~kept[self.found.duplicate_of[left]]).sum()),
        }


def stands_for(found: Resolution) -> Int64s:
    """How many documents each one stands for (c,): itself, and those that left for it."""
    left = found.duplicate_of[found.level != NOT_REMOVED]
    return 1 + np.bincount(np.searchsorted(found.record, left), minlength=len(found.record))


def weight_of(sizes: Int64s, rehydrate: Mapping[int, int] | None) -> UInt8s:
    """The weight of the largest size each one reaches; 1 below the smallest."""
    least = np.array([0, *(rehydrate or {})], np.int64)  # ascending, as the settings have them
    return np.array([1, *(rehydrate or {}).values()], np.uint8)[np.searchsorted(least, sizes, side="right") - 1]


def weights(copies: Copies | None, at: slice, stays: Bools, is_trained_on: Bools) -> pa.UInt8Array:
    """How often an epoch trains on each of the records `at`; 1 where it is held out, null where it leaves."""
    found = np.full(at.stop - at.start, 1 if copies is None else copies.alone, np.uint8)
    if copies is not None:
        here = copies.between(at)
        found[copies.found.record[here] - at.start] = copies.weight[here]
    return pa.array(np.where(is_trained_on, found, np.uint8(1)), pa.uint8(), mask=~stays)
