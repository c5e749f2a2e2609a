"""Candidate pairs by locality-sensitive hashing: documents that share all rows of some band of their signatures.

    signature   | r r r r | r r r r | r r r r |      bands x rows; P(candidate | Jaccard s) = 1 - (1 - s^rows)^bands
    band keys       k1        k2        k3           documents with equal keys stand in one run of the sorted keys

A band's keys are sorted and its runs walked once. Two documents already connected are not proposed again, nor pairs
whose signatures agree too little to reach the verification bound (minhash.least_agreement), so what is left to verify
is small.

A run is compared in full while it is small. A template or a cookie banner can put a million documents into one run:

- the first `most_leaders` members that resemble no earlier leader are leaders, and every member is compared with them
  all;
- members stand in the order of their next band's key, so that those which share two bands are neighbours, and every
  member is compared with the `neighbours` before it.

So a run of m costs at most (most_leaders + neighbours) * m comparisons of signatures, never m^2. What it can miss is a
link between two members of a big run that are neither leaders nor neighbours; they may still meet in another band.

Legend: m items, k permutations, r runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit

from curate.dedup.clusters import find
from curate.dedup.minhash import UInt32s, agreement
from curate.text import Int64s, UInt64s, mix


@dataclass(frozen=True, slots=True)
class Effort:
    """Bounds on the comparisons inside one run and on the pairs held at a time."""

    most_leaders: int = 256
    """Runs of up to one more are compared in full."""
    neighbours: int = 32
    pairs_held: int = 1 << 18
    """Pairs proposed before they are verified: 16 bytes each."""


def candidate_probability(jaccard: float, bands: int, rows: int) -> float:
    """The chance that two documents of this Jaccard share a band.

    >>> round(candidate_probability(0.8, bands=14, rows=8), 3)
    0.924
    """
    return float(1 - (1 - jaccard**rows) ** bands)


@njit(cache=True, nogil=True)
def band_keys(signatures, documents, band, rows):  # type: ignore[no-untyped-def]
    """Keys (m,) uint64 of one band of the signatures of `documents`."""
    keys = np.empty(len(documents), np.uint64)
    for item in range(len(documents)):
        state = np.uint64(0)
        for row in range(band * rows, (band + 1) * rows):
            state = mix(state ^ np.uint64(signatures[documents[item], row])) + np.uint64(0x9E3779B97F4A7C15)
        keys[item] = state
    return keys


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of equal keys of one band that hold at least two items."""

    order: Int64s  # (m,) items in the order of their keys
    start: Int64s  # (r,) a run is order[start : end]
    end: Int64s  # (r,)

    def of_at_least(self, items: int) -> Runs:
        big = self.end - self.start >= items
        return Runs(self.order, self.start[big], self.end[big])


def runs(keys: UInt64s) -> Runs:
    """Runs of equal keys; inside a run items ascend."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    edges = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1], [True])) if len(keys) else [])
    start, end = edges[:-1], edges[1:]
    return Runs(order, start, end).of_at_least(2)


def band_runs(signatures: UInt32s, documents: Int64s, band: int, bands: int, rows: int, effort: Effort) -> Runs:
    """The runs of one band, big ones in the order of the next band's keys."""
    found = runs(band_keys(signatures, documents, band, rows))
    big = found.of_at_least(effort.most_leaders + 2)
    for start, end in zip(big.start, big.end, strict=True):
        members = found.order[start:end]
        following = band_keys(signatures, documents[members], (band + 1) % bands, rows)
        found.order[start:end] = members[np.argsort(following, kind="stable")]
    return found


def proposals(
    found: Runs, signatures: UInt32s, documents: Int64s, parent: Int64s, least_agree: int, effort: Effort
) -> Iterator[tuple[Int64s, Int64s]]:
    """Pairs (lower, higher) of items to verify, at most `pairs_held` at a time.

    The caller unites what it verified in `parent` between two answers, and the rest of the walk sees it. Each run's
    first member is offered to all others before any other pair: most runs are then one cluster and have nothing left
    to offer.
    """
    for leaders, neighbours, considered in (
        (1, 0, found),
        (effort.most_leaders, effort.neighbours, found.of_at_least(3)),  # a run of two has been told in full
    ):
        cursor = np.array([0, -1, 0], np.int64)  # run, position, leaders held
        held = np.empty(leaders, np.int64)
        pairs = np.empty((max(effort.pairs_held, leaders + neighbours), 2), np.int64)
        while cursor[0] < len(considered.start):
            filled = _propose(
                considered.order, considered.start, considered.end, signatures, documents, parent, least_agree,
                neighbours, cursor, held, pairs,
            )  # fmt: skip
            if filled:
                yield pairs[:filled, 0], pairs[:filled, 1]


@njit(cache=True, nogil=True)
def _propose(  # type: ignore[no-untyped-def]
    order, start, end, signatures, documents, parent, least_agree, neighbours, cursor, held, pairs
):
    """Fill `pairs` from where `cursor` stands; stop where the next member's pairs might not fit. Returns how many."""
    filled = 0
    run, at, n_held = cursor
    while run < len(start):
        if at < 0:
            at, n_held = start[run], 0
        in_full = end[run] - start[run] <= len(held) + 1
        while at < end[run]:
            if filled + n_held + neighbours > len(pairs):
                cursor[0], cursor[1], cursor[2] = run, at, n_held
                return filled
            member = order[at]
            met = False
            for leader in held[:n_held]:
                related, new = _compare(leader, member, signatures, documents, parent, least_agree)
                met |= related
                if new:
                    pairs[filled, 0], pairs[filled, 1] = min(leader, member), max(leader, member)
                    filled += 1
            if not in_full:
                for before in order[max(start[run], at - neighbours) : at]:
                    _, new = _compare(before, member, signatures, documents, parent, least_agree)
                    if new:
                        pairs[filled, 0], pairs[filled, 1] = min(before, member), max(before, member)
                        filled += 1
            if n_held < len(held) and (in_full or not met):
                held[n_held] = member
                n_held += 1
            at += 1
        run, at = run + 1, -1
    cursor[0] = run
    return filled


@njit(cache=True, nogil=True, inline="always")
def _compare(one, two, signatures, documents, parent, least_agree):  # type: ignore[no-untyped-def]
    """(are they connected or alike, is the pair worth verifying)."""
    if find(parent, one) == find(parent, two):
        return True, False
    alike = agreement(signatures, documents[one], documents[two]) >= least_agree
    return alike, alike
