"""Which documents are copies of which, and which copy stays.

    keys ─▶ exact groups ─one of each─▶ near copies (curate/dedup/near.py) ─▶ clusters ─policy─▶ who stays (choose.py)

- Exact copies collapse first: only one of a group meets LSH. Any will do, for their folded words are the same, hence
  their shingles and signatures.
- A cluster is what verified pairs connect; its name is its member of lowest id. A split keeps clusters whole.
- Which member of a cluster stays follows from the policies of the recipe (prefer.py; ties on id), never from the order
  of the input.

What is held grows with the documents that have a copy, not with the corpus: of those that stand alone, two bits of
knowledge (a byte each) remain once their keys have gone through the partitions. Ids and lengths are read for whole
clusters, about `MEMBERS_HELD` documents at a time.

Legend: N records of the corpus, c of them in clusters of two or more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.choose import Pairs, choose
from curate.dedup.near import Bools, Near, NearSketches, near_copies
from curate.dedup.partitions import Numbers, Runs, Spill, narrowest, parts_for, positions
from curate.dedup.prefer import Merits, of_length_and_id_alone, preference
from curate.dedup.verify import Float64s
from curate.settings import Duplicates
from curate.text import Int64s, UInt64s

NOT_REMOVED, EXACT, NEAR = 0, 1, 2
MEMBERS_HELD = 1 << 18


class Sketches(NearSketches, Protocol):
    def exact_keys(self) -> Iterator[tuple[Int64s, UInt64s]]:
        """(records, exact keys (n, 2)) of all documents that take part, some at a time."""

    def named(self, records: Int64s) -> tuple[pa.LargeStringArray, Int64s]:
        """(unique ids, lengths in characters) of some records, which ascend."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Of every document that has a copy; all others stand alone and stay."""

    record: Int64s  # (c,) ascending
    cluster: Int64s  # (c,) the record of lowest id in its cluster
    duplicate_of: Int64s  # (c,) the copy that stays in its place; -1: the document stays
    similarity: npt.NDArray[np.float32]  # (c,) exact Jaccard to that copy; 0 where the document stays
    level: npt.NDArray[np.uint8]  # (c,) NOT_REMOVED, EXACT or NEAR
    pairs_candidates: int = 0  # pairs compared exactly: they shared a band and were not connected yet
    pairs_verified: int = 0  # of these, pairs that reached the bound


def resolve(
    sketches: Sketches,
    takes_part: Bools,
    settings: Duplicates,
    scratch: Path,
    merits: Merits = of_length_and_id_alone,
) -> Resolution:
    """Decide over all records that take part (N,). `scratch`: an empty folder for what does not fit memory. `merits`:
    what the policies ask of documents beside their length and id."""
    exact = _exact_groups(sketches, takes_part, scratch)
    for_their_group = takes_part.copy()
    for_their_group[exact.records] = False
    for_their_group[exact.records[exact.first[:-1]]] = True
    with near_copies(sketches, for_their_group, settings, scratch) as near:
        members = _members(exact, near)
        del exact
        found = _nothing_decided(members)
        for part in _whole_clusters(members):
            columns = _decided(part, near, sketches, settings, merits)
            at = np.searchsorted(found.record, part.record)
            found.cluster[at], found.duplicate_of[at], found.similarity[at], found.level[at] = columns
        return replace(found, pairs_candidates=near.compared, pairs_verified=len(near.verified))


def _exact_groups(sketches: Sketches, takes_part: Bools, scratch: Path) -> Runs:
    """Records of equal keys: each run is a group."""
    kind = narrowest(len(takes_part))
    with Spill(scratch / "keys", 3, parts_for(int(takes_part.sum()))) as spill:
        for records, keys in sketches.exact_keys():
            spill.add(np.column_stack((keys, records.astype(np.uint64))))
    parts = [Runs(part.records.astype(kind), part.first.astype(kind)) for part in spill.runs()]
    sizes = np.concatenate([part.sizes for part in parts])
    first = np.concatenate(([0], np.cumsum(sizes, dtype=kind)), dtype=kind)
    return Runs(np.concatenate([part.records for part in parts]), first)


