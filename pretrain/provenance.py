"""Which tokens went into which step, and back: the order of training is arithmetic, so nothing has to be logged.

step 41 ─▶ row 3: pubmed/17, tokens 0 to 512 of 1,204; row 3: pubmed/9, …          a loss spike's documents
pubmed/17 ─▶ step 41, row 3; step 980, row 12                                      when a document was learnt
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pretrain.stream import Stream


@dataclass(frozen=True, slots=True, order=True)
class Piece:
    """Tokens start : start + length of a document of a corpus, in one row of one step."""

    step: int
    row: int
    """Among the rows of its step; a rank or a micro-batch takes consecutive ones."""
    corpus: str
    document: int
    """Its row in the shards of its corpus' training split."""
    start: int
    length: int


def of_step(stream: Stream, step: int) -> Iterator[Piece]:
    """What one step trains on, in order. Padding is left out."""
    for row in range(stream.rows_in(step)):
        index, plan_row = stream.row(step * stream.rows_per_step + row)
        packed = stream.corpora[index]
        for at in range(packed.plan.row_first[plan_row], packed.plan.row_first[plan_row + 1]):
            piece = (array[at].item() for array in (packed.plan.document, packed.plan.start, packed.plan.length))
            yield Piece(step, row, packed.name, *piece)


def of_document(stream: Stream, corpus: str, document: int) -> list[Piece]:
    """Where each piece of a document is trained on, in every epoch, in order."""
    index = [packed.name for packed in stream.corpora].index(corpus)
    packed = stream.corpora[index]
    plan = packed.plan
    pieces = np.flatnonzero(plan.document == document)
    plan_rows = np.searchsorted(plan.row_first, pieces, side="right") - 1
    global_rows = np.flatnonzero(stream.corpus_of == index)  # of this corpus, in the order of its turns
    found = []
    for epoch in range(-(-len(global_rows) // max(1, len(plan)))):
        place = np.empty(len(plan), np.int64)  # of each row of the plan in this epoch
        place[stream.order(packed, epoch)] = np.arange(len(plan))
        nth = epoch * len(plan) + place[plan_rows]
        reached = nth < len(global_rows)
        for piece, row in zip(pieces[reached].tolist(), global_rows[nth[reached]].tolist(), strict=True):
            step, within = divmod(row, stream.rows_per_step)
            found.append(Piece(step, within, corpus, document, int(plan.start[piece]), int(plan.length[piece])))
    return sorted(found)
