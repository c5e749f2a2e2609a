"""One Parquet file per split, the shards' own columns: id, source, n_bytes and input_ids as a list per document.

For anything that reads tables: `datasets.load_dataset("parquet", ...)`, DuckDB, polars, Spark.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from curate.shards.corpus import ShardSplit
from curate.shards.export import Tokens, tokens_of

ROWS_READ = 1 << 12


class Parquet:
    def write(self, split: ShardSplit, place: Path) -> list[Path]:
        path = place.with_name(f"{place.name}.parquet")
        with pq.ParquetWriter(path, split.table.schema, compression="zstd") as writer:
            for batch in split.table.to_batches():
                writer.write_batch(batch)
        return [path]

    def read(self, place: Path) -> Iterator[Tokens]:
        with pq.ParquetFile(place.with_name(f"{place.name}.parquet")) as file:
            for batch in file.iter_batches(ROWS_READ, columns=["input_ids"]):
                yield tokens_of(batch.column(0))

    def how_to_load(self, place: Path) -> str:
        return f'datasets.load_dataset("parquet", data_files="{place}.parquet")'