@dataclass(frozen=True, slots=True)
class _Members:
    """Documents that have a copy, each with the lowest record of its exact group and of its cluster."""

    record: Numbers
    group: Numbers
    cluster: Numbers

    def of(self, chosen: npt.NDArray[np.generic]) -> _Members:
        return _Members(self.record[chosen], self.group[chosen], self.cluster[chosen])


def _members(exact: Runs, near: Near) -> _Members:
    """In the order of their clusters, and of their records within."""
    shared = near.items[np.bincount(near.cluster, minlength=len(near.items))[near.cluster] > 1]
    lone = shared[positions(shared, np.sort(exact.records)) < 0]  # in a cluster of near copies, without an exact one
    record = np.concatenate((exact.records, lone))
    group = np.concatenate((np.repeat(exact.records[exact.first[:-1]], exact.sizes), lone))
    cluster = group.copy()
    item = positions(group, near.items)
    cluster[item >= 0] = near.items[near.cluster[item[item >= 0]]]
    return _Members(record, group, cluster).of(np.lexsort((record, cluster)))


def _whole_clusters(members: _Members) -> Iterator[_Members]:
    """Clusters together until they pass `MEMBERS_HELD`, in each part by record."""
    begin = 0
    while begin < len(members.cluster):
        last = members.cluster[min(begin + MEMBERS_HELD, len(members.cluster)) - 1]
        stop = int(np.searchsorted(members.cluster, last, side="right"))
        part = members.of(np.arange(begin, stop))
        yield part.of(np.argsort(part.record))
        begin = stop


def _nothing_decided(members: _Members) -> Resolution:
    record = np.sort(members.record).astype(np.int64)
    cluster, copy = np.empty_like(record), np.empty_like(record)
    return Resolution(record, cluster, copy, np.empty(len(record), np.float32), np.empty(len(record), np.uint8))


Columns = tuple[Numbers, Int64s, npt.NDArray[np.float32], npt.NDArray[np.uint8]]


def _decided(members: _Members, near: Near, sketches: Sketches, settings: Duplicates, merits: Merits) -> Columns:
    """The other columns of Resolution, for whole clusters. Places in `members` stand for documents on the way."""
    records = members.record.astype(np.int64)
    ids, n_chars = sketches.named(records)
    rank = _ranks(ids)
    order = preference(settings.keep, rank, n_chars, lambda policy: merits(policy, records))
    groups, group = np.unique(members.group, return_inverse=True)
    cluster = np.unique(members.cluster, return_inverse=True)[1]
    preferred = _least_of_each(group, order)  # the document that stays if its group does
    removed = choose(cluster[preferred], order[preferred], _pairs(groups, near), settings.verify_at_least)
    is_near = removed.by[group] >= 0
    is_exact = ~is_near & (preferred[group] != np.arange(len(group)))
    copy = np.full(len(group), -1, np.int64)
    # copies of a group that leaves, leave for the same near copy
    copy[is_near] = members.record[preferred[removed.by[group[is_near]]]]
    copy[is_exact] = members.record[preferred[group[is_exact]]]
    similarity = removed.similarity[group].astype(np.float32)
    similarity[is_exact] = 1
    level = np.where(is_near, NEAR, np.where(is_exact, EXACT, NOT_REMOVED)).astype(np.uint8)
    return members.record[_least_of_each(cluster, rank)][cluster], copy, similarity, level


def _pairs(groups: Numbers, near: Near) -> Pairs:
    """What is known of pairs of groups, each named by its lowest record (groups ascend)."""
    item = positions(groups, near.items)  # -1: meets nobody, so nothing is asked of it

    def jaccards(left: Int64s, right: Int64s) -> Float64s:
        return near.store.jaccards(item[left], item[right])

    def verified() -> Int64s:
        pairs = positions(near.items[near.verified].ravel(), groups).reshape(-1, 2)
        return pairs[(pairs >= 0).all(axis=1)]

    return Pairs(jaccards, verified)


def _ranks(ids: pa.LargeStringArray) -> Int64s:
    """The place of each id in their order by code point."""
    order = pc.sort_indices(ids).to_numpy().astype(np.int64)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank


def _least_of_each(group: Int64s, by: Int64s) -> Int64s:
    """The document with the lowest `by` of each group."""
    order = np.lexsort((by, group))
    return order[np.flatnonzero(np.diff(group[order], prepend=-1))]
