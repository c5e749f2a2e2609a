"""Which published documents some documents are copies of, by name, in bounded memory and without the published text.

    keys, signatures ─look up▶ candidates ─signatures agree▶ ─shingle sets, or their sizes▶ matches, the best first

An exact copy has the same 128-bit key. A near copy shares a band, and what its Jaccard is taken to be depends on what
the index carries:

- shingle sets: the exact Jaccard, as among the documents of one corpus;
- signatures alone: the share of their k values that agree, whose standard error is sqrt(J (1 - J) / k) (0.038 for J =
  0.8, k = 112), so of pairs that lie just at the bound about half are taken. The sizes of the sets, which are known
  exactly, bound it: J is at most the smaller by the larger.

A key that very many published documents share (a template, a cookie banner) offers the first `MOST_OF_A_KEY` of them
in the order they were entered; how often that happened is counted. What resembles such a page much more than its
template shares other bands with it.

Legend: n documents asked about, b bands, p pairs, k permutations. Documents of the index go by their numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.minhash import UInt32s, least_agreement
from curate.dedup.partitions import distinct
from curate.dedup.verify import Float64s, jaccards
from curate.index.folder import Index
from curate.index.sketches import Sketches, found_by
from curate.text import Int64s, UInt64s

Bools: TypeAlias = npt.NDArray[np.bool_]
ShingleSets: TypeAlias = Callable[[Int64s], tuple[Int64s, UInt64s]]

MOST_OF_A_KEY = 4096
PAIRS_HELD = 1 << 18
PAIRS_AT_ONCE = 1 << 14  # whose signatures are compared
HASHES_HELD = 1 << 21  # of the shingle sets that are compared at a time: 8 bytes each


@dataclass(frozen=True, slots=True)
class Asked:
    """Documents that are looked up."""

    keys: UInt64s  # (n, 2)
    signatures: UInt32s  # (n, k)
    sets: ShingleSets
    """(rows ascending) -> (offsets, hashes) of their shingle sets: asked of those alone that meet somebody."""

    @classmethod
    def of(cls, some: Sketches) -> Asked:
        return cls(some.keys, some.signatures, some.sets)


@dataclass(frozen=True, slots=True)
class Matches:
    """In the order of the rows asked about; of one row the best first: exact copies, then by similarity, then by id."""

    row: Int64s  # (p,)
    ids: pa.LargeStringArray  # (p,)
    is_exact: Bools  # (p,)
    similarity: Float64s  # (p,)
    keys_cut: int = 0
    """Keys of the documents asked about whose published documents were too many to look at all."""

    def __len__(self) -> int:
        return len(self.row)


def standard_error(similarity: Float64s, permutations: int) -> Float64s:
    """Of an estimate from so many signature values.

    >>> standard_error(np.array([0.8, 1.0]), 112).round(3).tolist()
    [0.038, 0.0]
    """
    return np.sqrt(similarity * (1 - similarity) / permutations)


def matches(index: Index, asked: Asked, at_least: float, *, every: bool = False) -> Matches:
    """The best match of each document that has one, or `every` one."""
    found = _Found(index, asked)
    parts = [Matches(np.zeros(0, np.int64), pa.array([], pa.large_string()), np.zeros(0, np.bool_), np.zeros(0))]
    for rows, documents in found.pairs():
        parts.append(_judged(index, asked, rows, documents, at_least, every))
    row, is_exact, similarity = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("row", "is_exact", "similarity")
    )
    return Matches(row, pa.concat_arrays([part.ids for part in parts]), is_exact, similarity, found.keys_cut)


class _Found:
    """Ranges of posted documents for everything that the documents asked about are found by."""

    def __init__(self, index: Index, asked: Asked) -> None:
        self.index = index
        keys, counts = found_by(asked.keys, asked.signatures, index.recipe.bands)
        ranges = [segment.ranges(keys) for segment in index.segments]
        self.begin = np.stack([begin for begin, _ in ranges])  # (segments, n, 1 + b)
        size = np.stack([stop - begin for begin, stop in ranges]) * counts
        taken_before = np.cumsum(size, axis=0) - size
        self.size = np.clip(MOST_OF_A_KEY - taken_before, 0, size)
        self.keys_cut = int((size.sum(axis=0) > MOST_OF_A_KEY).sum())

    def pairs(self) -> Iterator[tuple[Int64s, Int64s]]:
        """(rows, documents), each pair once, ascending; those of a row together."""
        per_row = self.size.sum(axis=(0, 2))
        met = np.flatnonzero(per_row)
        block = (np.cumsum(per_row[met]) - per_row[met]) // PAIRS_HELD
        for rows in np.split(met, np.flatnonzero(np.diff(block)) + 1) if len(met) else []:
            codes = [self._codes(at, rows) for at in range(len(self.index.segments))]
            yield np.divmod(distinct(np.concatenate(codes)), len(self.index))

    def _codes(self, at: int, rows: Int64s) -> Int64s:
        """row * documents + document, of what one segment offers."""
        begin, size = self.begin[at, rows], self.size[at, rows]
        which, _ = np.nonzero(size)
        begin, size = begin[size > 0], size[size > 0]
        place = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size) + np.repeat(begin, size)
        documents = self.index.segments[at].documents[place].astype(np.int64) + self.index.first[at]
        return np.repeat(rows[which], size) * len(self.index) + documents


def _judged(index: Index, asked: Asked, rows: Int64s, documents: Int64s, at_least: float, every: bool) -> Matches:
    """The matches among candidate pairs."""
    is_exact = (index.values("keys", documents) == asked.keys[rows]).all(axis=1)
    agree = _agreement(index, asked, rows, documents)
    k = index.recipe.permutations
    # an estimate must reach the bound itself; where the sets decide, chance is given room
    least = least_agreement(k, at_least) if index.carries_sets else ceil(at_least * k - 1e-9)
    chosen = np.flatnonzero(is_exact | (agree >= least))
    rows, documents, is_exact = rows[chosen], documents[chosen], is_exact[chosen]
    similarity = np.ones(len(rows))
    near = np.flatnonzero(~is_exact)
    similarity[near] = _similarity(index, asked, rows[near], documents[near], agree[chosen][near] / k)
    reached = is_exact | (similarity >= at_least)
    rows, documents, is_exact, similarity = (a[reached] for a in (rows, documents, is_exact, similarity))
    ids = index.ids(documents)
    rank = np.empty(len(ids), np.int64)
    rank[pc.sort_indices(ids).to_numpy().astype(np.int64)] = np.arange(len(ids))
    order = np.lexsort((documents, rank, -similarity, ~is_exact, rows))
    if not every:
        order = order[np.diff(rows[order], prepend=-1) != 0]
    return Matches(rows[order], ids.take(pa.array(order)), is_exact[order], similarity[order])


def _agreement(index: Index, asked: Asked, rows: Int64s, documents: Int64s) -> Int64s:
    agree = np.empty(len(rows), np.int64)
    for at in range(0, len(rows), PAIRS_AT_ONCE):
        some = slice(at, at + PAIRS_AT_ONCE)
        agree[some] = (index.values("signatures", documents[some]) == asked.signatures[rows[some]]).sum(axis=1)
    return agree


def _similarity(index: Index, asked: Asked, rows: Int64s, documents: Int64s, estimate: Float64s) -> Float64s:
    if len(rows) == 0:
        return estimate
    asking = distinct(rows)
    offsets, hashes = asked.sets(asking)
    at = np.searchsorted(asking, rows)
    mine, theirs = np.diff(offsets)[at], index.values("sizes", documents).astype(np.int64)
    if not index.carries_sets:
        return np.minimum(estimate, np.minimum(mine, theirs) / np.maximum(np.maximum(mine, theirs), 1))
    return _jaccards(index, (offsets, hashes), at, documents, theirs)


def _jaccards(index: Index, sets: tuple[Int64s, UInt64s], at: Int64s, documents: Int64s, sizes: Int64s) -> Float64s:
    """Of the sets at `at` and those of documents, as many of which are in memory as `HASHES_HELD` allows."""
    answers = np.empty(len(at))
    piece = (np.cumsum(sizes) - sizes) // HASHES_HELD
    for some in np.split(np.arange(len(at)), np.flatnonzero(np.diff(piece)) + 1):
        for segment, there, here in index.parted(documents[some]):
            wanted = distinct(there)
            offsets, hashes = segment.sets(wanted)
            both = np.concatenate((sets[0], sets[0][-1] + offsets[1:]))
            two = len(sets[0]) - 1 + np.searchsorted(wanted, there)
            answers[some[here]] = jaccards(both, np.concatenate((sets[1], hashes)), at[some[here]], two)
    return answers
