"""A tiny stream with the faces of pretrain.stream and pretrain.rows: what the trainer's laws are tried on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from curate.shards.fault import Fault
from pretrain.rows import NO_TARGET, PADDING, Batch

VOCABULARY = 97
CORPORA = ("domain", "general")


def flat(documents: list[np.ndarray], corpora: list[int] | None = None, padding: int = 0) -> Batch:
    """Documents one after another, then a segment of padding."""
    k = len(documents)
    corpora = corpora or [0] * k
    lengths = [len(document) for document in documents] + [padding] * bool(padding)
    labels = [np.append(document[1:], NO_TARGET) for document in documents]
    tail = [PADDING] * bool(padding)
    return Batch(
        input_ids=np.concatenate([*documents, np.zeros(padding, np.int64)]),
        labels=np.concatenate([*labels, np.full(padding, NO_TARGET)]),
        position_ids=np.concatenate([np.arange(length) for length in lengths]),
        cu_seqlens=np.cumsum([0, *lengths]).astype(np.int32),
        segment_corpus=np.array([*corpora, *tail], np.int16),
        segment_document=np.array([*range(k), *tail], np.int32),
        segment_start=np.zeros(len(lengths), np.int32),
        n_targets=sum(len(document) - 1 for document in documents),
        tokens_by_corpus={
            name: sum(len(d) for d, c in zip(documents, corpora, strict=True) if c == index)
            for index, name in enumerate(CORPORA)
        },
    )


class TinyStream:
    """Rows of 32 tokens, documents of uneven lengths, two corpora, padded tails."""

    corpora = tuple(SimpleNamespace(name=name) for name in CORPORA)

    def __init__(self, steps: int = 8, rows: int = 4, seed: int = 0) -> None:
        self.steps, self._rows, self._seed = steps, rows, seed

    def rows_in(self, step: int) -> int:
        return self._rows

    def row(self, step: int, row: int) -> Batch:
        lengths = [3 + (5 * row + step) % 9, 1, 11]
        # counting upwards from anywhere, by 0, 1 or 2: something a model can learn
        draws = np.random.default_rng([self._seed, step, row]).integers(VOCABULARY, size=(3, 2))
        documents = [
            (first + by % 3 * np.arange(n)) % VOCABULARY for (first, by), n in zip(draws, lengths, strict=True)
        ]
        return flat(documents, [0, 1, row % 2], padding=32 - sum(lengths))

    def batch(self, step: int, first_row: int = 0, rows: int | None = None) -> Batch:
        rows = self._rows - first_row if rows is None else rows
        parts = [self.row(step, row) for row in range(first_row, first_row + rows)]
        arrays = ("input_ids", "labels", "position_ids", "segment_corpus", "segment_document", "segment_start")
        edges = [part.cu_seqlens[:-1] + 32 * i for i, part in enumerate(parts)]
        return Batch(
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in arrays},
            cu_seqlens=np.concatenate([*edges, [32 * rows]]).astype(np.int32),
            n_targets=sum(part.n_targets for part in parts),
            tokens_by_corpus={name: sum(part.tokens_by_corpus[name] for part in parts) for name in CORPORA},
        )

    def state(self, step: int) -> dict[str, Any]:
        return {"step": step, "fingerprint": f"tiny-{self._seed}"}

    def check(self, state: dict[str, Any]) -> None:
        if state["fingerprint"] != f"tiny-{self._seed}":
            raise Fault("the checkpoint belongs to another stream")
