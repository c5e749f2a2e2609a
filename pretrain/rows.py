"""Rows: what a packer decides (`Plan`), and how rows become a batch that a model can train on (`Batch`, `gather`).

A document longer than a row is cut into pieces; a row holds one or more pieces and is padded at its tail. Two rows of
six with the documents a (3 tokens), b (8 tokens) and c (1 token):

    row 0   b0 b1 b2 b3 b4 b5        input_ids
            b1 b2 b3 b4 b5 b6        labels: what comes next in the *document*, also when that stands in another row
             0  1  2  3  4  5        position_ids
    row 1   a0 a1 a2 b6 b7 ..        .. is padding
            a1 a2  -  b7 -  -        - is -100: nothing comes after a document's last token
             0  1  2  0  1  0        every piece starts again at 0 and attends to itself only

So every token of a document but its first is a target exactly once, and no label, position or attention crosses
from one document into another. Labels are shifted already: labels[i] is what the logits at i should predict.

Legend: T = rows x row length, the positions of a batch, rows laid one after the other; k = its segments (pieces and
tails of padding).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from mmap import PAGESIZE
from typing import Any, Protocol

import numpy as np
from numba import carray, njit, types
from numba.extending import intrinsic

from curate.shards.corpus import ShardSplit
from curate.shards.remote import RemoteSplit

NO_TARGET = -100  # torch's cross entropy leaves it out
PADDING = -1  # the corpus and document of a segment that is no document's


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Row r holds the pieces row_first[r] : row_first[r + 1]; a piece is document[start : start + length]."""

    row_length: int
    row_first: np.ndarray  # (rows + 1,) int64
    document: np.ndarray  # (pieces,) int32
    start: np.ndarray  # (pieces,) int32
    length: np.ndarray  # (pieces,) int32, at least 1

    def __len__(self) -> int:
        return len(self.row_first) - 1

    @property
    def n_tokens(self) -> int:
        return int(self.length.sum(dtype=np.int64))

    @property
    def row_tokens(self) -> np.ndarray:
        """(rows,) int32, places of each row that hold a token; the others are padding."""
        return np.add.reduceat(self.length, self.row_first[:-1], dtype=np.int32)  # no row is empty

    @property
    def fill(self) -> float:
        """Share of the places that hold a token."""
        return self.n_tokens / (len(self) * self.row_length) if len(self) else 1.0


class Packer(Protocol):
    """A sibling in pretrain/packers: from the lengths of all documents to rows that hold every token exactly once."""

    def plan(self, lengths: np.ndarray, row_length: int) -> Plan: ...


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Rows of a stream, laid one after the other."""

    input_ids: np.ndarray  # (T,) int64
    labels: np.ndarray  # (T,) int64, already shifted; -100 where there is no target
    position_ids: np.ndarray  # (T,) int64, from 0 in every segment
    cu_seqlens: np.ndarray  # (k + 1,) int32, where segments start and end: attention stays inside
    segment_corpus: np.ndarray  # (k,) int16, index of the corpus; -1 for padding
    segment_document: np.ndarray  # (k,) int32, row of the document in its shards; -1 for padding
    segment_start: np.ndarray  # (k,) int32, the piece's first token in its document; 0 for padding
    n_targets: int
    tokens_by_corpus: dict[str, int]

    @property
    def longest_segment(self) -> int:
        """Tokens, as attention kernels ask for it."""
        return int(np.diff(self.cu_seqlens).max(initial=0))


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """A corpus with the plan of its rows (`pretrain.plans.pack`)."""

    name: str
    split: ShardSplit | RemoteSplit
    plan: Plan
    row_tokens: np.ndarray  # (rows,) int32, of the plan
    windows: tuple[int, ...] | None = None  # rows at which windows of files begin, and the end; None: one window

    @property
    def documents_an_epoch(self) -> int:
        """Each counted as often as it weighs."""
        weights = self.split.weights
        return len(self.split) if weights is None else int(weights.sum(dtype=np.int64))


def as_often(weights: np.ndarray) -> np.ndarray:
    """The documents of an epoch, (sum of weights,) int32: all of them, then again those that weigh 2 or more, and so
    on. So a packer that breaks ties by order parts the times of one document.

    >>> as_often(np.array([1, 3, 2])).tolist()
    [0, 1, 2, 1, 2, 1]
    """
    times = [np.flatnonzero(weights > time) for time in range(int(weights.max(initial=0)))]
    return np.concatenate([np.zeros(0, np.int32), *times]).astype(np.int32)


def gather(corpora: Sequence[Packed], corpus_of: np.ndarray, plan_rows: np.ndarray, row_length: int, pad: int) -> Batch:
    """Copy rows out of the memory-mapped shards: row i of the batch is row plan_rows[i] of corpora[corpus_of[i]]."""
    mine = [np.flatnonzero(corpus_of == index) for index in range(len(corpora))]  # rows of the batch, by corpus
    segments = np.zeros(len(plan_rows) + 1, np.int64)
    for packed, slots in zip(corpora, mine, strict=True):
        rows = plan_rows[slots]
        pieces = packed.plan.row_first[rows + 1] - packed.plan.row_first[rows]
        segments[slots + 1] = pieces + (packed.row_tokens[rows] < row_length)  # a tail of padding is a segment too
    first_segment = np.cumsum(segments)
    T, k = len(plan_rows) * row_length, int(first_segment[-1])  # noqa: N806
    places = (np.full(T, pad, np.int64), np.full(T, NO_TARGET, np.int64), np.empty(T, np.int64))
    parts = (
        np.zeros(k + 1, np.int32),
        np.full(k, PADDING, np.int16),
        np.full(k, PADDING, np.int32),
        np.zeros(k, np.int32),
    )
    n_targets = 0
    for index, (packed, slots) in enumerate(zip(corpora, mine, strict=True)):
        plan, split = packed.plan, packed.split
        n_targets += _gather(
            index,
            slots,
            plan_rows[slots],
            first_segment,
            row_length,
            (plan.row_first, plan.document, plan.start, plan.length),
            (split.addresses, split.lengths),
            np.empty(0, split.dtype),
            places,
            parts,
        )
    tokens = {
        packed.name: int(packed.row_tokens[plan_rows[slots]].sum()) for packed, slots in zip(corpora, mine, strict=True)
    }
    return Batch(*places, *parts, n_targets, tokens)


@intrinsic
def _pointer(typing_context: Any, address: Any) -> Any:
    """An address as a pointer that `carray` takes: how a kernel reads a memory map that numba has never seen."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), generate


