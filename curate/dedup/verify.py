"""Exact Jaccard of candidate pairs, whatever their number: shingle sets lie in a file, some are in memory at a time.

Unverified LSH is mostly wrong at scale (pages that share a template share bands), so nothing is called a duplicate on
its signature. A document's text is read once: its distinct shingles go into a file and are fetched from there for each
pair. Texts come through a callable, so that this module neither knows where they lie nor holds them:

    shingle_sets(items ascending) -> parts of (items, offsets (len(items) + 1,), hashes)    distinct, ascending

Legend: m items, p pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.dedup.partitions import Numbers, distinct
from curate.dedup.scattered import read_pieces
from curate.text import Int64s, UInt64s

Float64s: TypeAlias = npt.NDArray[np.float64]
ShingleSets: TypeAlias = Callable[[Int64s], Iterator[tuple[Int64s, Int64s, UInt64s]]]

HASHES_HELD = 1 << 21  # of the sets that are compared at a time: 8 bytes each


class ShingleStore:
    """The shingle sets of some of m items. Use as a context manager: the file lives as long."""

    def __init__(self, path: Path, items: int, shingle_sets: ShingleSets) -> None:
        self.path, self.shingle_sets = path, shingle_sets
        self.first = np.full(items, -1, np.int64)  # (m,) where an item's set begins, in hashes; -1: not there yet
        self.size = np.zeros(items, np.int32)  # (m,)
        self._written = 0

    def __enter__(self) -> ShingleStore:
        self._file = self.path.open("w+b")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def fetch(self, items: Int64s) -> None:
        """Read the texts of those items whose sets are not there yet."""
        missing = distinct(items[self.first[items] < 0])
        if len(missing) == 0:
            return
        for some, offsets, hashes in self.shingle_sets(missing):
            self._file.write(np.ascontiguousarray(hashes).data)
            self.first[some], self.size[some] = self._written + offsets[:-1], np.diff(offsets)
            self._written += len(hashes)
        self._file.flush()

    def jaccards(self, left: Int64s, right: Int64s, hashes_held: int | None = None) -> Float64s:
        """Exact Jaccard (p,) of the items `left[i]` and `right[i]`. `hashes_held`: `HASHES_HELD` unless told."""
        self.fetch(np.concatenate((left, right)))
        order = np.lexsort((right, left))
        answers = np.empty(len(left), np.float64)
        for chunk in _chunks(left[order], right[order], self.size, hashes_held or HASHES_HELD):
            pairs = order[chunk]
            items = distinct(np.concatenate((left[pairs], right[pairs])))
            one, two = np.searchsorted(items, left[pairs]), np.searchsorted(items, right[pairs])
            answers[pairs] = jaccards(*self._sets(items), one, two)
        return answers

    def _sets(self, items: Int64s) -> tuple[Int64s, UInt64s]:
        offsets = np.concatenate(([0], np.cumsum(self.size[items], dtype=np.int64)))
        hashes = np.empty(offsets[-1], np.uint64)
        read_pieces(self._file.fileno(), self.first[items] * 8, np.diff(offsets) * 8, hashes)
        return offsets, hashes


def _chunks(left: Int64s, right: Int64s, size: Numbers, held: int) -> list[slice]:
    """Consecutive pairs (ordered by left) whose sets together stay about `held`."""
    opens = np.ones(len(left), np.int64)
    opens[1:] = left[1:] != left[:-1]  # a left item is fetched once for all its pairs
    cost = size[right] + opens * size[left]  # int64, as `opens`
    number = (np.cumsum(cost) - cost) // held
    edges = np.flatnonzero(np.diff(number, prepend=-1, append=-1))
    return [slice(int(a), int(b)) for a, b in pairwise(edges)]


@njit(cache=True, nogil=True)
def jaccards(offsets, hashes, one, two):  # type: ignore[no-untyped-def]
    """Of the sets hashes[offsets[i] : offsets[i + 1]], each ascending: (p,). Two empty sets share nothing: 0."""
    answers = np.zeros(len(one), np.float64)
    for pair in range(len(one)):
        a, a_end = offsets[one[pair]], offsets[one[pair] + 1]
        b, b_end = offsets[two[pair]], offsets[two[pair] + 1]
        size = (a_end - a) + (b_end - b)
        shared = 0
        while a < a_end and b < b_end:
            left, right = hashes[a], hashes[b]
            shared += left == right
            a += left <= right
            b += right <= left
        if size:
            answers[pair] = shared / (size - shared)
    return answers
