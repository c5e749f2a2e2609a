"""A big file as several parts that are read apart, so that one 5 GB file keeps every core busy.

    lines     {...}\\n{...}\\n{.│...}\\n{...}\\n{│...}\\n   │ every unit_bytes: a part begins with the next line
    Parquet   groups of rows │ groups of rows           as the file's own footer lists them

A part holds the records that the whole file has there, at the positions that they have there. The number of a part's
first line is the number of line breaks before it: they are counted by whoever reads the file anyway, to know its
content (pipelines/inputs.py). That would cost another reading where the file lies in a store, so files of lines are
left whole there; Parquet is not, as a look at its footer is all it takes. Arrow files are left whole: their footer
does not say how many rows a batch holds, and what writes big ones (`datasets`) writes several.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import BinaryIO

import numpy as np

from curate.decoding import MARKS
from curate.plugins import plugin
from curate.records import Damaged, Span

LINES = frozenset({"jsonl", "lines"})  # formats where a line break ends a record, whatever stands around it


def splits_at_lines(format: str | None, encoding: str, start: bytes) -> bool:
    """Whether a file that begins with these bytes falls into lines at every byte 0x0A."""
    marked = next((marked for mark, marked in MARKS if start.startswith(mark)), encoding)
    return format in LINES and "\n".encode(marked) == b"\n"


class LineSpans:
    """Sees the blocks of a file of lines one after another, and knows its parts at the end."""

    def __init__(self, unit_bytes: int) -> None:
        self._unit_bytes = unit_bytes
        self._start = b""
        self._at = 0  # bytes seen
        self._lines = 0  # line breaks in them
        self._next = unit_bytes  # a part begins with the first line that begins here or later
        self._cuts = [(0, 0)]  # (byte, number of the line that begins there)

    def feed(self, block: bytes | bytearray | memoryview) -> None:
        seen = np.frombuffer(block, np.uint8)
        if len(self._start) < 4:
            self._start += seen[:4].tobytes()
        done = 0  # of the block
        # a line begins behind a break, so the break to look for may be the byte before
        while self._next - 1 < self._at + len(seen):
            found = _first_break(seen, max(self._next - 1 - self._at, done))
            if found < 0:
                break
            self._lines += _breaks(seen[done : found + 1])
            done = found + 1
            begin = self._at + done
            self._cuts.append((begin, self._lines))
            self._next = (begin // self._unit_bytes + 1) * self._unit_bytes
        self._lines += _breaks(seen[done:])
        self._at += len(seen)

    def spans(self) -> list[Span]:
        """The parts of the file; none where it has only one."""
        cuts = [cut for cut in self._cuts if cut[0] < self._at]
        ends = [*(begin for begin, _ in cuts[1:]), self._at][: len(cuts)]
        marked = next((marked for mark, marked in MARKS if self._start.startswith(mark)), None)
        spans = [
            Span(begin, end, first, end - begin, marked if first else None)
            for (begin, first), end in zip(cuts, ends, strict=True)
        ]
        return spans if len(spans) > 1 else []


def _breaks(block: np.ndarray) -> int:
    return int(np.count_nonzero(block == 0x0A))


def _first_break(block: np.ndarray, at: int) -> int:
    """Index of the first line break from `at` on, or -1: looked for a little at a time, as it is mostly near."""
    while at < len(block):
        found = np.flatnonzero(block[at : at + (1 << 16)] == 0x0A)
        if len(found):
            return at + int(found[0])
        at += 1 << 16
    return -1


def container_spans(stream: BinaryIO, format: str | None, unit_bytes: int) -> list[Span]:
    """The parts of a file whose format lists its own, as its reader says (`parts`); none where it is damaged."""
    parts = getattr(plugin("curate.readers", format)(), "parts", None) if format else None
    try:
        return grouped(parts(stream), unit_bytes) if parts else []
    except Damaged:  # read whole, it says so in a record
        return []


def grouped(parts: Iterable[tuple[int, int]], unit_bytes: int) -> list[Span]:
    """(records, bytes on disk) of each row group to spans of about `unit_bytes`, in order."""
    spans: list[Span] = []
    begin = first = records = n_bytes = end = 0
    for count, size in parts:
        if end > begin and n_bytes + size > unit_bytes:
            spans.append(Span(begin, end, first, n_bytes))
            begin, first, n_bytes = end, records, 0
        end, records, n_bytes = end + 1, records + count, n_bytes + size
    if end > begin:
        spans.append(Span(begin, end, first, n_bytes))
    return spans if len(spans) > 1 else []


def parts_of(n_parts: int, span: Span | None) -> Sequence[int]:
    """Which row groups to read."""
    return range(span.begin, min(span.end, n_parts)) if span else range(n_parts)
