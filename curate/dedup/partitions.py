"""Which of many records share a key, in the memory of a part of them: spilled by ranges of the key, sorted one by one.

    (key, record) of all records ─add▶ ┌ part 0: keys 0000… ┐
                                       │ part 1: keys 0100… │ ─sort each▶ runs of equal keys, in the order of the keys
                                       └ …                  ┘

A part is a file in a scratch folder and holds about `ENTRIES_HELD` entries: what is in memory at a time, however many
there are in all. Parts are ranges of the key's upper bits, so the runs come in the order of their keys whatever the
number of parts: it is chosen for memory and changes no answer.

Most keys stand alone. Before a part is sorted, a bitmap of eight bits an entry tells the keys that may have met another
from those that surely have not: one pass of random accesses into a megabyte in place of a sort of everything.

Legend: e entries, w columns of an entry: the key first, the record last, what else must be equal between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.text import Int64s, UInt64s

Numbers: TypeAlias = npt.NDArray[np.signedinteger[Any]]
"""Of records or items: int32 where all of them fit, for these are what memory goes to."""

ENTRIES_HELD = 1 << 20
MOST_PARTS = 512  # files open at a time


@dataclass(frozen=True, slots=True)
class Runs:
    """Groups of records that share a key, at least two in each; inside a run records ascend."""

    records: Int64s  # (e,)
    first: Int64s  # (runs + 1,) run i is records[first[i] : first[i + 1]]

    def __len__(self) -> int:
        return len(self.first) - 1

    @property
    def sizes(self) -> Int64s:
        return np.diff(self.first)

    def of(self, chosen: np.ndarray) -> Runs:
        """Some of the runs, by a mask."""
        kept = np.repeat(chosen, self.sizes)
        return Runs(self.records[kept], np.concatenate(([0], np.cumsum(self.sizes[chosen]))))

    def between(self, begin: int, stop: int) -> Runs:
        first = self.first[begin : stop + 1]
        return Runs(self.records[first[0] : first[-1]], first - first[0])


def parts_for(entries: int) -> int:
    """How many parts, a power of two, keep each near `ENTRIES_HELD`."""
    return min(MOST_PARTS, 1 << max(0, -(-entries // ENTRIES_HELD) - 1).bit_length())


class Spill:
    """Entries on their way to disk. After the `with` block they are read back, once."""

    def __init__(self, folder: Path, columns: int, parts: int) -> None:
        self.folder, self.columns, self.parts = folder, columns, parts

    def __enter__(self) -> Spill:
        self.folder.mkdir(parents=True)
        self._open = ExitStack()
        self._files = [self._open.enter_context(self._file(part).open("wb")) for part in range(self.parts)]
        return self

    def add(self, entries: UInt64s) -> None:  # (e, w)
        """Write entries to the parts that their keys belong to."""
        ordered, first = _by_part(np.ascontiguousarray(entries), self.parts)
        for part, file in enumerate(self._files):
            file.write(ordered[first[part] : first[part + 1]])

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()

    def read(self) -> Iterator[UInt64s]:
        """The entries of each part (e, w), in the order of the parts. A part's file is gone once it has been read."""
        for part in range(self.parts):
            entries = np.fromfile(self._file(part), np.uint64).reshape(-1, self.columns)
            self._file(part).unlink()
            yield entries

    def runs(self) -> Iterator[Runs]:
        """One answer per part, in the order of the keys."""
        yield from map(runs, self.read())

    def _file(self, part: int) -> Path:
        return self.folder / f"part-{part:03d}"


def distinct(values: Int64s) -> Int64s:
    """Ascending, each once. (np.unique hashes since NumPy 2.3, and takes a hundred times longer on codes of pairs.)"""
    ordered = np.sort(values)
    return ordered[np.diff(ordered, prepend=ordered[:1] - 1) != 0]


def narrowest(below: int) -> type[np.signedinteger[Any]]:
    """The kind of integer that holds all numbers below this one, and -1."""
    return np.int32 if below <= 1 << 31 else np.int64


