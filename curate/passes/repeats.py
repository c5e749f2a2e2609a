"""Ids that several records bear: the first keeps it, the others are numbered `#2`, `#3` in order of path and position.

    notes/7   notes/7   notes/7#2   notes/8        as they came
    notes/7   notes/7#3 notes/7#2   notes/8        somebody's own id may look like a number

Every id is hashed and goes through partitions (curate/dedup/partitions.py); strings are compared only where hashes
meet. What stays in memory is the number of each renamed record, not its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.partitions import Runs, Spill, parts_for
from curate.passes.sifted import Int64s, Sifted
from curate.xxh64 import xxh64

MEMBERS_HELD = 1 << 18  # records whose ids, paths and positions are compared at a time


@dataclass(frozen=True, slots=True)
class Repeats:
    record: Int64s  # ascending: the records that get another id than they came with
    number: Int64s  # what stands after the #

    def unique(self, records: Int64s, ids: pa.ChunkedArray | pa.Array) -> pa.LargeStringArray:
        """The unique ids of records, which ascend, from those that they came with."""
        ids = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
        renamed, mine, theirs = np.intersect1d(records, self.record, assume_unique=True, return_indices=True)
        if len(renamed) == 0:
            return ids
        numbers = pa.array(self.number[theirs]).cast(pa.large_string())
        names = pc.binary_join_element_wise(ids.take(pa.array(mine)), numbers, pa.scalar("#", pa.large_string()))
        place = np.arange(len(ids))
        place[mine] = len(ids) + np.arange(len(mine))
        return pa.concat_arrays([ids, names]).take(pa.array(place))


def find_repeats(sifted: Sifted, scratch: Path) -> Repeats:
    """Which records have to be renamed. `scratch`: a folder for what does not fit memory."""
    with Spill(scratch / "ids", 2, parts_for(len(sifted))) as spill:
        for records, rows in sifted.every(["id"]):
            numbers = np.arange(records.start, records.stop, dtype=np.uint64)
            spill.add(np.stack((xxh64(rows["id"]), numbers), axis=1))
    found = [Repeats(np.zeros(0, np.int64), np.zeros(0, np.int64))]
    for runs in spill.runs():
        begin = 0
        for stop in range(1, len(runs) + 1):
            if stop == len(runs) or runs.first[stop] - runs.first[begin] >= MEMBERS_HELD:
                found.append(_numbered(sifted, runs.between(begin, stop)))
                begin = stop
    record, number = (np.concatenate([getattr(part, name) for part in found]) for name in ("record", "number"))
    order = np.argsort(record)
    return Repeats(record[order], number[order])


def _numbered(sifted: Sifted, runs: Runs) -> Repeats:
    records = np.sort(runs.records)
    rows = sifted.take(records, ["id", "path", "position"]).append_column("record", pa.array(records))
    rows = rows.sort_by([(name, "ascending") for name in ("id", "path", "position", "record")])
    ids = rows["id"].combine_chunks()
    same = np.zeros(len(ids), np.bool_)  # as the one before
    same[1:] = pc.equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
    if not same.any():  # hashes met, names did not
        return Repeats(np.zeros(0, np.int64), np.zeros(0, np.int64))
    begins = np.flatnonzero(~same)
    number = np.arange(len(ids)) - np.repeat(begins, np.diff(begins, append=len(ids))) + 1
    _step_over_taken(number, begins, _taken(sifted, ids.take(pa.array(begins))))
    return Repeats(rows["record"].to_numpy()[same], number[same])


def _taken(sifted: Sifted, names: pa.LargeStringArray) -> dict[int, set[int]]:
    """Place in `names` -> numbers that somebody's own ids bear after that name."""
    taken: dict[int, set[int]] = {}
    for _, rows in sifted.every(["id"]):
        ids = rows["id"].filter(pc.match_substring_regex(rows["id"], "#[1-9][0-9]*$"))
        at = pc.index_in(pc.replace_substring_regex(ids, "#[1-9][0-9]*$", ""), names)
        for own, place in zip(ids.filter(at.is_valid()).to_pylist(), at.drop_null().to_pylist(), strict=True):
            taken.setdefault(place, set()).add(int(own.rpartition("#")[2]))
    return taken


def _step_over_taken(number: Int64s, begins: Int64s, taken: dict[int, set[int]]) -> None:
    """Give the followers of each name, in order, the lowest numbers above that are free; in place."""
    ends = [*begins[1:].tolist(), len(number)]
    for place, numbers in taken.items():
        last = 1
        for at in range(int(begins[place]) + 1, ends[place]):
            last += 1
            while last in numbers:
                last += 1
            number[at] = last
