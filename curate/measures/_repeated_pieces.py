"""Lines or paragraphs of a document that stood in it before: a hash table of pieces, equality checked byte by byte.

Legend: n documents, b bytes.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from curate.characters import SPACE
from curate.measures._tables import hash_bytes, same_bytes, slots_for
from curate.text import characters_between, code_point


@njit(cache=True, nogil=True)
def repeated_pieces(data, offsets, newlines, classes):  # type: ignore[no-untyped-def]
    """Per document: pieces between runs of at least so many newlines, how many stood earlier, their characters.

    Each (n,) int64. White space at the ends of the document belongs to no paragraph.
    """
    n = len(offsets) - 1
    pieces, repeated, characters = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)
    room = 1
    for i in range(n):
        room = max(room, _newlines(data, offsets[i], offsets[i + 1]) + 1)
    slots = np.empty(slots_for(room), np.int32)  # hash table of the document at hand: number of a piece, or -1
    start, end, hashes = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.uint64)
    for i in range(n):
        at, stop = offsets[i], offsets[i + 1]
        if newlines > 1:
            at, stop = _stripped(data, at, stop, classes)
        n_slots = slots_for(_newlines(data, at, stop) + 1)
        slots[:n_slots] = -1
        distinct = 0
        while True:
            at, until, after = _next_piece(data, at, stop, newlines)
            if at >= stop:
                break
            pieces[i] += 1
            digest = hash_bytes(data, at, until)
            slot = digest & np.uint64(n_slots - 1)
            while slots[slot] >= 0 and not (
                hashes[slots[slot]] == digest and same_bytes(data, start[slots[slot]], end[slots[slot]], at, until)
            ):
                slot = (slot + np.uint64(1)) & np.uint64(n_slots - 1)
            if slots[slot] >= 0:
                repeated[i] += 1
                characters[i] += characters_between(data, at, until)
            else:
                slots[slot] = distinct
                start[distinct], end[distinct], hashes[distinct] = at, until, digest
                distinct += 1
            at = after
    return pieces, repeated, characters


@njit(cache=True, nogil=True)
def _newlines(data, at, stop):  # type: ignore[no-untyped-def]
    count = 0
    for i in range(at, stop):
        count += data[i] == 0x0A
    return count


@njit(cache=True, nogil=True)
def _stripped(data, at, stop, classes):  # type: ignore[no-untyped-def]
    """The range without white space at its ends, as str.strip."""
    while at < stop:
        code, width = code_point(data, at)
        if not classes[code] & SPACE:
            break
        at += width
    while at < stop:
        last = stop - 1
        while data[last] & 0xC0 == 0x80:
            last -= 1
        code, _ = code_point(data, last)
        if not classes[code] & SPACE:
            break
        stop = last
    return at, stop


@njit(cache=True, nogil=True)
def _next_piece(data, at, stop, newlines):  # type: ignore[no-untyped-def]
    """(start, end, where to go on) of the next piece; start = stop where there is none."""
    while at < stop and data[at] == 0x0A:
        at += 1
    until = at
    while until < stop:
        if data[until] != 0x0A:
            until += 1
            continue
        run = until + 1
        while run < stop and data[run] == 0x0A:
            run += 1
        if run - until >= newlines:
            return at, until, run
        until = run
    return at, stop, stop
