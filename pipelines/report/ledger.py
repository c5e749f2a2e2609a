"""The ledger in chunks: what the report counts goes by once, and the few rows and texts it shows are fetched by number.

    ledger/*.parquet ─▶ chunk 0 ─▶ chunk 1 ─▶ …      some 16,384 rows each, whatever the files and row groups
                        names as codes, numbers as arrays, ids as 64-bit hashes

Nothing is held of a chunk that has gone by, so memory does not follow the number of records. The number of a row is its
place in the ledger's files in order of their names, which is how every pass here goes through them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from curate.shards.fault import Fault

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]

ROWS = 1 << 14
"""Of a chunk, at least (the last one aside) and at most twice as many."""
MOST_NAMES = 4096
OTHER = "(other)"
"""What names beyond so many different ones are counted as: every record may name a licence of its own."""


class Names:
    """Codes for the names in each column, in order of first sight."""

    def __init__(self) -> None:
        self._codes: dict[str, dict[str, int]] = {}

    def codes(self, column: str, values: pa.Array) -> Int64s:
        """(n,) the code of each name, -1 for null."""
        known = self._codes.setdefault(column, {})
        encoded = values.dictionary_encode()  # its dictionary is in order of first sight, too
        places = [self._code(known, name) for name in encoded.dictionary.to_pylist()]
        at = pc.fill_null(encoded.indices, len(places)).to_numpy(zero_copy_only=False)
        return np.array([*places, -1], np.int64)[at]

    def of(self, column: str) -> list[str]:
        return list(self._codes.get(column, {}))

    def name(self, column: str, code: int) -> str:
        """The name behind a code; nothing for null."""
        return "" if code < 0 else self.of(column)[code]

    def _code(self, known: dict[str, int], name: str) -> int:
        if name not in known and len(known) >= MOST_NAMES:
            name = OTHER
        return known.setdefault(name, len(known))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows, in the order of the ledger. n: how many."""

    first: int  # the number of its first row
    table: pa.Table
    names: Names
    _codes: dict[str, Int64s] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def codes(self, column: str) -> Int64s:  # (n,)
        if column not in self._codes:
            self._codes[column] = self.names.codes(column, self._strings(column))
        return self._codes[column]

    def has(self, column: str, *wanted: str) -> Bools:  # (n,)
        """Which rows carry one of these names."""
        codes = self.codes(column)
        marked = np.array([*(name in wanted for name in self.names.of(column)), False], np.bool_)
        return marked[codes]

    def counts(self, column: str) -> Int64s:  # (n,)
        """Whole numbers; 0 where there is none."""
        if column not in self.table.column_names:
            return np.zeros(len(self), np.int64)
        return pc.fill_null(self._array(column), 0).to_numpy(zero_copy_only=False).astype(np.int64)

    def values(self, column: str) -> Floats:  # (n,)
        """Numbers as they are kept, so that a bound is compared as it was judged; NaN where there is none."""
        if column not in self.table.column_names:
            return np.full(len(self), np.nan)
        values = self._array(column).to_numpy(zero_copy_only=False)
        return values if np.issubdtype(values.dtype, np.floating) else values.astype(np.float64)

    def hashes(self, *columns: str) -> UInt64s:  # (n,)
        """Of the text in the first of these columns that has one."""
        from curate.xxh64 import xxh64  # brings Numba: not for one document's story

        return xxh64(pc.coalesce(*(self._array(column).cast(pa.large_string()) for column in columns)))

    def reasons(self) -> tuple[Int64s, Int64s, Int64s]:
        """Every (row, reason) once: rows of the chunk, codes, and how many findings speak against that row."""
        lists = self._array("reasons")
        rows = pc.list_parent_indices(lists).to_numpy().astype(np.int64)
        codes = self.names.codes("reasons", pc.list_flatten(lists).cast(pa.string()))
        findings = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        width = int(codes.max(initial=0)) + 1
        rows, codes = np.divmod(np.unique(rows * width + codes), width)
        return rows, codes, findings[rows]

    def _array(self, column: str) -> pa.Array:
        found = self.table.column(column).combine_chunks()
        return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found

    def _strings(self, column: str) -> pa.Array:
        if column in self.table.column_names:
            return self._array(column).cast(pa.string())
        # a ledger without roles is read as one of domain sources only
        return pa.array(["domain" if column == "role" else None] * len(self), pa.string())


