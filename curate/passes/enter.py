"""Pass 6: enter every record into the ledger, and put the text of what left beside it. Row group by row group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from curate.engine import Pass, Tally
from curate.ledger import ledger_schema
from curate.passes.decide import DECIDED
from curate.passes.edits import TRIMMED
from curate.passes.parts import ShardPlan, sides_of
from curate.passes.place import Places
from curate.passes.sift import TableWriter, unit_file
from curate.passes.sifted import Rows, Sifted

REMOVED = pa.schema(
    [
        ("id", pa.large_string()),
        ("text", pa.large_string()),
        ("source", pa.string()),
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("meta", pa.string()),
    ]
)
SAMPLE_SHARE = 0.05  # of the removed documents, where the recipe asks for a sample of their texts
ROWS_TOGETHER = 1 << 15  # of the ledger in a row group


class Enter(Pass):
    name = "ledger"

    def __init__(
        self,
        folder: Path,
        sifted: Sifted,
        scored: Path | None,
        decided: Path,
        plan: ShardPlan,
        measures: Sequence[str],
        removed: str,
    ) -> None:
        """`folder`: where the shard pass worked. `scored`: the classifiers' scores, where there are any."""
        super().__init__(folder, sifted.units)
        self.sifted, self.scored, self.decided, self.plan = sifted, scored, decided, plan
        self.schema, self.removed = ledger_schema(measures), removed

    def unit(self, rank: int, tally: Tally) -> None:
        ledger = self.folder / "curated" / "ledger"
        ledger.mkdir(parents=True, exist_ok=True)
        with TableWriter(ledger / f"part-{rank:05d}.parquet", self.schema) as writer:
            waiting: list[pa.Table] = []
            for rows in self._rows(rank):
                waiting.append(rows)
                tally.add(len(rows), pc.sum(rows["n_bytes"]).as_py() or 0)
                if sum(map(len, waiting)) >= ROWS_TOGETHER:
                    writer.write(pa.concat_tables(waiting))
                    waiting = []
            if waiting:
                writer.write(pa.concat_tables(waiting))
        self._keep_texts(rank)

    def _rows(self, rank: int) -> Iterator[pa.Table]:
        """The ledger's rows of a unit, one row group at a time. What a later pass says of a record holds."""
        places = Places(self.folder, self.plan, rank)
        with ExitStack() as files:
            later = [
                files.enter_context(Rows(folder, rank, self._columns_in(folder, rank)))
                for folder in (self.scored, self.decided)
                if folder is not None
            ]
            measured = [name for name in self._columns_in(self.sifted.folder, rank) if name not in DECIDED.names]
            for _, rows in self.sifted.groups(rank, [*measured, TRIMMED]):
                columns = _by_name(rows)
                for each in later:
                    columns |= _by_name(each.take(len(rows)))
                columns |= _by_name(places.of(sides_of(columns["split"])))
                yield pa.table([_column(columns, field, len(rows)) for field in self.schema], schema=self.schema)

    def _columns_in(self, folder: Path, rank: int) -> list[str]:
        """Columns of the ledger that a pass's files hold."""
        return [name for name in pq.read_schema(unit_file(folder, rank)).names if name in self.schema.names]

    def _keep_texts(self, rank: int) -> None:
        if self.removed == "none":
            return
        folder = self.folder / "curated" / "removed"
        folder.mkdir(parents=True, exist_ok=True)
        fates = ["id", "source", "fate", "stage", "reason"]
        with (
            Rows(self.decided, rank, fates) as decided,
            TableWriter(folder / f"part-{rank:05d}.parquet", REMOVED) as writer,
        ):
            for _, rows in self.sifted.groups(rank, ["text", "meta"]):
                told = decided.take(len(rows))
                for name in rows.column_names:
                    told = told.append_column(name, rows[name])
                left = told.filter(pc.equal(told["fate"], "removed"))
                if self.removed == "sample":
                    left = left.filter(pa.array([_is_sampled(i) for i in left["id"].to_pylist()], pa.bool_()))
                writer.write(left.select(REMOVED.names).cast(REMOVED))


def _by_name(rows: pa.Table) -> dict[str, pa.ChunkedArray]:
    return dict(zip(rows.column_names, rows.columns, strict=True))


def _column(columns: dict[str, pa.ChunkedArray], field: pa.Field, n: int) -> pa.ChunkedArray | pa.Array:
    return columns[field.name].cast(field.type) if field.name in columns else pa.nulls(n, field.type)


def _is_sampled(document: str) -> bool:
    return xxhash.xxh64_intdigest(document.encode()) < SAMPLE_SHARE * 2**64
