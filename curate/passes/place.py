"""Where each kept record ended up: its shard file, its row there, its tokens.

Nothing of it is stored: documents keep the order of their records inside a corpus and split, so the place of a unit's
documents follows from how many came in the units before.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from curate.passes.parts import Part, ShardPlan
from curate.passes.shard import lengths_file
from curate.passes.sifted import Int64s
from curate.split import SIDES, Sides

PLACED = pa.schema([("shard", pa.string()), ("row", pa.int64()), ("tokens", pa.int64())])


class Places:
    """The places of one unit's records, asked for in order."""

    def __init__(self, folder: Path, plan: ShardPlan, unit: int) -> None:
        """`folder`: where the shard pass left the lengths of its parts."""
        self.folder, self.next = folder, plan.documents_before[unit].copy()
        self.parts: dict[str, list[tuple[int, Part]]] = {}
        for rank, part in enumerate(plan.parts):
            if part.corpus == plan.corpus_of[unit]:
                self.parts.setdefault(part.split, []).append((rank, part))

    def of(self, sides: Sides) -> pa.Table:
        """The places of the unit's next records (n,), by their sides; null where a record is in no shard."""
        shard, row, tokens = (
            np.zeros(len(sides), np.int64),
            np.zeros(len(sides), np.int64),
            np.zeros(len(sides), np.int64),
        )
        names: list[str] = [""]
        for side, split in enumerate(SIDES):
            if split is None or not (at := np.flatnonzero(sides == side)).size:
                continue
            first = self._shard_starts(split)
            document = self.next[side] + np.arange(len(at))
            number = np.searchsorted(first, document, side="right") - 1
            shard[at], row[at] = len(names) + number, document - first[number]
            tokens[at] = self._tokens(split, int(document[0]), int(document[-1]) + 1)
            names += list(dict.fromkeys(part.shard_place for _, part in self.parts[split]))
            self.next[side] += len(at)
        out = shard == 0
        columns = [
            pa.array(names, pa.string()).take(pa.array(shard, mask=out)),
            pa.array(row, mask=out),
            pa.array(tokens, mask=out),
        ]
        return pa.table(columns, schema=PLACED)

    def _shard_starts(self, split: str) -> Int64s:
        """Place of each shard's first document among those of the split."""
        first: dict[int, int] = {}
        for _, part in self.parts[split]:
            first.setdefault(part.shard, part.first_document)
        return np.array(list(first.values()), np.int64)

    def _tokens(self, split: str, begin: int, stop: int) -> Int64s:
        """Tokens of documents begin:stop of the split."""
        found = []
        for rank, part in self.parts[split]:
            low, high = max(begin, part.first_document), min(stop, part.first_document + part.documents)
            if low < high:
                lengths = np.load(lengths_file(self.folder, rank), mmap_mode="r")
                found.append(lengths[low - part.first_document : high - part.first_document].astype(np.int64))
        return np.concatenate(found)
