"""CSV and TSV: a header row, then records; quoted fields may run over lines. The position counts records from 0.

A row with more or fewer fields than the header is quarantined. So is a quote that never closes: only its first line,
reading goes on with the next, so that one stray quote does not swallow the rest of the file.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO

from curate.decoding import line_stream
from curate.readers._fields import record_of
from curate.records import LARGEST_RECORD, Fields, Place, Record, quarantined


class Csv:
    def __call__(self, stream: BinaryIO, place: Place, fields: Fields) -> Iterator[Record]:
        lines, encoding = line_stream(stream, fields.encoding)
        csv.field_size_limit(LARGEST_RECORD)
        # bytes that are not text become lone surrogates, which mark the row they stand in and no other
        text = (line.decode(encoding, "surrogateescape") for line in lines)
        first = next(text, "")
        delimiter = "\t" if ".tsv" in place.path.lower() else _delimiter(first)
        rows = _rows(text, first, delimiter)
        header = next(rows, ([], 0, ""))[0]
        for position, (row, n_bytes, problem) in enumerate(rows):
            if problem:
                yield quarantined(place, position, "unreadable_row", problem, n_bytes)
            elif (broken := _not_text(row)) is not None:
                yield quarantined(place, position, "wrong_encoding", f"not {encoding}: {broken!r}", n_bytes)
            elif len(row) != len(header):
                what = f"{len(row)} fields under a header of {len(header)}: {row}"
                yield quarantined(place, position, "unreadable_row", what, n_bytes)
            else:
                yield record_of(dict(zip(header, row, strict=True)), place, position, fields, n_bytes)


def _rows(text: Iterator[str], first: str, delimiter: str) -> Iterator[tuple[list[str], int, str]]:
    """(fields, bytes, problem) of each row; a row whose quotes are wrong gives its first line back as a problem."""
    again = deque([first])  # lines to read (once more) before the stream goes on
    taken: list[str] = []  # lines of the row under way

    def lines() -> Iterator[str]:
        while True:
            line = again.popleft() if again else next(text, "")
            if not line:
                return
            taken.append(line)
            yield line

    source = lines()
    while True:
        taken.clear()
        try:
            row = next(csv.reader(source, delimiter=delimiter, strict=True))
        except StopIteration:
            return
        except csv.Error as error:
            yield [], _size(taken[:1]), f"{error}: {taken[0].strip()}"
            again.extendleft(reversed(taken[1:]))
            source = lines()
            continue
        if row:  # a blank line is no record
            yield row, _size(taken), ""


def _delimiter(header: str) -> str:
    """The most frequent of the usual ones in the header; a comma where there is none."""
    return max(",;\t|", key=header.count)


def _not_text(row: list[str]) -> str | None:
    """The first field with bytes that are not text in the declared encoding."""
    return next((value for value in row if any("\udc80" <= mark <= "\udcff" for mark in value)), None)


def _size(lines: list[str]) -> int:
    return sum(len(line.encode("utf-8", "surrogateescape")) for line in lines)
