"""One document per row, padded: what a trainer without packing does, but for the crop.

    documents  a a a a a a a a a   b b b b b   c c c c
    rows of 6  a a a a a a | a a a . . . | b b b b b . | c c c c . .

The remainder of a document longer than a row stands in a row of its own. For comparisons, and for models that cannot
keep packed documents apart.
"""

from __future__ import annotations

import numpy as np

from pretrain.rows import Plan


class OnePerRow:
    def plan(self, lengths: np.ndarray, row_length: int) -> Plan:
        pieces = -(-np.asarray(lengths, np.int64) // row_length)
        document = np.repeat(np.arange(len(pieces)), pieces)
        nth = np.arange(len(document)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        start = nth * row_length
        return Plan(
            row_length,
            np.arange(len(document) + 1, dtype=np.int64),
            document.astype(np.int32),
            start.astype(np.int32),
            np.minimum(np.asarray(lengths)[document] - start, row_length).astype(np.int32),
        )
