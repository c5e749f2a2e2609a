"""Concatenate and cut: all documents one after the other, cut every row length (GPT-2, GPT-3 and most peers since).

    documents  a a a a a a a a a   b b b b b   c c c c   d d
    rows of 6  a a a a a a | a a a b b b | b b c c c c | d d . . . .

Full rows but for the last, at the price of a cut in nearly every row. Pieces attend to themselves only, so what a cut
costs is context: Ding et al. 2024 count what that does to a model.
"""

from __future__ import annotations

import numpy as np

from pretrain.rows import Plan


class Concatenate:
    def plan(self, lengths: np.ndarray, row_length: int) -> Plan:
        ends = np.cumsum(lengths, dtype=np.int64)
        total = int(ends[-1]) if len(ends) else 0
        begins = ends - lengths
        # A piece begins where a document does, and where a row does
        at = np.union1d(begins[np.asarray(lengths) > 0], np.arange(0, total, row_length))
        document = np.searchsorted(ends, at, side="right")
        row_first = np.searchsorted(at, np.arange(0, total + row_length, row_length)[: -(-total // row_length) + 1])
        return Plan(
            row_length,
            row_first.astype(np.int64),
            document.astype(np.int32),
            (at - begins[document]).astype(np.int32),
            np.diff(at, append=total).astype(np.int32),
        )
