"""Rows of documents that are alike in length: a length bucket per row, as `group_by_length` sorts batches.

    pieces, longest first   a a a a a a | b b b b b . | c c c c . . | d d d e e e | f f g g h .

Documents longer than a row are cut at row length; the pieces, longest first, fill row after row, and a row ends where
the next piece does not fit. So a row's attention costs about the same for each of its documents and a model meets few
lengths at a time, which curricula over length ask for (Pouransari et al. 2024, "Dataset decomposition"). It fills worse
than best fit: nothing short closes a gap.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pretrain.packers.one_per_row import OnePerRow
from pretrain.rows import Plan


class LengthBuckets:
    def plan(self, lengths: np.ndarray, row_length: int) -> Plan:
        pieces = OnePerRow().plan(lengths, row_length)
        order = np.argsort(-pieces.length, kind="stable")
        return Plan(
            row_length,
            _rows_in_turn(pieces.length[order], row_length),
            pieces.document[order],
            pieces.start[order],
            pieces.length[order],
        )


@njit(cache=True, nogil=True)
def _rows_in_turn(lengths, row_length):  # type: ignore[no-untyped-def]
    """Where rows begin, and the end of the last: (rows + 1,) int64."""
    row_first = np.zeros(len(lengths) + 1, np.int64)
    rows, fill = 0, row_length
    for piece, length in enumerate(lengths):
        if fill + length > row_length:
            row_first[rows] = piece
            rows += 1
            fill = 0
        fill += length
    row_first[rows] = len(lengths)
    return row_first[: rows + 1].copy()
