"""What stands on both sides of a split: clusters, exact texts and groups, counted from the documents that stay.

    (cluster | exact key | group, record, side) of all that stays ─partitions▶ those with both sides

Nothing is taken from the split that was made: the clusters are those in the files of decisions, keys are of the texts
as they will be trained on, groups are read from the records again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.partitions import Spill, parts_for
from curate.passes.parts import sides_of
from curate.passes.sifted import Int64s, Sifted
from curate.passes.ties import group_of
from curate.settings import ByGroup, Split
from curate.split import NOWHERE, TRAIN, Sides
from curate.text import UInt64s
from curate.xxh64 import xxh64


@dataclass(frozen=True, slots=True)
class Kept:
    """The documents that stay, with what was decided of them."""

    sifted: Sifted
    decided: Sifted

    def of(self, unit: int, *sides: np.uint8) -> Iterator[pa.Table]:
        """id, source, role, split and text of a unit's documents on some sides."""
        found = [sides_of(rows["split"]) for _, rows in self.decided.groups(unit, ["split"])]
        side = np.concatenate([np.zeros(0, np.uint8), *found])
        records = self.sifted.first_row[unit] + np.flatnonzero(np.isin(side, sides))
        texts = self.sifted.some(records, ["text"])
        told = self.decided.some(records, ["id", "source", "role", "split"])
        for (_, text), (_, rows) in zip(texts, told, strict=True):
            yield rows.append_column("text", text["text"])

    def both(self, of_text: list[str], decided: list[str]) -> Iterator[tuple[Int64s, Sides, pa.Table]]:
        """(records, their sides, columns of the sifted and the decided) of all documents that stay, some at a time."""
        texts, told = self.sifted.every(of_text or ["n_bytes"]), self.decided.every(["split", *decided])
        for (at, rows), (_, ours) in zip(texts, told, strict=True):
            side = sides_of(ours["split"])
            stays = np.flatnonzero(side != NOWHERE)
            for name in of_text:
                ours = ours.append_column(name, rows[name])
            yield at.start + stays, side[stays], ours.take(pa.array(stays))


Keys = Iterator[tuple[Int64s, Sides, UInt64s]]
"""(records, their sides, key (n, 2)) of some documents at a time."""


def crossings(kept: Kept, split: Split, scratch: Path) -> dict[str, int]:
    """How many clusters, exact texts and groups have documents both in training and held out."""
    found = {
        "clusters": _crossing(_clusters(kept), kept, scratch / "clusters"),
        "exact_copies": _crossing(_exact_keys(kept), kept, scratch / "keys"),
    }
    if isinstance(split.by, ByGroup):
        found["groups"] = _crossing(_groups(kept, split.by.group), kept, scratch / "groups")
    shutil.rmtree(scratch)
    return found


def _crossing(keys: Keys, kept: Kept, scratch: Path) -> int:
    with Spill(scratch, 3, parts_for(len(kept.sifted))) as spill:
        for records, sides, key in keys:
            is_held_out = (sides != TRAIN).astype(np.uint64)
            spill.add(np.column_stack((key, records.astype(np.uint64) << np.uint64(1) | is_held_out)))
    crossing = 0
    for runs in spill.runs():
        if len(runs):
            held_out = np.add.reduceat(runs.records & 1, runs.first[:-1])
            crossing += int(((held_out > 0) & (held_out < runs.sizes)).sum())
    return crossing


def _exact_keys(kept: Kept) -> Keys:
    for records, sides, rows in kept.both(["key_high", "key_low"], []):
        columns = [rows[name].to_numpy().astype(np.uint64) for name in ("key_high", "key_low")]
        yield records, sides, np.column_stack(columns)


def _clusters(kept: Kept) -> Keys:
    for records, sides, rows in kept.both([], ["cluster"]):
        yield _hashed(records, sides, rows["cluster"])


def _groups(kept: Kept, field: str) -> Keys:
    for records, sides, rows in kept.both(["meta"], []):
        values = pa.chunked_array([[group_of(meta, field) for meta in rows["meta"].to_pylist()]], pa.large_string())
        yield _hashed(records, sides, values)


def _hashed(records: Int64s, sides: Sides, names: pa.ChunkedArray) -> tuple[Int64s, Sides, UInt64s]:
    """Those that have a name."""
    some = np.flatnonzero(pc.is_valid(names).to_numpy())
    hashes = xxh64(names.take(pa.array(some)))
    return records[some], sides[some], np.column_stack((hashes, hashes))
