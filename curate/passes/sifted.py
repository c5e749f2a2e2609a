"""What the first pass left, addressed by unit and row, and read by row group: memory holds a few megabytes of it.

A record's number in the corpus is `first_row[unit] + row`. Other passes write files of the same rows (judged, decided);
`Rows` reads those alongside, as many rows at a time as a row group here has. A pass that changes texts leaves edits
(curate/passes/edits.py): `edited` gives the same records with these in place, to every reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from curate.passes.edits import TRIMMED, Overlay
from curate.passes.sift import unit_file

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sifted:
    folder: Path
    first_row: Int64s
    """(units + 1,)"""
    edits: tuple[Path, ...] = ()
    """Folders of edits, in the order they were made."""

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

    def edited(self, folder: Path) -> Sifted:
        """The same records with the texts that a later pass edited in place of their own."""
        return replace(self, edits=(*self.edits, folder))

    def records_of(self, unit: int) -> slice:
        return slice(int(self.first_row[unit]), int(self.first_row[unit + 1]))

    def groups(self, unit: int, columns: Sequence[str]) -> Iterator[tuple[slice, pa.Table]]:
        """(records, columns) of a unit, one row group at a time."""
        first = int(self.first_row[unit])
        with self._reader(unit, columns) as reader:
            for group in range(reader.groups):
                rows = reader.read(group)
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
            with self._reader(unit, columns) as reader:
                for group in range(reader.groups):
                    a, b = np.searchsorted(rows, reader.starts[group : group + 2])
                    if a < b:
                        here = pa.array(rows[a:b] - reader.starts[group])
                        yield records[low:high][a:b], reader.read(group).take(here)

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
        schema = schema.append(pa.field(TRIMMED, pa.int64()))
        return pa.schema([schema.field(name) for name in columns]).empty_table()

    @contextmanager
    def _reader(self, unit: int, columns: Sequence[str]) -> Iterator[_Reader]:
        with ExitStack() as files:
            file = files.enter_context(pq.ParquetFile(unit_file(self.folder, unit)))
            paths = (unit_file(folder, unit) for folder in self.edits)
            overlays = [Overlay(path, columns) for path in paths if path.exists()]
            for overlay in overlays:
                files.callback(overlay.close)
            yield _Reader(file, tuple(columns), overlays, _group_starts(file))


@dataclass(frozen=True, slots=True)
class _Reader:
    """A unit's rows by row group, edits in place."""

    file: pq.ParquetFile
    columns: tuple[str, ...]
    overlays: Sequence[Overlay]
    starts: Int64s

    @property
    def groups(self) -> int:
        return int(self.file.num_row_groups)

    def read(self, group: int) -> pa.Table:
        rows = self.file.read_row_group(group, columns=[name for name in self.columns if name != TRIMMED])
        if TRIMMED in self.columns:
            rows = rows.append_column(TRIMMED, pa.array(np.zeros(len(rows), np.int64)))
        for overlay in self.overlays:
            rows = overlay.over(int(self.starts[group]), rows)
        return rows


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
