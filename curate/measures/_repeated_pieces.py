"""Lines and paragraphs of a document that stood in it before: a hash table of pieces, equality checked byte by byte.

A first pass marks the newlines, a bit per byte; pieces are then found by hopping from mark to mark.

Legend: n documents, b bytes.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from curate.characters import SPACE
from curate.lanes import (
    bits_for,
    characters_between,
    eight_bytes,
    equal,
    gathered,
    inlined,
    inside,
    load,
    lowest,
    ones,
    step,
)
from curate.measures._tables import hash_bytes, same_bytes, slots_for
from curate.utf8 import stripped


@njit(cache=True, nogil=True)
def repeated_pieces(data, offsets, classes):  # type: ignore[no-untyped-def]
    """Per document: pieces, how many stood earlier, their characters; (2, n) int64 each, lines first, then paragraphs.

    Pieces lie between runs of at least one newline, or two. White space at the ends of the document belongs to no
    paragraph.
    """
    n = len(offsets) - 1
    pieces, repeated, characters = np.zeros((2, n), np.int64), np.zeros((2, n), np.int64), np.zeros((2, n), np.int64)
    origin = offsets[0]
    marks = _newlines(data, origin, offsets[n])
    room = 1
    for i in range(n):
        room = max(room, _count(marks, offsets[i] - origin, offsets[i + 1] - origin) + 1)
    slots = np.empty(slots_for(room), np.int32)  # hash table of the document at hand: number of a piece, or -1
    met = np.empty((room, 3), np.uint64)  # (start, end, hash) of each distinct piece
    for i in range(n):
        begin, stop = offsets[i], offsets[i + 1]
        found = _repeated(data, marks, origin, begin, stop, 1, slots, met)
        pieces[0, i], repeated[0, i], characters[0, i] = found
        if found[0] < 2:  # one line at most: one paragraph at most
            begin, stop = stripped(data, begin, stop, classes, SPACE)
            pieces[1, i] = stop > begin
            continue
        begin, stop = stripped(data, begin, stop, classes, SPACE)
        pieces[1, i], repeated[1, i], characters[1, i] = _repeated(data, marks, origin, begin, stop, 2, slots, met)
    return pieces, repeated, characters


@step
def _repeated(data, marks, origin, at, stop, newlines, slots, met):  # type: ignore[no-untyped-def]
    """(pieces, repeated ones, their characters) of one document between runs of at least so many newlines."""
    pieces, repeated, characters, distinct = 0, 0, 0, 0
    n_slots = slots_for(_count(marks, at - origin, stop - origin) + 1)
    slots[:n_slots] = -1
    while True:
        at, until, after = _next_piece(data, marks, origin, at, stop, newlines)
        if at >= stop:
            break
        pieces += 1
        if pieces == 1 and after >= stop:  # nothing to compare it with
            break
        digest = hash_bytes(data, at, until)
        slot = digest & np.uint64(n_slots - 1)
        while slots[slot] >= 0:
            one = met[slots[slot]]
            if one[2] == digest and same_bytes(data, np.int64(one[0]), np.int64(one[1]), at, until):
                break
            slot = (slot + np.uint64(1)) & np.uint64(n_slots - 1)
        if slots[slot] >= 0:
            repeated += 1
            characters += characters_between(data, at, until)
        else:
            slots[slot] = distinct
            met[distinct, 0], met[distinct, 1], met[distinct, 2] = at, until, digest
            distinct += 1
        at = after
    return pieces, repeated, characters


@njit(cache=True, nogil=True)
def _newlines(data, begin, stop):  # type: ignore[no-untyped-def]
    """A bit per byte: is it a newline?"""
    marks = bits_for(stop - begin)
    whole = (stop - begin) // 8
    for k in range(whole):
        marks[k] = gathered(equal(load(data, begin + 8 * k), 0x0A))
    if begin + 8 * whole < stop:
        marks[whole] = gathered(equal(eight_bytes(data, begin + 8 * whole, stop), 0x0A))
    return marks.view(np.uint64)


@step
def _count(marks, begin, stop):  # type: ignore[no-untyped-def]
    count = 0
    for block in range(begin >> 6, (stop + 63) >> 6):
        count += ones(marks[block] & inside(block, begin, stop))
    return count


@inlined
def _next_piece(data, marks, origin, at, stop, newlines):  # type: ignore[no-untyped-def]
    """(start, end, where to go on) of the next piece; start = stop where there is none."""
    while at < stop and data[at] == 0x0A:
        at += 1
    until = at
    while until < stop:
        until = _next_mark(marks, until - origin, stop - origin) + origin
        run = until
        while run < stop and data[run] == 0x0A:
            run += 1
        if run - until >= newlines:
            return at, until, run
        until = run
    return at, stop, stop


@inlined
def _next_mark(marks, at, stop):  # type: ignore[no-untyped-def]
    """The first mark from `at` on, or `stop`; at < stop."""
    block = at >> 6
    bits = marks[block] & (np.uint64(0xFFFFFFFFFFFFFFFF) << np.uint64(at & 63))
    while bits == 0:
        block += 1
        if block << 6 >= stop:
            return stop
        bits = marks[block]
    return min((block << 6) + lowest(bits), stop)
