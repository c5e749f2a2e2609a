"""Candidate pairs by locality-sensitive hashing: documents that share all rows of some band of their signatures.

    signature   | r r r r | r r r r | r r r r |      bands x rows; chances: curate/dedup/bands.py
    band keys       k1        k2        k3           documents with equal keys stand in one run of the sorted keys

The band's number goes into its key, so all bands are sorted as one (curate/dedup/partitions.py), and only the documents
that meet another in some band go on: their signatures lie in a file and are fetched for one block of runs at a time.
A pair is proposed where the two signatures agree enough to reach the verification bound (minhash.least_agreement), so
what is left to verify is small.

The runs are walked twice. The first walk spans: a pair is proposed unless pairs proposed before connect it already, as
if all of them held. Verifying these settles most documents. The second walk proposes every agreeing pair that what
was verified does not connect.

A run is compared in full while it is small. A template or a cookie banner can put a million documents into one run:

- the first `most_leaders` members that resemble no earlier leader are leaders, and every member is compared with them
  all;
- members stand in the order of their next band's key, so that those which share two bands are neighbours, and every
  member is compared with the `neighbours` before it.

So a run of m costs at most (most_leaders + neighbours) * m comparisons of signatures, never m^2. What it can miss is a
link between two members of a big run that are neither leaders nor neighbours; they may still meet in another band.
Small runs are walked before big ones, each in the order of their keys: how the keys were divided changes nothing.

Legend: m items (documents that meet another, numbered in the order of their records), k permutations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numba import njit

from curate.dedup.clusters import find, unite_two
from curate.dedup.minhash import UInt32s, agreement
from curate.dedup.partitions import Numbers, Runs
from curate.text import Int64s, mix

Signatures: TypeAlias = Callable[[Numbers], UInt32s]
"""(items ascending, each once) -> their signatures (len(items), k)."""


@dataclass(frozen=True, slots=True)
class Effort:
    """Bounds on the comparisons inside one run and on what is held at a time."""

    most_leaders: int = 256
    """Runs of up to one more are compared in full."""
    neighbours: int = 32
    block_members: int = 1 << 14
    """Whose signatures are held at a time: 450 bytes each."""
    block_pairs: int = 1 << 20
    """Pairs of small runs that may be proposed at a time: 16 bytes each."""

    @property
    def largest_in_full(self) -> int:
        return self.most_leaders + 1


@njit(cache=True, nogil=True)
def band_keys(signatures, bands):  # type: ignore[no-untyped-def]
    """Keys (n, bands) uint64 of all bands of the signatures (n, k): equal ones are of one band."""
    rows = signatures.shape[1] // bands
    keys = np.empty((len(signatures), bands), np.uint64)
    for document in range(len(signatures)):
        for band in range(bands):
            state = np.uint64(band + 1)
            for row in range(band * rows, (band + 1) * rows):
                state = mix(state ^ np.uint64(signatures[document, row])) + np.uint64(0x9E3779B97F4A7C15)
            keys[document, band] = mix(state)
    return keys


@dataclass(frozen=True, slots=True)
class Walk:
    """What one walk over runs compares by."""

    signatures: Signatures
    bands: int
    connected: Numbers
    """(m,) union-find: pairs inside one cluster are not proposed."""
    spans: bool
    """Unite in `connected` what is proposed."""
    least_agree: int
    effort: Effort = Effort()

    def small(self, parts: Iterable[Runs]) -> Iterator[Int64s]:
        """Pairs (p, 2) of items, the lower first, from the runs of items that are compared in full."""
        for runs in parts:
            runs = runs.of(runs.sizes <= self.effort.largest_in_full)
            for begin, stop in _blocks(runs.sizes, self.effort):
                block = runs.between(begin, stop)
                block = block.of(_is_open(block.records, block.first, self.connected))
                if len(block):
                    items, rows = np.unique(block.records, return_inverse=True)
                    pairs = np.empty((int((block.sizes * (block.sizes - 1) // 2).sum()), 2), np.int64)
                    filled = _in_full(
                        block.records, rows, block.first, self.signatures(items), self.connected, self.least_agree,
                        self.spans, pairs,
                    )  # fmt: skip
                    yield pairs[:filled]

    def big(self, parts: Iterable[Runs]) -> Iterator[Int64s]:
        """Pairs (p, 2) of items, the lower first, from the other runs."""
        for runs in parts:
            runs = runs.of(runs.sizes > self.effort.largest_in_full)
            runs = runs.of(_is_open(runs.records, runs.first, self.connected))
            for run in range(len(runs)):
                yield from self._along(runs.records[runs.first[run] : runs.first[run + 1]])

    def _along(self, members: Int64s) -> Iterator[Int64s]:
        members = members[self._order(members)]
        width = self.signatures(members[:1]).shape[1]
        leaders = np.empty((self.effort.most_leaders, width), np.uint32)
        held, n_held = np.empty(self.effort.most_leaders, np.int64), 0
        pairs = np.empty((self.effort.block_members // 4 * (len(held) + self.effort.neighbours), 2), np.int64)
        for at in range(0, len(members), self.effort.block_members // 4):
            begin = max(0, at - self.effort.neighbours)
            block = members[begin : at + self.effort.block_members // 4]
            filled, n_held = _beside_leaders(
                block, at - begin, self._in_order(block), leaders, held, n_held, self.connected, self.least_agree,
                self.effort.neighbours, self.spans, pairs,
            )  # fmt: skip
            yield pairs[:filled].copy()

    def _order(self, members: Int64s) -> Int64s:
        """By the key of the band after the one that they share; members of equal keys ascend."""
        shared, following = self._shared_band(members), np.empty(len(members), np.uint64)
        for at in range(0, len(members), self.effort.block_members):
            block = slice(at, at + self.effort.block_members)
            following[block] = band_keys(self.signatures(members[block]), self.bands)[:, (shared + 1) % self.bands]
        return np.argsort(following, kind="stable")

    def _shared_band(self, members: Int64s) -> int:
        keys = band_keys(self.signatures(members[: self.effort.largest_in_full]), self.bands)
        return int(np.argmax((keys == keys[0]).all(axis=0)))

    def _in_order(self, members: Int64s) -> UInt32s:
        items, rows = np.unique(members, return_inverse=True)
        return self.signatures(items)[rows]


def _blocks(sizes: Int64s, effort: Effort) -> Iterator[tuple[int, int]]:
    """Consecutive runs together (begin, stop) until their members or their pairs pass what is held at a time."""
    members, pairs = np.cumsum(sizes), np.cumsum(sizes * (sizes - 1) // 2)
    begin = 0
    while begin < len(sizes):
        told = (members[begin - 1], pairs[begin - 1]) if begin else (0, 0)
        stop = min(
            int(np.searchsorted(members, told[0] + effort.block_members, side="right")),
            int(np.searchsorted(pairs, told[1] + effort.block_pairs, side="right")),
        )
        stop = max(stop, begin + 1)
        yield begin, stop
        begin = stop


@njit(cache=True, nogil=True)
def _is_open(records, first, connected):  # type: ignore[no-untyped-def]
    """Which runs hold members of more than one cluster."""
    answers = np.zeros(len(first) - 1, np.bool_)
    for run in range(len(answers)):
        root = find(connected, records[first[run]])
        for at in range(first[run] + 1, first[run + 1]):
            if find(connected, records[at]) != root:
                answers[run] = True
                break
    return answers


@njit(cache=True, nogil=True)
def _in_full(items, rows, first, signatures, connected, least_agree, spans, pairs):  # type: ignore[no-untyped-def]
    filled = 0
    for run in range(len(first) - 1):
        for at in range(first[run] + 1, first[run + 1]):
            for before in range(first[run], at):
                one, two = items[before], items[at]
                if find(connected, one) == find(connected, two):
                    continue
                if agreement(signatures, rows[before], rows[at]) >= least_agree:
                    pairs[filled, 0], pairs[filled, 1] = min(one, two), max(one, two)
                    filled += 1
                    if spans:
                        unite_two(connected, one, two)
    return filled


@njit(cache=True, nogil=True)
def _beside_leaders(  # type: ignore[no-untyped-def]
    items, begin, signatures, leaders, held, n_held, connected, least_agree, neighbours, spans, pairs
):
    """Compare items[begin:] with the leaders and with the neighbours before. Returns (pairs filled, leaders held)."""
    filled = 0
    for at in range(begin, len(items)):
        member, met = items[at], False
        for leader in range(n_held):
            if find(connected, held[leader]) == find(connected, member):
                met = True
            elif _alike(leaders[leader], signatures[at]) >= least_agree:
                met = True
                pairs[filled, 0], pairs[filled, 1] = min(held[leader], member), max(held[leader], member)
                filled += 1
                if spans:
                    unite_two(connected, held[leader], member)
        for before in range(max(0, at - neighbours), at):
            if find(connected, items[before]) == find(connected, member):
                continue
            if agreement(signatures, before, at) >= least_agree:
                pairs[filled, 0], pairs[filled, 1] = min(items[before], member), max(items[before], member)
                filled += 1
                if spans:
                    unite_two(connected, items[before], member)
        if not met and n_held < len(held):
            leaders[n_held], held[n_held] = signatures[at], member
            n_held += 1
    return filled, n_held


@njit(cache=True, nogil=True, inline="always")
def _alike(one, two):  # type: ignore[no-untyped-def]
    same = 0
    for p in range(len(one)):
        same += one[p] == two[p]
    return same
