"""What the first pass left, addressed by unit and row: columns whole, texts by row group and only where asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from curate.passes.sift import unit_file

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sifted:
    folder: Path
    first_row: Int64s
    """(units + 1,) a record's number in the corpus is first_row[unit] + row."""

    @classmethod
    def open(cls, folder: Path, units: int) -> Sifted:
        counts = [pq.read_metadata(unit_file(folder, unit)).num_rows for unit in range(units)]
        return cls(folder, np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64))

    def __len__(self) -> int:
        return int(self.first_row[-1])

    @property
    def units(self) -> int:
        return len(self.first_row) - 1

    def column(self, name: str, folder: Path | None = None) -> pa.ChunkedArray:
        """A column of all records in order, from this pass's files or from another pass's with the same rows."""
        files = (unit_file(folder or self.folder, unit) for unit in range(self.units))
        tables = [pq.read_table(file, columns=[name]) for file in files]
        return pa.concat_tables(tables)[name]

    def texts(self, records: Int64s) -> pa.LargeStringArray:
        """The texts of records, in the order given. Each row group is read once, however many of its rows are asked."""
        order = np.argsort(records, kind="stable")
        parts = [texts for _, texts in self.batches(records[order])]
        joined = pa.concat_arrays(parts) if parts else pa.array([], pa.large_string())
        back = np.empty(len(records), np.int64)
        back[order] = np.arange(len(records))
        return joined.take(pa.array(back))

    def batches(self, records: Int64s) -> Iterator[tuple[Int64s, pa.LargeStringArray]]:
        """(records, their texts) by row group, for records in ascending order: memory holds one row group."""
        for unit in range(self.units):
            low, high = np.searchsorted(records, self.first_row[unit : unit + 2])
            if low == high:
                continue
            rows = records[low:high] - self.first_row[unit]
            with pq.ParquetFile(unit_file(self.folder, unit)) as file:
                for group, first in enumerate(_group_starts(file)[:-1]):
                    a, b = np.searchsorted(rows, [first, first + file.metadata.row_group(group).num_rows])
                    if a == b:
                        continue
                    column = file.read_row_group(group, columns=["text"])["text"].combine_chunks()
                    yield records[low:high][a:b], column.take(pa.array(rows[a:b] - first))


def _group_starts(file: pq.ParquetFile) -> Sequence[int]:
    counts = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
    return [0, *np.cumsum(counts).tolist()]
