"""A corpus of any size whose copies are known: short documents by formula, nothing held, any of them at any time.

    number of a document ─scatter▶ slot ─▶ family (slot // 100, base) and what the member changes ─▶ hashes of its words

Words are drawn from a vocabulary by Zipf's law; a document has 60 to 120. Of every hundred slots a pattern says which
are copies of which: equal ones, and near ones that differ in one to twelve words in a row, so that their Jaccard lies
between 0.7 and 0.99 on both sides of any usual bound. One template stands in two documents of a hundred, and makes up
half of their shingles: they share bands with each other by the ten thousand and must not become one. The scatter puts
copies anywhere in the corpus.

Sketches are made as the first pass of a curation makes them, from hashes of words on (the words of real text would
cost the same for any deduplication), by two threads, and lie in files; shingle sets are made when they are asked for,
as they are there. What the generator itself took is clocked apart.

Legend: n documents, w words.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import gcd
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from curate.dedup.exact import exact_keys
from curate.dedup.minhash import UInt32s, parameters, permuted_minima
from curate.dedup.shingles import shingle_sets, shingles
from curate.lanes import mix
from curate.text import Int64s, TextBatch, UInt64s
from curate.words import Words

CYCLE = 100  # slots of the pattern
BASE, EQUAL, NEAR = 0, 1, 2
LEAST_WORDS, MORE_WORDS = 60, 61
TEMPLATE_WORDS, LEAST_OWN, MORE_OWN = 60, 26, 15
MOST_CHANGED = 12
VOCABULARY = 100_000
SHINGLE_WORDS = 5
AT_ONCE = 1 << 13  # documents

# Families as (equal copies, near copies) beside their base, and how many of each a hundred slots hold. The rest stand
# alone. The first family has the template's text for a base, and so does the first that stands alone.
USUAL = {(0, 1): 6, (1, 0): 5, (2, 0): 2, (3, 0): 1, (2, 1): 1, (1, 1): 1, (0, 2): 2, (0, 3): 1}  # 15 + 15 copies
CROWDED = {(0, 1): 21, (1, 0): 10, (1, 1): 5, (0, 2): 3, (0, 4): 1}  # of 100, 91 are of a family


@dataclass(frozen=True, slots=True)
class Pattern:
    """Of each of a hundred slots."""

    base: Int64s  # (100,) the slot of its family's base
    kind: npt.NDArray[np.uint8]  # (100,) BASE, EQUAL or NEAR
    templated: npt.NDArray[np.bool_]  # (100,)

    @classmethod
    def of(cls, families: dict[tuple[int, int], int]) -> Pattern:
        sizes = [one for one, times in families.items() for _ in range(times)]
        base, kind = list[int](), list[int]()
        for equal, near in sizes:
            base += [len(base)] * (1 + equal + near)
            kind += [BASE, *[EQUAL] * equal, *[NEAR] * near]
        alone = len(base)
        base += range(alone, CYCLE)
        kind += [BASE] * (CYCLE - alone)
        templated = np.isin(base, [0, alone])
        return cls(np.array(base), np.array(kind, np.uint8), templated)


@dataclass(frozen=True, slots=True)
class KnownCopies:
    """n documents, a multiple of a hundred."""

    n: int
    pattern: Pattern

    def slots(self, records: Int64s) -> Int64s:
        return records * _stride(self.n) % self.n

    def record(self, slots: Int64s) -> Int64s:
        return slots * pow(_stride(self.n), -1, self.n) % self.n

    def bases(self, records: Int64s) -> Int64s:
        """The record that each was made from: its own for a base."""
        slots = self.slots(records)
        return self.record(slots // CYCLE * CYCLE + self.pattern.base[slots % CYCLE])

    def kinds(self, records: Int64s) -> npt.NDArray[np.uint8]:
        return self.pattern.kind[self.slots(records) % CYCLE]

    def batch(self, records: Int64s) -> TextBatch:
        """The documents, as what they are after their words were found."""
        first, hashes = _words(self.slots(records), self.pattern.base, self.pattern.kind, self.pattern.templated)
        return _Made(first, hashes)


class _Made(TextBatch):
    """A batch whose words are known; of its text nothing else exists."""

    def __init__(self, first: Int64s, hashes: UInt64s) -> None:
        super().__init__(pa.array([""] * (len(first) - 1), pa.large_string()))
        none = np.zeros(0, np.int64)
        self.__dict__["words"] = Words(
            first, none, none, hashes, hashes[:0], np.zeros(0, np.int32), np.zeros(0, np.uint8)
        )


def _stride(n: int) -> int:
    """Near the golden section of n and prime to it: neighbours in the pattern lie far apart in the corpus."""
    stride = int(n * 0.6180339887498949) | 1
    while gcd(stride, n) > 1:
        stride += 2
    return stride


@njit(cache=True, nogil=True)
def _words(slots, base, kind, templated):  # type: ignore[no-untyped-def]
    """(first (n + 1,), hashes (w,)) of the documents in these slots."""
    first = np.zeros(len(slots) + 1, np.int64)
    for i in range(len(slots)):
        place = slots[i] % CYCLE
        family = np.uint64(slots[i] - place + base[place])
        more = np.int64(_drawn(family, np.uint64(0)) >> np.uint64(8))
        if templated[place]:
            first[i + 1] = first[i] + TEMPLATE_WORDS + LEAST_OWN + more % MORE_OWN
        else:
            first[i + 1] = first[i] + LEAST_WORDS + more % MORE_WORDS
    hashes = np.empty(first[-1], np.uint64)
    for i in range(len(slots)):
        place = slots[i] % CYCLE
        family = np.uint64(slots[i] - place + base[place])
        begin, words = first[i], first[i + 1] - first[i]
        shared = TEMPLATE_WORDS if templated[place] else 0
        for at in range(words):
            hashes[begin + at] = _word(family if at >= shared else ~np.uint64(0), at)
        if kind[place] == NEAR:
            own = ~np.uint64(slots[i])
            draw = np.int64(_drawn(own, np.uint64(0)) >> np.uint64(8))
            changed = 1 + draw % MOST_CHANGED
            begins = words - changed  # at the end, or anywhere
            if draw // MOST_CHANGED % 2:
                begins = draw // (2 * MOST_CHANGED) % (words - changed + 1)
            for at in range(begins, begins + changed):
                hashes[begin + at] = _word(own, at)
    return first, hashes


@njit(cache=True, nogil=True, inline="always")
def _drawn(one, two):  # type: ignore[no-untyped-def]
    return mix(mix(one * np.uint64(2) + np.uint64(1)) + two)


@njit(cache=True, nogil=True, inline="always")
def _word(text, at):  # type: ignore[no-untyped-def]
    """The hash of a word whose rank is as likely as one over it: the logarithm of the rank is drawn evenly."""
    even = np.float64(_drawn(text, np.uint64(at + 1)) >> np.uint64(11)) / 2.0**53
    return mix(np.uint64(VOCABULARY**even))


# -- sketches of them


@dataclass(slots=True)
class MadeSketches:
    """See curate.dedup.resolve.Sketches: keys and signatures in files of fixed rows, shingle sets on demand."""

    known: KnownCopies
    folder: Path
    permutations: int
    seconds_of_generator: float = field(default=0.0)

    def make(self, threads: int) -> None:
        """Write keys and signatures of all documents."""
        with (
            ThreadPoolExecutor(threads) as pool,
            self._file("keys", "wb") as keys,
            self._file("minima", "wb") as minima,
        ):
            blocks = range(0, self.known.n, AT_ONCE)

            def sketch(at: int) -> float:
                took, batch = self._batch(np.arange(at, min(self.known.n, at + AT_ONCE)))
                os.pwrite(keys.fileno(), exact_keys(batch).data, at * 16)
                rows = permuted_minima(*shingles(batch, SHINGLE_WORDS), *parameters(self.permutations, 1))
                os.pwrite(minima.fileno(), rows.data, at * rows.shape[1] * 4)
                return took

            self.seconds_of_generator += sum(pool.map(sketch, blocks)) / threads

    def exact_keys(self) -> Iterator[tuple[Int64s, UInt64s]]:
        with self._file("keys", "rb") as file:
            for at in range(0, self.known.n, AT_ONCE):
                keys = np.fromfile(file, np.uint64, AT_ONCE * 2).reshape(-1, 2)
                yield np.arange(at, at + len(keys)), keys

    def signatures(self, wanted: npt.NDArray[np.bool_]) -> Iterator[tuple[Int64s, UInt32s]]:
        with self._file("minima", "rb") as file:
            for at in range(0, self.known.n, AT_ONCE):
                rows = np.fromfile(file, np.uint32, AT_ONCE * self.permutations).reshape(-1, self.permutations)
                here = np.flatnonzero(wanted[at : at + AT_ONCE])
                yield at + here, rows[here]

    def shingle_sets(self, records: Int64s) -> Iterator[tuple[Int64s, Int64s, UInt64s]]:
        for at in range(0, len(records), AT_ONCE):
            some = records[at : at + AT_ONCE].astype(np.int64)
            took, batch = self._batch(some)
            self.seconds_of_generator += took
            yield some, *shingle_sets(batch, SHINGLE_WORDS)

    def named(self, records: Int64s) -> tuple[pa.LargeStringArray, Int64s]:
        digits = pc.utf8_lpad(pc.cast(pa.array(records), pa.large_string()), 10, "0")
        slots = self.known.slots(records.astype(np.int64))
        lengths = LEAST_WORDS * 6 + slots // 7 % 5  # what a policy compares: ties, and differences
        return digits, lengths

    def _batch(self, records: Int64s) -> tuple[float, TextBatch]:
        begun = time.thread_time()
        batch = self.known.batch(records)
        return time.thread_time() - begun, batch

    def _file(self, name: str, mode: str):  # type: ignore[no-untyped-def]
        return (self.folder / name).open(mode)