_madvise = types.ExternalFunction("madvise", types.int32(types.intp, types.uintp, types.int32))
WILL_NEED = 3  # of madvise, on every system that has it


@njit(cache=True, nogil=True)
def _ask_for(plan_rows, pieces, addresses, token_bytes):  # type: ignore[no-untyped-def]
    """Have the kernel fetch all that rows need at once: one page after another, a cold disk gives a sixth of the rows.

    Warm, that is a microsecond a piece: a fifth of the time, half of it where documents are short.
    """
    row_first, document, start, length = pieces
    for row in plan_rows:
        for piece in range(row_first[row], row_first[row + 1]):
            begin = addresses[document[piece]] + start[piece] * token_bytes
            page = begin - begin % PAGESIZE
            _madvise(page, begin + (length[piece] + 1) * token_bytes - page, WILL_NEED)


@njit(cache=True, nogil=True)
def _gather(corpus, slots, plan_rows, first_segment, row_length, pieces, documents, kind, places, parts):  # type: ignore[no-untyped-def]
    """Fill the rows `slots` of a batch with the rows `plan_rows` of one corpus; returns how many targets they hold."""
    row_first, document, start, length = pieces
    addresses, lengths = documents
    input_ids, labels, position_ids = places
    ends, segment_corpus, segment_document, segment_start = parts
    n_targets = 0
    _ask_for(plan_rows, pieces, addresses, kind.itemsize)
    for i in range(len(slots)):
        at = slots[i] * row_length
        row_end = at + row_length
        segment = first_segment[slots[i]]
        for piece in range(row_first[plan_rows[i]], row_first[plan_rows[i] + 1]):
            whose, first, count = document[piece], start[piece], length[piece]
            tokens = carray(_pointer(addresses[whose]), (lengths[whose],), kind.dtype)
            targets = min(count, lengths[whose] - first - 1)  # one fewer where the document ends
            for j in range(count):
                input_ids[at + j] = tokens[first + j]
                position_ids[at + j] = j
            for j in range(targets):
                labels[at + j] = tokens[first + j + 1]
            n_targets += targets
            at += count
            segment_corpus[segment] = corpus
            segment_document[segment] = whose
            segment_start[segment] = first
            ends[segment + 1] = at
            segment += 1
        if at < row_end:
            for j in range(row_end - at):
                position_ids[at + j] = j
            ends[segment + 1] = row_end
    return n_targets
