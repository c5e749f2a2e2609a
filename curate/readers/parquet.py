"""Parquet: rows of the columns that are needed (text, id) or can become meta (scalars), a few thousand at a time.

The file's end says where its columns lie, so a stream without `seek` (within an archive, compressed once more) is
held in memory. Row groups are independent: of one that is damaged the rows before the break are delivered, what is left
of it is one quarantined record, and the next is read.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from curate.decoding import whole
from curate.readers._columns import ROWS_AT_ONCE, columns, records_of_batch
from curate.records import Damaged, Fields, Place, Record, quarantined
from curate.spans import parts_of

BREAKS = (pa.ArrowException, OSError)


class Parquet:
    def __call__(self, stream: BinaryIO, place: Place, fields: Fields) -> Iterator[Record]:
        file = _opened(stream)
        try:
            wanted = columns(file.schema_arrow, fields)
        except BREAKS as error:
            raise Damaged("unreadable_file", f"parquet: {error}") from error
        begin = place.first
        for group in parts_of(file.num_row_groups, place.span):
            yield from _group(file, group, wanted, place, begin, fields)
            begin += file.metadata.row_group(group).num_rows

    def parts(self, stream: BinaryIO) -> Iterator[tuple[int, int]]:
        """(rows, bytes on disk) of each row group."""
        metadata = _opened(stream).metadata
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            yield group.num_rows, sum(group.column(i).total_compressed_size for i in range(group.num_columns))


def _opened(stream: BinaryIO) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(stream if stream.seekable() else io.BytesIO(whole(stream)))
    except BREAKS as error:
        raise Damaged("unreadable_file", f"parquet: {error}") from error


def _group(
    file: pq.ParquetFile, group: int, wanted: list[str], place: Place, position: int, fields: Fields
) -> Iterator[Record]:
    try:
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, row_groups=[group], columns=wanted):
            yield from records_of_batch(batch, place, position, fields)
            position += len(batch)
    except BREAKS as error:
        what = f"parquet: row group {group}: {error}"
        yield quarantined(place, position, "unreadable_file", what, file.metadata.row_group(group).total_byte_size)
