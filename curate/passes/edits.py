"""How a later pass changes documents' texts: an overlay over what the first pass left, never a second copy of it.

    sifted/unit-00003.parquet    0  1  2  3  4  5        all records as they were read
    edits/unit-00003.parquet           2     4           those that were edited: text, sizes, sketches, bytes cut
    Sifted.edited(edits)         0  1  2' 3  4' 5        what every reader from here on sees

An edited text is sketched anew, so exact keys, signatures, n-grams, shards and the ledger's sizes are those of the text
that remains. Measures stay those of the text as it was read: no rule is judged twice. Overlays stack, the latest wins,
and what each has cut adds up. A unit without edits has no file.

A pass that leaves nothing of a document does not edit it: the document leaves as it was, with a reason. `leave` writes
the unit's verdicts anew with it, in the form that judging gave them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.passes.judge import VERDICTS
from curate.passes.sift import TableWriter, sketched, unit_file
from curate.settings import Duplicates
from curate.text import TextBatch

Int64s = npt.NDArray[np.int64]

CUT = "cut"  # bytes that left; below zero where what stands in their place is longer
TRIMMED = "bytes_trimmed"  # what a record's edits have cut, together: a column of the ledger


class Edits:
    """Writes the edits of a unit, some rows at a time, in ascending order. The file appears if there are any."""

    def __init__(self, folder: Path, unit: int, settings: Duplicates, seed: int) -> None:
        self.path, self.settings, self.seed = unit_file(folder, unit), settings, seed
        self._writer: TableWriter | None = None

    def __enter__(self) -> Edits:
        return self

    def write(self, rows: Int64s, texts: pa.LargeStringArray, n_bytes_before: Int64s) -> None:
        """`rows`: within the unit. `n_bytes_before`: of the texts that these ones stand in place of."""
        if len(rows):
            edits = edited(rows, texts, n_bytes_before, self.settings, self.seed)
            if self._writer is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._writer = TableWriter(self.path, edits.schema, "lz4")
            self._writer.write(edits)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._writer is not None:
            self._writer.__exit__(kind, error, at)


def edited(
    rows: Int64s, texts: pa.LargeStringArray, n_bytes_before: Int64s, settings: Duplicates, seed: int
) -> pa.RecordBatch:
    """Rows of an edits file."""
    batch = TextBatch(texts)
    columns = {
        "row": pa.array(rows, pa.int64()),
        "n_bytes": pa.array(batch.n_bytes),
        CUT: pa.array(n_bytes_before - batch.n_bytes),
    }
    return pa.record_batch(columns | sketched(batch, settings, seed))


class Overlay:
    """The edits of a unit, read beside its rows: of its texts, one row group is in memory."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._file = pq.ParquetFile(path)
        self.columns = [name for name in columns if name in self._file.schema_arrow.names]
        self.adds_up = TRIMMED in columns
        counts = [self._file.metadata.row_group(i).num_rows for i in range(self._file.metadata.num_row_groups)]
        self._first = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        self._rows = self._file.read(columns=["row"])["row"].to_numpy()
        self._held: tuple[int, pa.Table] | None = None

    def close(self) -> None:
        self._file.close()

    def over(self, first: int, table: pa.Table) -> pa.Table:
        """The unit's rows from `first` on, as they are after the edits."""
        low, high = (int(at) for at in np.searchsorted(self._rows, [first, first + len(table)]))
        if low == high or not (self.columns or self.adds_up):
            return table
        edits = self._edits(low, high)
        mask = np.zeros(len(table), np.bool_)
        mask[self._rows[low:high] - first] = True
        for name in self.columns:
            table = _with(table, name, pc.replace_with_mask(_whole(table[name]), pa.array(mask), _whole(edits[name])))
        if self.adds_up:
            cut = table[TRIMMED].to_numpy().copy()
            cut[mask] += edits[CUT].to_numpy()
            table = _with(table, TRIMMED, pa.array(cut))
        return table

    def _edits(self, low: int, high: int) -> pa.Table:
        """Edits number low:high. Those of one row group of texts nearly always stand in one of the file."""
        groups = range(
            int(np.searchsorted(self._first, low, side="right")) - 1, int(np.searchsorted(self._first, high))
        )
        parts = [self._group(group) for group in groups]
        first = int(self._first[groups.start])
        return pa.concat_tables(parts).slice(low - first, high - low)

    def _group(self, group: int) -> pa.Table:
        if self._held is None or self._held[0] != group:
            columns = [*self.columns, CUT] if self.adds_up else self.columns
            self._held = group, self._file.read_row_group(group, columns=columns)
        return self._held[1]


def _with(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def leave(
    judged: Path, folder: Path, unit: int, rows: Int64s, stage: str, reason: str, evidence: Sequence[str]
) -> None:
    """Write a unit's verdicts into another folder, with those of the documents that leave here. `rows` of these ascend;
    none has left before."""
    verdicts = pq.read_table(unit_file(judged, unit), columns=VERDICTS.names)
    values = {
        "fate": ["removed"] * len(rows),
        "stage": [stage] * len(rows),
        "reason": [reason] * len(rows),
        "reasons": [[reason]] * len(rows),
        "evidence": list(evidence),
    }
    place = np.arange(len(verdicts))
    place[rows] = len(verdicts) + np.arange(len(rows))
    theirs = pa.table([pa.array(values[field.name], field.type) for field in VERDICTS], schema=VERDICTS)
    folder.mkdir(parents=True, exist_ok=True)
    with TableWriter(unit_file(folder, unit), VERDICTS) as writer:
        writer.write(pa.concat_tables([verdicts.cast(VERDICTS), theirs]).take(pa.array(place)))
