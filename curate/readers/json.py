"""JSON files: an array of objects, an object of objects (its keys are the ids), one object, or lines after all.

Many `.json` files are JSON Lines: they show it by a first line that is an object and a second one, and are read as
such, as a stream. Any other file is one value; where it breaks, the records before the break stand and the rest is
one quarantined record.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

from curate.decoding import line_stream, lines_of, trouble, whole
from curate.readers._fields import ABSENT, field_of, record_of
from curate.readers.jsonl import parse, records_of
from curate.records import LARGEST_RECORD, Damaged, Fields, Place, Record, quarantined, shown

SPACE = re.compile(r"[ \t\r\n]*")


class Json:
    def __call__(self, stream: BinaryIO, place: Place, fields: Fields) -> Iterator[Record]:
        lines, encoding = line_stream(stream, fields.encoding)
        first = lines.readline(LARGEST_RECORD)
        rest = lines_of(lines)
        if _is_object(first, encoding, fields) and (second := next(rest, b"")).strip():
            yield from records_of(itertools.chain([first, second], rest), encoding, place, fields)
            return
        try:
            content = first + whole(lines, LARGEST_RECORD - len(first))
        except Damaged as damage:
            rows = _rows_before_the_break((first + damage.before).decode(encoding, "ignore"), fields)
            yield from _told(rows, place, fields)
            raise
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError as error:
            yield quarantined(place, 0, "wrong_encoding", trouble(error), len(content))
            return
        yield from _records(text, len(content), place, fields)


def _is_object(line: bytes, encoding: str, fields: Fields) -> bool:
    try:
        return line.lstrip().startswith(b"{") and isinstance(parse(line.decode(encoding), fields), dict)
    except (ValueError, RecursionError):
        return False


def _records(text: str, n_bytes: int, place: Place, fields: Fields) -> Iterator[Record]:
    if not text.strip():
        yield quarantined(place, 0, "empty_text", repr(text), n_bytes)
        return
    broken: Exception | None = None
    try:
        rows = _rows(parse(text, fields), fields)
    except (ValueError, RecursionError) as error:
        rows, broken = _rows_before_the_break(text, fields), error
    position = 0
    for record in _told(rows, place, fields):
        yield record
        position += 1
    if broken is not None:
        yield quarantined(place, position, "broken_json", broken, 0 if position else n_bytes)


def _told(rows: Iterable[tuple[str | None, Any]], place: Place, fields: Fields) -> Iterator[Record]:
    for position, (key, row) in enumerate(rows):
        if isinstance(row, dict):
            record = record_of(row, place, position, fields, 0, key)
        else:
            record = quarantined(place, position, "not_an_object", shown(row), 0, key)
        yield replace(record, n_bytes=_size(row)) if record.reason else record


def _size(row: Any) -> int:
    """Bytes that a row takes as JSON, about; of one too deep to be written down, 0."""
    try:
        return len(json.dumps(row))
    except RecursionError:
        return 0


def _rows(value: Any, fields: Fields) -> Iterator[tuple[str | None, Any]]:
    """(key or None, row) of each record in a parsed file."""
    if isinstance(value, list):
        yield from ((None, row) for row in value)
    elif isinstance(value, dict) and value and _is_map(value, fields):
        yield from value.items()
    else:
        yield None, value


def _is_map(value: dict[str, Any], fields: Fields) -> bool:
    """Names to rows, rather than one row: all values are objects, and the text field is not among the names."""
    has_text = any(field_of(value, name) is not ABSENT for name in fields.text)
    return not has_text and all(isinstance(row, dict) for row in value.values())


def _rows_before_the_break(text: str, fields: Fields) -> Iterator[tuple[str | None, Any]]:
    """The rows of a broken array or map, one by one, as far as they parse."""
    decoder = json.JSONDecoder()
    at = _space(text, 0)
    opening, at = text[at : at + 1], at + 1
    if opening not in ("[", "{"):
        return
    try:
        while True:
            key = None
            at = _space(text, at)
            if opening == "{":
                key, at = decoder.raw_decode(text, at)
                at = _expect(text, at, ":")
            row, at = decoder.raw_decode(text, _space(text, at))
            if opening == "{" and not (isinstance(row, dict) and _is_map({str(key): row}, fields)):
                return  # one row, not a map of rows
            yield key, row
            at = _expect(text, at, ",")
    except (ValueError, RecursionError):
        return


def _expect(text: str, at: int, mark: str) -> int:
    at = _space(text, at)
    if text[at : at + 1] != mark:
        raise ValueError(f"no {mark!r}")
    return at + 1


def _space(text: str, at: int) -> int:
    match = SPACE.match(text, at)
    return match.end() if match else at
