"""Plain text with one document a line (`format: lines`): the line number, from 0, is the position. Blank lines are no
records.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from curate.decoding import line_stream, lines_of, trouble
from curate.records import LARGEST_RECORD, Fields, Place, Record, document, quarantined


class Lines:
    def __call__(self, stream: BinaryIO, place: Place, fields: Fields) -> Iterator[Record]:
        lines, encoding = line_stream(stream, fields.encoding, is_start=place.first == 0)
        for position, line in enumerate(lines_of(lines), place.first):
            if line.isspace():
                continue
            if len(line) > LARGEST_RECORD:
                yield quarantined(place, position, "too_large", line[:100].decode("utf-8", "replace"), len(line))
                continue
            try:
                text = line.decode(encoding).rstrip("\r\n")
            except UnicodeDecodeError as error:
                yield quarantined(place, position, "wrong_encoding", trouble(error), len(line))
                continue
            yield document(place, position, text, raw_bytes=len(line))
