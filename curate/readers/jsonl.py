"""JSON Lines: one object per line, the line number (from 0) is the position. Blank lines are no records.

A line that is not an object is quarantined alone. orjson, which datatrove brings, reads the bytes as they are; where it
refuses, Python's own json decides and words the reason, so that what counts as broken does not depend on the faster
one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import orjson

from curate.decoding import line_stream, lines_of, trouble
from curate.readers._fields import field_of, record_of
from curate.records import LARGEST_RECORD, Fields, Place, Record, quarantined


class Jsonl:
    def __call__(self, stream: BinaryIO, place: Place, fields: Fields) -> Iterator[Record]:
        lines, encoding = line_stream(stream, fields.encoding, is_start=place.first == 0)
        yield from records_of(lines_of(lines), encoding, place, fields)


def records_of(lines: Iterable[bytes], encoding: str, place: Place, fields: Fields) -> Iterator[Record]:
    """The records of an iterable of lines; also the door for .json files that hold lines."""
    is_utf8 = encoding.lower().replace("_", "-") in ("utf-8", "utf8")
    for position, line in enumerate(lines, place.first):
        if line.isspace():
            continue
        if len(line) > LARGEST_RECORD:
            yield quarantined(place, position, "too_large", line[:100].decode("utf-8", "replace"), len(line))
            continue
        value = _quickly(line, fields) if is_utf8 else None
        if value is None:
            yield _record(line, encoding, place, position, fields)
        else:
            yield record_of(value, place, position, fields, len(line))


def _quickly(line: bytes, fields: Fields) -> dict[str, Any] | None:
    """The object of a line in UTF-8, as `parse` gives it; None where a closer look is needed."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict) or (fields.id and isinstance(field_of(value, fields.id), float)):
        return None
    return value


def _record(line: bytes, encoding: str, place: Place, position: int, fields: Fields) -> Record:
    try:
        text = line.decode(encoding)
    except UnicodeDecodeError as error:
        return quarantined(place, position, "wrong_encoding", trouble(error), len(line))
    try:
        value = parse(text, fields)
    except (ValueError, RecursionError) as error:
        return quarantined(place, position, "broken_json", f"{error}: {text.strip()}", len(line))
    if not isinstance(value, dict):
        return quarantined(place, position, "not_an_object", text.strip(), len(line))
    return record_of(value, place, position, fields, len(line))


def parse(text: str, fields: Fields) -> Any:
    """The value of a JSON text. Raises ValueError or RecursionError."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)
    if fields.id and any(isinstance(field_of(row, fields.id), float) for row in _objects(value)):
        return json.loads(text)  # orjson rounds integers past 64 bits to floats: ids would fall together
    return value


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """The value itself and what it holds, as far as these are objects: a line, or a file of many rows."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (one for one in (value, *inner) if isinstance(one, dict))
