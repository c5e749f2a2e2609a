"""Arrow batches to records, whatever file they come from: the columns that are needed (text, id) or can become meta."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from curate.readers._fields import record_of
from curate.records import Fields, Place, Record

ROWS_AT_ONCE = 1024  # turned into Python objects


def records_of_batch(batch: pa.RecordBatch, place: Place, position: int, fields: Fields) -> Iterator[Record]:
    """The batch's rows as records, the first of them at `position`."""
    batch = batch.select(columns(batch.schema, fields))
    for start in range(0, len(batch), ROWS_AT_ONCE):
        for number, row in enumerate(_rows(batch.slice(start, ROWS_AT_ONCE)), position + start):
            yield record_of(row, place, number, fields, _size(row))


def columns(schema: pa.Schema, fields: Fields) -> list[str]:
    """Names of the columns worth reading: those the recipe asks for, and scalars, which become meta."""
    needed = {part for name in (*fields.text, fields.id or "") for part in (name, name.split(".")[0])}
    names = [column.name for column in schema if column.name in needed or not _is_bulky(column.type)]
    return [name for name in names if names.count(name) == 1]  # a name that stands for two columns names neither


def _is_bulky(type: pa.DataType) -> bool:
    return bool(pa.types.is_nested(type) or pa.types.is_binary(type) or pa.types.is_large_binary(type))


def _rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows as Python objects; value by value where one of them has no such form."""
    try:
        return batch.to_pylist()
    except (ValueError, OverflowError):  # a string that is not UTF-8, a date beyond the year 9999
        held = [[_value(scalar) for scalar in column] for column in batch.columns]
        return [dict(zip(batch.schema.names, row, strict=True)) for row in zip(*held, strict=True)]


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
