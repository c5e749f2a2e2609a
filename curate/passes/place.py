"""Where each kept record ended up: its shard file, its row there, its tokens. One file per unit, for the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from curate.passes.shard import ShardPlan
from curate.passes.sift import TableWriter, unit_file
from curate.passes.sifted import Sifted
from curate.shards.corpus import ShardSplit

PLACED = pa.schema([("shard", pa.string()), ("row", pa.int64()), ("tokens", pa.int64())])


def place_rows(shards: Path, plans: Sequence[ShardPlan], sifted: Sifted, out: Path) -> None:
    """Write `out/unit-*.parquet`, rows as in the sifted units; null where a record is in no shard."""
    file = np.full(len(sifted), -1, np.int64)
    row, tokens = np.zeros(len(sifted), np.int64), np.zeros(len(sifted), np.int64)
    lengths = {folder: ShardSplit.open(folder).lengths for folder in {(shards / plan.place).parent for plan in plans}}
    first: dict[Path, int] = {}
    for number, plan in enumerate(plans):
        folder = (shards / plan.place).parent
        at = first.get(folder, 0)
        file[plan.records] = number
        row[plan.records] = np.arange(len(plan.records))
        tokens[plan.records] = lengths[folder][at : at + len(plan.records)]
        first[folder] = at + len(plan.records)
    out.mkdir(parents=True, exist_ok=True)
    places = pa.array([plan.place for plan in plans], pa.string())
    for unit in range(sifted.units):
        part = slice(*sifted.first_row[unit : unit + 2].tolist())
        is_out = file[part] < 0
        columns = [
            places.take(pa.array(file[part], mask=is_out)),
            pa.array(row[part], mask=is_out),
            pa.array(tokens[part], mask=is_out),
        ]
        with TableWriter(unit_file(out, unit), PLACED) as writer:
            writer.write(pa.table(columns, schema=PLACED))
