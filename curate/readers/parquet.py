"""Parquet: rows of the columns that are needed (text, id) or can become meta (scalars), a few thousand at a time.

The file's end says where its columns lie, so a stream without `seek` (within an archive, compressed once more) is
held in memory. A file that breaks delivers the row groups before the break.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from curate.decoding import whole
from curate.readers._fields import record_of
from curate.records import Damaged, Fields, Place, Record

ROWS_AT_ONCE = 1024


class Parquet:
    def __call__(self, stream: BinaryIO, place: Place, fields: Fields) -> Iterator[Record]:
        position = 0
        try:
            file = pq.ParquetFile(stream if stream.seekable() else io.BytesIO(whole(stream)))
            columns = _columns(file.schema_arrow, fields)
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, columns=columns):
                for row in _rows(batch):
                    yield record_of(row, place, position, fields, _size(row))
                    position += 1
        except (pa.ArrowException, OSError) as error:
            raise Damaged("unreadable_file", f"parquet: {error}") from error


def _columns(schema: pa.Schema, fields: Fields) -> list[str]:
    needed = {part for name in (*fields.text, fields.id or "") for part in (name, name.split(".")[0])}
    return [column.name for column in schema if column.name in needed or not _is_bulky(column.type)]


def _is_bulky(type: pa.DataType) -> bool:
    return bool(pa.types.is_nested(type) or pa.types.is_binary(type) or pa.types.is_large_binary(type))


def _rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows as Python objects; value by value where one of them has no such form."""
    try:
        return batch.to_pylist()
    except (ValueError, OverflowError):  # a string that is not UTF-8, a date beyond the year 9999
        columns = [[_value(scalar) for scalar in column] for column in batch.columns]
        return [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*columns, strict=True)]


def _value(scalar: pa.Scalar) -> Any:
    """Bytes that are not text become lone surrogates: they quarantine the row whose text they stand in, no other."""
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        is_text = isinstance(scalar, pa.StringScalar | pa.LargeStringScalar)
        return scalar.as_buffer().to_pybytes().decode("utf-8", "surrogateescape") if is_text else None
    except (ValueError, OverflowError):
        return None


def _size(row: dict[str, object]) -> int:
    """Bytes of a row's strings: what a quarantined row took."""
    return sum(len(value.encode("utf-8", "surrogateescape")) for value in row.values() if isinstance(value, str))
