"""Plain text: one document per file, as it stands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from curate.decoding import decode, trouble, whole
from curate.records import Fields, Place, Record, document, quarantined


class Text:
    def __call__(self, stream: BinaryIO, place: Place, fields: Fields) -> Iterator[Record]:
        content = whole(stream)
        try:
            text = decode(content, fields.encoding)
        except UnicodeDecodeError as error:
            yield quarantined(place, 0, "wrong_encoding", trouble(error), len(content))
            return
        yield document(place, 0, text, raw_bytes=len(content))
