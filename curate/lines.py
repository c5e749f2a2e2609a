"""The lines of a batch: where they stand, what they are made of, and the marks in them, found once and shared.

    text     "  Fever of 39.5 °C.\\n\\n[12] Cough\\n"
    lines    Fever of 39.5 °C.   characters 17  letters 8  upper 2  digits 3   marks . .    breaks 0
             [12] Cough          characters 10  letters 5  upper 1  digits 2   marks [      breaks 2

A line is what stands between newlines, without the white space at its ends; a line of nothing else is none. Other
breaks (carriage return, U+2028) are no newlines here: the cleaner `line_endings` makes them such. `breaks` counts the
newlines since the line before, so that a blank line in between is known. Marks are the places that a measure may have
to look at, so that no family has to read the text again: ASCII's . ! ? ( [ { < = > + ^ | \\ and tabs, and beyond ASCII
the characters with the trait WANTED (`curate/traits.py`).

One pass of a Numba kernel, a block at a time: flag the bytes that may matter (a loop that compiles to vector
instructions), then go from flag to flag.

Legend: n documents, l lines, m marks, b bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.lanes import inlined, lowest, step
from curate.traits import DIGIT, LETTER, SPACE, UPPER, WANTED
from curate.utf8 import code_point, stripped

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]

BLOCK = 4096  # bytes flagged at once: stays in the first-level cache


@dataclass(frozen=True, slots=True)
class Lines:
    first: Int64s  # (n + 1,) the lines of document i are first[i] : first[i + 1]
    start: Int64s  # (l,) byte offsets into the batch's buffer, white space at the ends left out
    end: Int64s  # (l,)
    breaks: Int32s  # (l,) newlines since the line before; of a document's first line, since its beginning
    characters: Int32s  # (l,) code points
    letters: Int32s  # (l,) str.isalpha
    upper: Int32s  # (l,) str.isupper
    digits: Int32s  # (l,) str.isdigit
    first_word: Int64s  # (l + 1,) the words of line k, of `TextBatch.words`, are first_word[k] : first_word[k + 1]
    first_mark: Int64s  # (l + 1,) the marks of line k are first_mark[k] : first_mark[k + 1]
    mark: Int64s  # (m,) byte offsets
    newlines: Int64s  # (n,) of a document, those at its ends too


def lines_of(data: npt.NDArray[np.uint8], offsets: Int64s, word_start: Int64s, traits: npt.NDArray[np.uint16]) -> Lines:
    """All lines of the documents data[offsets[i] : offsets[i + 1]], whose words begin at `word_start`."""
    first, start, end, breaks, counts, first_mark, mark, newlines = find_lines(data, offsets, traits)
    first_word = words_before(start, word_start, len(data))
    characters, letters, upper, digits = counts
    return Lines(first, start, end, breaks, characters, letters, upper, digits, first_word, first_mark, mark, newlines)


@njit(cache=True, nogil=True)
def find_lines(data, offsets, traits):  # type: ignore[no-untyped-def]
    """(first, start, end, breaks, (characters, letters, upper, digits), first_mark, mark, newlines)."""
    n, flags = len(offsets) - 1, np.zeros(BLOCK, np.uint8)
    room = _count(data, offsets[0], offsets[n], 0x0A) + n
    edge, edge_mark, beyond = np.empty(room, np.int64), np.empty(room, np.int64), np.zeros((room, 3), np.int32)
    newlines, mark = np.empty(n, np.int64), np.empty(_count_flags(data, offsets[0], offsets[n], flags), np.int64)
    _scan(data, offsets, traits, flags, flags.view(np.uint64), edge, edge_mark, beyond, mark, newlines)
    first, start, end = np.empty(n + 1, np.int64), np.empty(room, np.int64), np.empty(room, np.int64)
    breaks, counts, first_mark = np.empty(room, np.int32), np.empty((4, room), np.int32), np.empty(room + 1, np.int64)
    lines, marks = _cut(
        data, offsets, traits, edge, edge_mark, beyond, newlines, first, start, end, breaks, counts, first_mark, mark
    )
    columns = (counts[0, :lines], counts[1, :lines], counts[2, :lines], counts[3, :lines])
    return first, start[:lines], end[:lines], breaks[:lines], columns, first_mark[: lines + 1], mark[:marks], newlines


@step
def _scan(data, offsets, traits, flags, eights, edge, edge_mark, beyond, mark, newlines):  # type: ignore[no-untyped-def]
    """What stands between newlines, pieces that may be blank: where each ends, the marks before its end, its letters,
    upper-case letters and digits beyond ASCII; all marks; newlines by document."""
    marks, pieces = 0, 0
    for i in range(len(newlines)):
        before = pieces
        for block in range(offsets[i], offsets[i + 1], BLOCK):
            size = min(BLOCK, offsets[i + 1] - block)
            _flag(data, block, size, flags)
            for k in range((size + 7) // 8):
                eight = eights[k]
                while eight != 0:
                    place = block + 8 * k + (lowest(eight) >> 3)
                    eight &= eight - np.uint64(1)
                    byte = data[place]
                    mark[marks] = place
                    if byte >= 0x80:
                        bits = traits[code_point(data, place)[0]]
                        beyond[pieces, 0] += bits & LETTER != 0
                        beyond[pieces, 1] += bits & UPPER != 0
                        beyond[pieces, 2] += bits & DIGIT != 0
                        marks += bits & WANTED != 0
                    elif byte == 0x0A:
                        edge[pieces], edge_mark[pieces] = place, marks
                        pieces += 1
                    else:
                        marks += 1
        newlines[i] = pieces - before
        edge[pieces], edge_mark[pieces] = offsets[i + 1], marks
        pieces += 1


@step
def _cut(  # type: ignore[no-untyped-def]
    data, offsets, traits, edge, edge_mark, beyond, newlines, first, start, end, breaks, counts, first_mark, mark
):
    """From pieces to lines: (lines, their marks)."""
    lines, marks, m, before = 0, 0, 0, 0
    for i in range(len(newlines)):
        first[i] = lines
        line, broken = offsets[i], 0
        for piece in range(before, before + newlines[i] + 1):
            at, stop = stripped(data, line, edge[piece], traits, SPACE)
            if at < stop:
                start[lines], end[lines], breaks[lines], first_mark[lines] = at, stop, broken, marks
                _measure_line(data, at, stop, beyond, piece, counts, lines)
                for k in range(m, edge_mark[piece]):  # without tabs before the line's text and behind it
                    mark[marks] = mark[k]
                    marks += at <= mark[k] < stop
                lines, broken = lines + 1, 0
            line, m, broken = edge[piece] + 1, edge_mark[piece], broken + 1
        before += newlines[i] + 1
    first[len(newlines)], first_mark[lines] = lines, marks
    return lines, marks


@step
def _count(data, at, stop, byte):  # type: ignore[no-untyped-def]
    count = 0
    for value in data[at:stop]:
        count += value == byte
    return count


@inlined
def _matters(byte):  # type: ignore[no-untyped-def]
    """Newlines, marks, and the first byte of every character beyond ASCII. No branch: this has to become vectors."""
    return (
        (byte == 0x09)
        | (byte == 0x0A)
        | (byte == 0x21)  # !
        | (byte == 0x28)  # (
        | (byte == 0x2B)  # +
        | (byte == 0x2E)  # .
        | ((byte >= 0x3C) & (byte <= 0x3F))  # < = > ?
        | (byte == 0x5B)  # [
        | (byte == 0x5C)  # \
        | (byte == 0x5E)  # ^
        | (byte == 0x7B)  # {
        | (byte == 0x7C)  # |
        | (byte >= 0xC0)
    )


@step
def _count_flags(data, at, stop, flags):  # type: ignore[no-untyped-def]
    count = 0
    for block in range(at, stop, BLOCK):
        size = min(BLOCK, stop - block)
        _flag(data, block, size, flags)
        for flag in flags[:size]:
            count += flag
    return count


@step
def _flag(data, block, size, flags):  # type: ignore[no-untyped-def]
    """1 for bytes that matter, 0 for others, and 0 up to the next eight."""
    view = data[block : block + size]
    for k in range(len(view)):
        flags[k] = _matters(view[k])
    for k in range(size, (size + 7) // 8 * 8):
        flags[k] = 0


@step
def _measure_line(data, start, end, beyond, piece, counts, k):  # type: ignore[no-untyped-def]
    """ASCII's counts and those found beyond it. A loop over a slice compiles to vector instructions."""
    characters, letters, upper, digits = 0, 0, 0, 0
    for byte in data[start:end]:
        characters += byte & 0xC0 != 0x80
        letters += ((byte | 0x20) >= 0x61) & ((byte | 0x20) <= 0x7A)
        upper += (byte >= 0x41) & (byte <= 0x5A)
        digits += (byte >= 0x30) & (byte <= 0x39)
    counts[0, k], counts[1, k] = characters, letters + beyond[piece, 0]
    counts[2, k], counts[3, k] = upper + beyond[piece, 1], digits + beyond[piece, 2]


@njit(cache=True, nogil=True)
def words_before(start, word_start, end):  # type: ignore[no-untyped-def]
    """(l + 1,) how many words begin before each line, and before the end of the last."""
    found, words = np.empty(len(start) + 1, np.int64), 0
    for k in range(len(start) + 1):
        words = first_from(word_start, words, start[k] if k < len(start) else end)
        found[k] = words
    return found


@step
def first_from(places, low, place):  # type: ignore[no-untyped-def]
    """The first index, `low` or later, of rising places that is not before a place; their number where all are.

    In strides that double and then halve: a thousand places further on takes twenty steps.
    """
    stride = 1
    while low + stride < len(places) and places[low + stride] < place:
        low += stride
        stride *= 2
    while stride:
        if low + stride <= len(places) and places[low + stride - 1] < place:
            low += stride
        else:
            stride //= 2
    return low