def chunks(run: Path, columns: Iterable[str], names: Names) -> Iterator[Chunk]:
    """The whole ledger; columns that it lacks are left out. Raises Fault where there is no ledger."""
    first = 0
    for table in _tables(run, list(dict.fromkeys(columns))):
        yield Chunk(first, table, names)
        first += len(table)


def _tables(run: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    for path in _files(run):
        with pq.ParquetFile(path) as file:
            here = [column for column in columns if column in file.schema_arrow.names]
            for group in range(file.num_row_groups):  # asked for all of them at once, Arrow holds on to several
                for batch in file.iter_batches(batch_size=ROWS, row_groups=[group], columns=here):
                    waiting.append(batch)
                    if sum(map(len, waiting)) >= ROWS:
                        yield pa.Table.from_batches(waiting).combine_chunks()
                        waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting).combine_chunks()


def measures(run: Path) -> list[str]:
    """The ledger's columns that hold a measure, in its order."""
    return [column.name for column in pq.read_schema(_files(run)[0]) if column.type == pa.float64()]


def columns_of(run: Path) -> list[str]:
    return list(pq.read_schema(_files(run)[0]).names)


def read_rows(run: Path) -> ds.Dataset:
    """The ledger's files as one dataset, in order of their names. Raises Fault where there are none."""
    return ds.dataset([str(path) for path in _files(run)], format="parquet")


def rows(run: Path, numbers: Iterable[int], columns: Sequence[str]) -> dict[int, dict[str, Any]]:
    """Chosen rows, by their number. Reads only the row groups that hold one of them."""
    wanted = np.unique(np.fromiter(numbers, np.int64))
    found: dict[int, dict[str, Any]] = {}
    first = 0
    for path in _files(run):
        with pq.ParquetFile(path) as file:
            here = [column for column in columns if column in file.schema_arrow.names]
            for group in range(file.num_row_groups):
                after = first + file.metadata.row_group(group).num_rows
                inside = wanted[(wanted >= first) & (wanted < after)]
                if len(inside):
                    taken = file.read_row_group(group, columns=here).take(pa.array(inside - first)).to_pylist()
                    found |= dict(zip(inside.tolist(), taken, strict=True))
                first = after
    return found


def texts(run: Path, at_most_chars: Mapping[str, int]) -> dict[str, str]:
    """The beginnings of stored texts, kept and removed, by id: of each as many characters as asked for. Reads only the
    row groups that hold one of them."""
    wanted = pa.array(sorted(at_most_chars), pa.string())
    found: dict[str, str] = {}
    for path in stored_texts(run) if len(wanted) else []:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                here = file.read_row_group(group, columns=["id"]).column("id").cast(pa.string())
                places = pc.indices_nonzero(pc.is_in(here, wanted))
                if len(places):
                    stored = file.read_row_group(group, columns=["text"]).column("text").take(places)
                    for name, text in zip(here.take(places).to_pylist(), stored, strict=True):
                        found[name] = pc.utf8_slice_codeunits(text, 0, at_most_chars[name]).as_py()
    return found


def stored_texts(run: Path) -> list[Path]:
    """The files that hold texts: of what stayed, then of what left."""
    curated = run / "curated"
    return sorted(curated.glob("documents/*/*.parquet")) + sorted(curated.glob("removed/*.parquet"))


def _files(run: Path) -> list[Path]:
    folder = run / "curated" / "ledger"
    found = sorted(folder.glob("*.parquet"))
    if not found:
        raise Fault("this run has no ledger", where=str(folder), hint="curate first: postgrad curate RECIPE")
    return found