def positions(values: Numbers, ascending: Numbers) -> Int64s:
    """Where each value stands among the ascending ones; -1 where it does not. Both of one kind, or one is copied."""
    if len(ascending) == 0:
        return np.full(len(values), -1)
    at = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return np.where(ascending[at] == values, at, -1)


def runs(entries: UInt64s) -> Runs:  # (e, w)
    """The runs of records whose other columns are all equal, in the order of these."""
    some = that_may_meet(entries)
    some = some[np.lexsort(some.T[::-1])]
    differs = (some[1:, :-1] != some[:-1, :-1]).any(axis=1)
    first = np.flatnonzero(np.concatenate(([True], differs, [True])) if len(some) else [])
    every = Runs(some[:, -1].astype(np.int64), first if len(some) else np.zeros(1, np.int64))
    return every.of(every.sizes > 1)


@dataclass(frozen=True, slots=True)
class Numbering:
    """The chosen of N records, numbered in their order. What `np.searchsorted` among them finds, in two steps of memory
    however many they are."""

    chosen: npt.NDArray[np.bool_]  # (N,)
    before: Int64s  # (N / 64,) how many are chosen before each 64th record

    @classmethod
    def of(cls, chosen: npt.NDArray[np.bool_]) -> Numbering:
        return cls(chosen, _chosen_before(chosen))

    def __call__(self, records: Numbers) -> Numbers:
        """The number of each record, of the kind that records are; all are chosen."""
        return _numbers(self.chosen, self.before, records)


@njit(cache=True, nogil=True)
def _chosen_before(chosen):  # type: ignore[no-untyped-def]
    before, n = np.zeros(len(chosen) // 64 + 1, np.int64), 0
    for record in range(len(chosen)):
        if record % 64 == 0:
            before[record // 64] = n
        n += chosen[record]
    return before


@njit(cache=True, nogil=True)
def _numbers(chosen, before, records):  # type: ignore[no-untyped-def]
    numbers = np.empty_like(records)
    for at in range(len(records)):
        record = records[at]
        number = before[record // 64]
        for other in range(record // 64 * 64, record):
            number += chosen[other]
        numbers[at] = number
    return numbers


@njit(cache=True, nogil=True)
def _by_part(entries, parts):  # type: ignore[no-untyped-def]
    """(entries ordered by part, first (parts + 1,)): a part is as many upper bits of the key as tell them apart."""
    bits = 0
    while 1 << bits < parts:
        bits += 1
    first = np.zeros(parts + 1, np.int64)
    for at in range(len(entries)):
        first[_part(entries[at, 0], bits) + 1] += 1
    first = np.cumsum(first)
    cursor = first[:-1].copy()
    ordered = np.empty_like(entries)
    for at in range(len(entries)):
        part = _part(entries[at, 0], bits)
        ordered[cursor[part]] = entries[at]
        cursor[part] += 1
    return ordered, first


@njit(cache=True, nogil=True, inline="always")
def _part(key, bits):  # type: ignore[no-untyped-def]
    return np.int64(key >> np.uint64(64 - bits)) if bits else np.int64(0)


@njit(cache=True, nogil=True)
def that_may_meet(entries):  # type: ignore[no-untyped-def]
    """The entries whose key is not surely alone: all that share a key, and about one stranger in eight."""
    size = np.uint64(64)
    while size < np.uint64(8 * len(entries)):
        size *= np.uint64(2)
    seen, again = np.zeros(size // np.uint64(64), np.uint64), np.zeros(size // np.uint64(64), np.uint64)
    for at in range(len(entries)):
        bit = entries[at, 0] & (size - np.uint64(1))  # lower bits: the upper ones are the same throughout a part
        flag = np.uint64(1) << (bit & np.uint64(63))
        again[bit >> np.uint64(6)] |= seen[bit >> np.uint64(6)] & flag
        seen[bit >> np.uint64(6)] |= flag
    some = np.empty_like(entries)
    filled = np.int64(0)
    for at in range(len(entries)):
        bit = entries[at, 0] & (size - np.uint64(1))
        some[filled] = entries[at]  # written always, counted if it may have met another: no branch to mispredict
        filled += np.int64(again[bit >> np.uint64(6)] >> (bit & np.uint64(63)) & np.uint64(1))
    return some[:filled].copy()
