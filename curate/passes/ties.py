"""Records that stand on one side of a split, whole: clusters of copies, and groups by a field (patient, case, journal).

    copies found  ─▶ clusters ─┐
    meta ─field▶ groups ───────┴─unite▶ ties, each with its place in [0, 1)

A group is all records with one value of the field, over all sources. A near-copy in another group ties the two
together, also where that copy has left: its text is still there, under the name of the other group. A tie stands where
the lowest hash of its groups' values does, so that a group which grows stays where it is.

Of a record that is tied 50 bytes are held; the group of every record lies in a file of eight bytes a record, and which
records share one is found by partitions (curate/dedup/partitions.py).

Legend: N records, m tied ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.dedup.clusters import roots, singletons, unite
from curate.dedup.partitions import Spill, distinct, parts_for, positions
from curate.passes.copies import Copies
from curate.passes.repeats import Repeats
from curate.passes.sifted import Int64s, Sifted
from curate.readers._fields import ABSENT, field_of
from curate.settings import Source
from curate.split import Float64s, places
from curate.text import UInt64s
from curate.xxh64 import xxh64

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Whole:
    """What is to be split."""

    sifted: Sifted
    repeats: Repeats
    sources: Sequence[Source]  # of each unit
    kept: Bools  # (N,)
    copies: Copies | None
    scratch: Path

    def metas(self) -> Iterator[tuple[int, Int64s, list[str | None]]]:
        """(unit, records, their meta) of what has a say: records that stay, and copies of these that left."""
        for unit in range(self.sifted.units):
            for records, rows in self.sifted.some(self.asked(unit), ["meta"]):
                yield unit, records, rows["meta"].to_pylist()

    def asked(self, unit: int) -> Int64s:
        part = self.sifted.records_of(unit)
        kept = part.start + np.flatnonzero(self.kept[part])
        if self.copies is None:
            return kept
        return distinct(np.concatenate((kept, self.copies.found.record[self.copies.between(part)])))


@dataclass(frozen=True, slots=True)
class Ties:
    record: Int64s  # (m,) ascending
    tie: Int64s  # (m,) the record that gives its tie its number: one of the tied ones
    place: Float64s  # (m,) the same throughout a tie

    def over(self, at: slice, own: npt.NDArray[Any], shared: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values of the records `at`, in place: their own, but what is shared (m,) where they are tied."""
        low, high = np.searchsorted(self.record, [at.start, at.stop])
        own[self.record[low:high] - at.start] = shared[low:high]
        return own

    def numbers(self, at: slice) -> Int64s:
        """The tie of each record; one that is not tied is one by itself."""
        return self.over(at, np.arange(at.start, at.stop), self.tie)

    def least(self, values: npt.NDArray[Any], of_none: Any) -> npt.NDArray[Any]:
        """The least value (m,) of each one's tie."""
        at = positions(self.tie, self.record)
        found = np.full(len(at), of_none, values.dtype)
        np.minimum.at(found, at, values)
        return found[at]


def clusters(whole: Whole, seed: int) -> Ties:
    """What copies tie."""
    if whole.copies is None:
        return Ties(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    return Ties(whole.copies.found.record, whole.copies.found.cluster, whole.copies.places(seed))


def groups_of(whole: Whole, field: str) -> tuple[UInt64s, int]:
    """(the hash of each record's group (N,), 0 where it has none; how many that stay have none)."""
    groups = np.lib.format.open_memmap(whole.scratch / "groups.npy", "w+", np.uint64, (len(whole.sifted),))
    without = 0
    for _, records, metas in whole.metas():
        values = [group_of(meta, field) for meta in metas]
        hashes = np.maximum(xxh64(pa.array([value or "" for value in values], pa.large_string())), np.uint64(1))
        hashes[[value is None for value in values]] = 0
        groups[records] = hashes
        without += int((hashes[whole.kept[records]] == 0).sum())
    return groups, without


def group_of(meta: str | None, field: str) -> str | None:
    """What a field says, as text: 7 and "7" are one group."""
    value = field_of(json.loads(meta), field) if meta else ABSENT
    if value is ABSENT or value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    return text.strip() or None


def with_groups(whole: Whole, copies: Ties, groups: UInt64s, seed: int) -> Ties:
    """Clusters and groups together: whatever shares a record is one tie."""
    shared, is_next = _shared(whole, groups)
    record = distinct(np.concatenate((shared, copies.record)))
    parent, at = singletons(len(record)), positions(shared, record)
    unite(parent, at[np.flatnonzero(is_next) - 1], at[is_next])
    copy = positions(copies.record, record)
    unite(parent, copy, positions(copies.tie, record))
    place = np.zeros(len(record))
    place[copy] = copies.place
    ties = Ties(record, record[roots(parent)], place)
    none = np.iinfo(np.uint64).max
    lowest = ties.least(np.where(groups[record] > 0, groups[record], none), none)
    place[lowest != none] = places_of_groups(lowest[lowest != none], seed)
    return ties


def _shared(whole: Whole, groups: UInt64s) -> tuple[Int64s, Bools]:
    """(records that share a group with another, group by group; whether each belongs to the group before it)."""
    with Spill(whole.scratch / "groups", 2, parts_for(len(whole.sifted))) as spill:
        for unit in range(whole.sifted.units):
            asked = whole.asked(unit)
            asked = asked[groups[asked] > 0]
            spill.add(np.stack((groups[asked], asked.astype(np.uint64)), axis=1))
    records, follows = [np.zeros(0, np.int64)], [np.zeros(0, np.bool_)]
    for runs in spill.runs():
        records.append(runs.records)
        follows.append(np.ones(len(runs.records), np.bool_))
        follows[-1][runs.first[:-1]] = False
    return np.concatenate(records), np.concatenate(follows)


def places_of_groups(groups: UInt64s, seed: int) -> Float64s:
    return places(pa.array(groups).cast(pa.large_string()), seed)
