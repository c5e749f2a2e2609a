"""Arrow IPC: the stream form (what `datasets` saves), the file form (Feather 2 is the same), batch by batch.

A file is a stream between a mark and a directory of its batches. Where the directory cannot be had, because the data
comes as a stream or was cut short, the batches are read one after another, so that those before a break are delivered.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO, cast

import pyarrow as pa

from curate.decoding import Readable
from curate.readers._columns import records_of_batch
from curate.records import Damaged, Fields, Place, Record

FILE_MARK = b"ARROW1\0\0"


class Arrow:
    def __call__(self, stream: BinaryIO, place: Place, fields: Fields) -> Iterator[Record]:
        position = 0
        try:
            for batch in _batches(stream):
                _check(batch)
                yield from records_of_batch(batch, place, position, fields)
                position += len(batch)
        except (pa.ArrowException, OSError) as error:
            raise Damaged("unreadable_file", f"arrow: {error}") from error


def _batches(stream: BinaryIO) -> Iterator[pa.RecordBatch]:
    mark = stream.read(len(FILE_MARK))
    if mark == FILE_MARK and stream.seekable():
        try:
            file = pa.ipc.open_file(stream)
        except pa.ArrowInvalid:  # no directory at its end
            stream.seek(len(FILE_MARK))
        else:
            yield from (file.get_batch(number) for number in range(file.num_record_batches))
            return
    content = stream if mark == FILE_MARK else _Rejoined(mark, stream)
    yield from pa.ipc.open_stream(pa.PythonFile(content, mode="r"))


def _check(batch: pa.RecordBatch) -> None:
    """Raises ArrowInvalid where offsets point out of their data: pyarrow believes them, and the process would end.

    Bytes that are no UTF-8 pass; they cost their own row (curate/readers/_columns.py).
    """
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        for column in batch.columns:
            plain = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}.get(column.type)
            (column if plain is None else column.view(plain)).validate(full=True)


class _Rejoined(io.RawIOBase):
    """A stream with its first bytes, which were read already, put back."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        self._first, self._rest = first, cast(io.RawIOBase, Readable(rest))

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        if not self._first:
            return self._rest.readinto(target) or 0
        n = min(len(target), len(self._first))
        target[:n], self._first = self._first[:n], self._first[n:]
        return n
