"""What the first pass left, addressed by unit and row, and read by row group: memory holds a few megabytes of it.

A record's number in the corpus is `first_row[unit] + row`. Other passes write files of the same rows (judged, decided);
`Rows` reads those alongside, as many rows at a time as a row group here has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

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
    """(units + 1,)"""

    @classmethod
    def open(cls, folder: Path, units: int) -> Sifted:
        counts = [pq.read_metadata(unit_file(folder, unit)).num_rows for unit in range(units)]
        return cls(folder, np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64))

    def __len__(self) -> int:
        return int(self.first_row[-1])

    @property
    def units(self) -> int:
        return len(self.first_row) - 1

    def beside(self, folder: Path) -> Sifted:
        """Another pass's files, which hold the same rows in the same row groups."""
        return Sifted(folder, self.first_row)

    def records_of(self, unit: int) -> slice:
        return slice(int(self.first_row[unit]), int(self.first_row[unit + 1]))

    def groups(self, unit: int, columns: Sequence[str]) -> Iterator[tuple[slice, pa.Table]]:
        """(records, columns) of a unit, one row group at a time."""
        first = int(self.first_row[unit])
        with pq.ParquetFile(unit_file(self.folder, unit)) as file:
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group, columns=list(columns))
                yield slice(first, first + len(rows)), rows
                first += len(rows)

    def every(self, columns: Sequence[str]) -> Iterator[tuple[slice, pa.Table]]:
        """(records, columns) of all units, one row group at a time."""
        for unit in range(self.units):
            yield from self.groups(unit, columns)

    def some(self, records: Int64s, columns: Sequence[str]) -> Iterator[tuple[Int64s, pa.Table]]:
        """(records, columns) of records in ascending order: row groups that hold none of them are not read."""
        for unit in range(self.units):
            low, high = np.searchsorted(records, self.first_row[unit : unit + 2])
            if low == high:
                continue
            rows = records[low:high] - self.first_row[unit]
            with pq.ParquetFile(unit_file(self.folder, unit)) as file:
                starts = _group_starts(file)
                for group in range(file.num_row_groups):
                    a, b = np.searchsorted(rows, starts[group : group + 2])
                    if a < b:
                        read = file.read_row_group(group, columns=list(columns))
                        yield records[low:high][a:b], read.take(pa.array(rows[a:b] - starts[group]))

    def take(self, records: Int64s, columns: Sequence[str]) -> pa.Table:
        """Columns of records in ascending order, together."""
        parts = [rows for _, rows in self.some(records, columns)]
        return pa.concat_tables(parts) if parts else self._none(columns)

    def batches(self, records: Int64s) -> Iterator[tuple[Int64s, pa.LargeStringArray]]:
        """(records, their texts) by row group, for records in ascending order."""
        for some, rows in self.some(records, ["text"]):
            yield some, rows["text"].combine_chunks()

    def _none(self, columns: Sequence[str]) -> pa.Table:
        schema = pq.read_schema(unit_file(self.folder, 0)) if self.units else pa.schema([])
        return pa.schema([schema.field(name) for name in columns]).empty_table()


class Rows:
    """Columns of a unit's file in another folder, read on: `take(n)` gives the next n rows."""

    def __init__(self, folder: Path, unit: int, columns: Sequence[str]) -> None:
        self._file = pq.ParquetFile(unit_file(folder, unit))
        self._batches = self._file.iter_batches(1 << 14, columns=list(columns))
        self._held = self._file.schema_arrow.empty_table().select(list(columns))

    def __enter__(self) -> Rows:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def take(self, n: int) -> pa.Table:
        parts = [self._held]
        while sum(map(len, parts)) < n:
            parts.append(pa.Table.from_batches([next(self._batches)]))
        held = pa.concat_tables(parts)
        self._held = held.slice(n)
        return held.slice(0, n).combine_chunks()


def _group_starts(file: pq.ParquetFile) -> Int64s:
    counts = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
    return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
