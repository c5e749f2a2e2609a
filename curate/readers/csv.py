"""CSV and TSV: a header row, then records; quoted fields may run over lines. The position counts records from 0.

A row with more or fewer fields than the header is quarantined. So is a quote that never closes: only its first line,
reading goes on with the next, so that one stray quote does not swallow the rest of the file.

How far a row may run on is bounded, or a file made for it, in which every line opens a quote that never closes, would
be read to its end once for every line. The bound shrinks with each row that is given up, by what it took, and grows
with each that is read: what is read again is at most a few times the file.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from curate.decoding import line_stream, lines_of
from curate.readers._fields import record_of
from curate.records import EVIDENCE_CHARS, LARGEST_RECORD, Fields, Place, Record, quarantined

# What a row may take is counted in characters and lines, as a line of two characters is work and memory too
A_LINE = 64  # counts as so many characters
MOST, LEAST = LARGEST_RECORD, 1 << 12  # that a row may take at best, and at worst
BLANK = frozenset({"\n", "\r\n"})


class Csv:
    def __call__(self, stream: BinaryIO, place: Place, fields: Fields) -> Iterator[Record]:
        lines, encoding = line_stream(stream, fields.encoding)
        csv.field_size_limit(LARGEST_RECORD)
        # bytes that are not text become lone surrogates, which mark the row they stand in and no other
        text = (line.decode(encoding, "surrogateescape") for line in lines_of(lines))
        first = next(text, "")
        delimiter = "\t" if ".tsv" in place.path.lower() else _delimiter(first)
        rows = _Rows(text, first, delimiter).read()
        header = next(rows, ([], 0, ""))[0]
        for position, (row, n_bytes, problem) in enumerate(rows):
            if n_bytes > LARGEST_RECORD:
                yield quarantined(place, position, "too_large", problem or row, n_bytes)
            elif problem:
                yield quarantined(place, position, "unreadable_row", problem, n_bytes)
            elif (broken := _not_text(row)) is not None:
                yield quarantined(place, position, "wrong_encoding", f"not {encoding}: {broken!r}", n_bytes)
            elif len(row) != len(header):
                what = f"{len(row)} fields under a header of {len(header)}: {row}"
                yield quarantined(place, position, "unreadable_row", what, n_bytes)
            else:
                yield record_of(dict(zip(header, row, strict=True)), place, position, fields, n_bytes)


class _Rows:
    """Rows of a table; one whose quotes are wrong gives its first line back as a problem, the others are read again."""

    def __init__(self, text: Iterable[str], first: str, delimiter: str) -> None:
        self._text, self._delimiter = iter(text), delimiter
        self._again = deque([first])  # lines to read (once more) before the text goes on
        self._taken: list[str] = []  # lines of the row under way
        self._size = 0  # of them, in characters and lines
        self._granted = MOST  # size that the row under way may have

    def read(self) -> Iterator[tuple[list[str], int, str]]:
        """(fields, bytes, problem) of each row."""
        source = self._reader()
        while True:
            self._taken.clear()
            self._size = 0
            try:
                row = next(source)
            except StopIteration:
                return
            except csv.Error as error:
                first, *others = self._taken
                yield [], _bytes([first]), f"{error}: {first[:EVIDENCE_CHARS].strip()}"
                self._again.extendleft(reversed(others))
                self._granted = max(LEAST, self._granted - self._size)
                source = self._reader()
                continue
            self._granted = min(MOST, self._granted + self._size)
            if row:
                yield row, _bytes(self._taken), ""

    def _reader(self) -> Iterator[list[str]]:
        return csv.reader(self._lines(), delimiter=self._delimiter, strict=True)

    def _lines(self) -> Iterator[str]:
        """The lines, until the row has had as much as it may: to the csv module that is the end of the data."""
        while self._size <= self._granted:
            line = self._again.popleft() if self._again else next(self._text, "")
            if not line:
                return
            if line in BLANK and not self._taken:  # a blank line is no record
                continue
            self._taken.append(line)
            self._size += len(line) + A_LINE
            yield line


def _delimiter(header: str) -> str:
    """The most frequent of the usual ones in the header; a comma where there is none."""
    return max(",;\t|", key=header.count)


def _not_text(row: list[str]) -> str | None:
    """The first field with bytes that are not text in the declared encoding."""
    return next((value for value in row if any("\udc80" <= mark <= "\udcff" for mark in value)), None)


def _bytes(lines: list[str]) -> int:
    return sum(len(line.encode("utf-8", "surrogateescape")) for line in lines)
