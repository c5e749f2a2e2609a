"""Pass 6: enter every record into the ledger, and put the text of what left beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from curate.engine import Pass, Tally
from curate.ledger import ledger_schema
from curate.passes.sift import TableWriter, unit_file

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


class Enter(Pass):
    name = "ledger"

    def __init__(
        self, folder: Path, sifted: Path, decided: Path, placed: Path, tasks: int, measures: Sequence[str], removed: str
    ) -> None:
        super().__init__(folder, tasks)
        self.sifted, self.decided, self.placed = sifted, decided, placed
        self.measures, self.removed = list(measures), removed

    def unit(self, rank: int, tally: Tally) -> None:
        schema = ledger_schema(self.measures)
        columns = [
            "path",
            "position",
            "n_bytes",
            "n_chars",
            "bytes_cleaned",
            *self.measures,
            "language",
            "language_score",
        ]
        rows = pq.read_table(unit_file(self.sifted, rank), columns=columns)
        for part in (pq.read_table(unit_file(self.decided, rank)), pq.read_table(unit_file(self.placed, rank))):
            for name in part.column_names:
                if name in schema.names:
                    rows = rows.append_column(name, part[name])
        rows = rows.append_column("domain_score", pa.nulls(len(rows), pa.float32()))
        ledger = self.folder / "curated" / "ledger"
        ledger.mkdir(parents=True, exist_ok=True)
        with TableWriter(ledger / f"part-{rank:05d}.parquet", schema) as writer:
            writer.write(rows.select(schema.names).cast(schema))
        self._keep_texts(rank)
        tally.add(len(rows), pc.sum(rows["n_bytes"]).as_py() or 0)

    def _keep_texts(self, rank: int) -> None:
        if self.removed == "none":
            return
        folder = self.folder / "curated" / "removed"
        folder.mkdir(parents=True, exist_ok=True)
        decided = pq.read_table(
            unit_file(self.decided, rank), columns=["id", "source", "fate", "stage", "reason", "meta"]
        )
        with TableWriter(folder / f"part-{rank:05d}.parquet", REMOVED) as writer:
            for rows, texts in _row_groups(unit_file(self.sifted, rank), decided):
                left = rows.append_column("text", texts).filter(pc.equal(rows["fate"], "removed"))
                if self.removed == "sample":
                    left = left.filter(pa.array([_is_sampled(i) for i in left["id"].to_pylist()], pa.bool_()))
                writer.write(left.select(REMOVED.names).cast(REMOVED))


def _row_groups(path: Path, rows: pa.Table) -> Iterator[tuple[pa.Table, pa.ChunkedArray]]:
    """(rows, their texts), one row group at a time."""
    first = 0
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            texts = file.read_row_group(group, columns=["text"])["text"]
            yield rows.slice(first, len(texts)), texts
            first += len(texts)


def _is_sampled(document: str) -> bool:
    return xxhash.xxh64_intdigest(document.encode()) < SAMPLE_SHARE * 2**64
