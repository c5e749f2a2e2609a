"""Best-fit decreasing over the whole corpus, exactly (Ding et al. 2024, "Fewer truncations improve language modeling").

Documents longer than a row are cut at row length first: nothing is cropped, and only what must be cut is cut.
Pieces are then placed longest first, each into the row with the least room that still holds it, a new row where
none does. Documents of 9, 5, 4, 4, 3, 3 and 2 tokens with rows of 6:

    row 0   a a a a a a      a[0:6], which fills a row
    row 1   b b b b b .      5
    row 2   c c c c . .      4
    row 3   d d d d g g      4, and the 2 that fits
    row 4   a a a e e e      a[6:9] and 3
    row 5   f f f . . .      3

Rows with equal room are interchangeable, so every exact best fit gives rows of the same fills. Which room is the
least that holds a piece is asked of a segment tree over the rooms 1 .. row length - 1: O(log row length) per piece,
for any row length, not only powers of two. Sorting is a counting sort, so the plan of N documents costs O(N log C),
on lengths alone.

Rows come out sorted by their longest piece: the stream shuffles them (pretrain/order.py). The plan itself holds no
chance.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pretrain.rows import Plan


class BestFit:
    """The default packer: every token once, and the fewest rows a fast method is known to reach."""

    def plan(self, lengths: np.ndarray, row_length: int) -> Plan:
        return Plan(row_length, *_best_fit(np.ascontiguousarray(lengths, dtype=np.int32), row_length))


@njit(cache=True, nogil=True)
def _best_fit(lengths, row_length):  # type: ignore[no-untyped-def]
    full_rows = 0
    for n in lengths:
        full_rows += n // row_length
    tails = _longest_tail_first(lengths, row_length)
    row_of, rows = _place(lengths, tails, full_rows, row_length)
    return _written_out(lengths, tails, row_of, full_rows, rows, row_length)


@njit(cache=True, nogil=True)
def _longest_tail_first(lengths, row_length):  # type: ignore[no-untyped-def]
    """Documents with a piece shorter than a row, by that piece's length, longest first; ties in order of documents."""
    after = np.zeros(row_length + 1, np.int64)
    for n in lengths:
        after[n % row_length] += 1
    after[0] = 0
    for tail in range(row_length - 1, 0, -1):
        after[tail] += after[tail + 1]
    tails = np.empty(after[1] if row_length > 1 else 0, np.int32)
    for document, n in enumerate(lengths):
        tail = n % row_length
        if tail:
            tails[after[tail + 1]] = document
            after[tail + 1] += 1
    return tails


@njit(cache=True, nogil=True)
def _place(lengths, tails, full_rows, row_length):  # type: ignore[no-untyped-def]
    """The row of each tail, and the number of rows. Rows with the same room form a linked list."""
    leaves = 1
    while leaves < row_length:
        leaves *= 2
    has_row = np.zeros(2 * leaves, np.bool_)  # node i covers nodes 2i and 2i + 1; leaf leaves + r: a row with room r
    newest = np.full(row_length, -1, np.int32)  # by room
    next_with_same_room = np.empty(len(tails), np.int32)
    row_of = np.empty(len(tails), np.int64)
    opened = 0
    for i, document in enumerate(tails):
        piece = lengths[document] % row_length
        room = _least_room(has_row, leaves, piece)
        if room < 0:
            row, room = opened, row_length
            opened += 1
        else:
            row = newest[room]
            newest[room] = next_with_same_room[row]
            if newest[room] < 0:
                _unmark(has_row, leaves + room)
        row_of[i] = full_rows + row
        room -= piece
        if room:
            next_with_same_room[row] = newest[room]
            newest[room] = row
            _mark(has_row, leaves + room)
    return row_of, full_rows + opened


@njit(cache=True, nogil=True)
def _least_room(has_row, leaves, piece):  # type: ignore[no-untyped-def]
    """The least room >= piece that some row has, or -1: climb until there is one to the right, then descend."""
    node = leaves + piece
    while not has_row[node]:
        while node & 1:  # a right child has nothing to its right below the same parent
            node >>= 1
            if node <= 1:
                return -1
        node += 1
    while node < leaves:
        node = 2 * node + (0 if has_row[2 * node] else 1)
    return node - leaves


@njit(cache=True, nogil=True)
def _mark(has_row, node):  # type: ignore[no-untyped-def]
    while node and not has_row[node]:
        has_row[node] = True
        node >>= 1


@njit(cache=True, nogil=True)
def _unmark(has_row, node):  # type: ignore[no-untyped-def]
    has_row[node] = False
    while node > 1 and not has_row[node ^ 1]:
        node >>= 1
        has_row[node] = False


@njit(cache=True, nogil=True)
def _written_out(lengths, tails, row_of, full_rows, rows, row_length):  # type: ignore[no-untyped-def]
    """The arrays of the plan: full rows in order of documents, then the rows of tails, pieces as they were placed."""
    row_first = np.zeros(rows + 1, np.int64)
    row_first[1 : full_rows + 1] = 1
    for row in row_of:
        row_first[row + 1] += 1
    row_first = np.cumsum(row_first)
    document = np.empty(row_first[rows], np.int32)
    start = np.empty(row_first[rows], np.int32)
    length = np.full(row_first[rows], row_length, np.int32)
    row = 0
    for whose, n in enumerate(lengths):
        for piece in range(n // row_length):
            document[row], start[row] = whose, piece * row_length
            row += 1
    place = row_first[:-1].copy()
    for i, whose in enumerate(tails):
        n, at = lengths[whose], place[row_of[i]]
        document[at], start[at], length[at] = whose, n - n % row_length, n % row_length
        place[row_of[i]] += 1
    return row_first, document, start, length
