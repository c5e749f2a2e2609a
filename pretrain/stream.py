"""The stream: every row of the training, in an order that is a pure function of shards, settings and seed.

    shards of each corpus ─pack once─▶ plan ─shuffle per epoch─┐
                                                               ├─take turns─▶ row 0, 1, 2, …  ─cut─▶ steps ─▶ batches
    shards of each corpus ─pack once─▶ plan ─shuffle per epoch─┘

The first corpus is the domain: it is gone through `epochs` times. The others are replay, each with its share of all
rows; one that is too small for its share goes round again, in a new order, and `repetitions` says how often.
Nothing is drawn while training runs, so the state is one number, the rows consumed, and any rank, loader worker or
micro-batch asks for its rows by number. The last step may be shorter than the others; no row is dropped.

Shares are of rows, and rows are full to 99.9 % in any corpus of some size, so they are shares of tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curate.shards.corpus import ShardSplit, read_manifest, shards_digest
from curate.shards.fault import Fault
from curate.shards.seal import first_difference
from pretrain.order import epoch_order, exactly, row_counts, row_counts_of_total, turns, within
from pretrain.packers.best_fit import BestFit
from pretrain.rows import Batch, Packed, Packer, gather


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus to train on. `folder` is a split of it: shards/<name>/train."""

    name: str
    folder: Path
    share: float = 0.0
    """Of all rows, for replay. The first corpus of a stream gets what the others leave."""


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """Rows by number. Made by `Stream.open`."""

    sequence_length: int
    rows_per_step: int
    seed: int
    pad: int
    corpora: tuple[Packed, ...]
    identity: dict[str, Any]  # everything the order depends on: what a checkpoint keeps and `check` compares
    corpus_of: np.ndarray  # (rows,) int16
    nth_of_corpus: np.ndarray  # (rows,) int32, counting all epochs through

    @staticmethod
    def open(
        corpora: Sequence[Corpus],
        *,
        sequence_length: int,
        rows_per_step: int,
        seed: int,
        epochs: float | None = None,
        tokens: int | None = None,
        repeat_at_most: float | None = None,
        packer: Packer | None = None,
        pad: int = 0,
    ) -> Stream:
        """Map the shards, plan their rows and the whole order. One of `epochs` (1 where neither is given) and `tokens`
        (of all corpora together, padding included) says how long. No corpus is gone through more often than
        `repeat_at_most` says: other replay stands in, as far as it goes; of the domain, more is a Fault."""
        packer = packer or BestFit()
        packed = tuple(
            Packed.by(packer, corpus.name, ShardSplit.open(corpus.folder), sequence_length) for corpus in corpora
        )
        if tokens is None and epochs is None:
            epochs = 1.0
        counts = _counts(corpora, packed, sequence_length, epochs, tokens)
        if repeat_at_most is not None:
            counts = _within(corpora, packed, counts, repeat_at_most)
        identity = {
            "sequence_length": sequence_length,
            "rows_per_step": rows_per_step,
            "seed": seed,
            "epochs": epochs,
            "tokens": tokens,
            "repeat_at_most": repeat_at_most,
            "packer": f"{type(packer).__module__}:{type(packer).__name__}",
            "corpora": {
                corpus.name: {"share": corpus.share, "shards": shards_digest(corpus.folder)} for corpus in corpora
            },
        }
        return Stream(sequence_length, rows_per_step, seed, pad, packed, identity, *turns(counts))

    @property
    def rows(self) -> int:
        return len(self.corpus_of)

    @property
    def steps(self) -> int:
        return math.ceil(self.rows / self.rows_per_step)

    def rows_in(self, step: int) -> int:
        """Rows of a step: rows_per_step, fewer in the last one, none beyond."""
        return max(0, min(self.rows_per_step, self.rows - step * self.rows_per_step))

    def row(self, global_row: int) -> tuple[int, int]:
        """(index of the corpus, row of its plan) that stands at `global_row`."""
        corpus_of, plan_rows = self._places(global_row, global_row + 1)
        return int(corpus_of[0]), int(plan_rows[0])

    def batch(self, step: int, first_row: int = 0, rows: int | None = None) -> Batch:
        """Rows first_row : first_row + rows of a step (all that are left where `rows` is None): a micro-batch, a rank's
        part or the whole. Where the step ends sooner, the batch is shorter."""
        last = self.rows_in(step) if rows is None else min(first_row + rows, self.rows_in(step))
        first = step * self.rows_per_step
        corpus_of, plan_rows = self._places(first + first_row, first + max(first_row, last))
        return gather(self.corpora, corpus_of, plan_rows, self.sequence_length, self.pad)

    def state(self, step: int) -> dict[str, Any]:
        """What a checkpoint after `step` steps keeps: small and plain JSON."""
        return {"rows": min(step * self.rows_per_step, self.rows), "stream": self.identity}

    def check(self, state: Mapping[str, Any]) -> int:
        """The step to go on with; a Fault naming the field where the stream is not the one the state came from."""
        difference = first_difference(state.get("stream"), self.identity)
        if difference:
            field, was, now = difference
            raise Fault(
                f"the checkpoint was trained with {field} = {was}, this run has {now}",
                where=field,
                hint="put it back to go on, or start a new run",
            )
        return math.ceil(int(state["rows"]) / self.rows_per_step)

    def repetitions(self) -> dict[str, float]:
        """How many times each corpus is gone through."""
        taken = np.bincount(self.corpus_of, minlength=len(self.corpora))
        return {packed.name: int(n) / max(len(packed.plan), 1) for packed, n in zip(self.corpora, taken, strict=True)}

    def ledger(self, step: int | None = None) -> dict[str, Any]:
        """Where every token of every corpus and epoch is after `step` steps (all of them where None).

        For each epoch: tokens = trained + not_reached, and the places of its rows = trained + padding. Where documents
        weigh more than once, an epoch's tokens count them as often: documents_an_epoch says how many that makes.
        """
        rows = self.rows if step is None else min(step * self.rows_per_step, self.rows)
        reached = np.bincount(self.corpus_of[:rows], minlength=len(self.corpora))
        planned = np.bincount(self.corpus_of, minlength=len(self.corpora))
        return {
            "rows": rows,
            "row_length": self.sequence_length,
            "corpora": {
                packed.name: self._ledger_of(packed, int(reached[index]), int(planned[index]))
                for index, packed in enumerate(self.corpora)
            },
        }

    def _places(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """For rows first:last, (corpus, row of its plan)."""
        corpus_of, nth = self.corpus_of[first:last], self.nth_of_corpus[first:last].astype(np.int64)
        plan_rows = np.zeros(len(nth), np.int64)
        for index, packed in enumerate(self.corpora):
            mine = np.flatnonzero(corpus_of == index)
            epochs, places = np.divmod(nth[mine], max(len(packed.plan), 1))
            for epoch in np.unique(epochs):
                now = epochs == epoch
                plan_rows[mine[now]] = self._order(packed, int(epoch))[places[now]]
        return corpus_of, plan_rows

    def _order(self, packed: Packed, epoch: int) -> np.ndarray:
        return epoch_order(self.seed, packed.name, epoch, len(packed.plan))

    def _ledger_of(self, packed: Packed, reached: int, planned: int) -> dict[str, Any]:
        per_epoch = len(packed.plan)
        tokens = packed.plan.n_tokens
        epochs = []
        for epoch in range(math.ceil(planned / max(per_epoch, 1))):
            rows = min(max(reached - epoch * per_epoch, 0), per_epoch)
            trained = int(packed.row_tokens[self._order(packed, epoch)[:rows]].sum())
            epochs.append(
                {
                    "epoch": epoch + 1,
                    "rows": rows,
                    "tokens": tokens,
                    "trained": trained,
                    "not_reached": tokens - trained,
                    "padding": rows * self.sequence_length - trained,
                }
            )
        totals = {key: sum(epoch[key] for epoch in epochs) for key in ("rows", "trained", "not_reached", "padding")}
        return {
            "documents": len(packed.split),
            "documents_an_epoch": packed.documents_an_epoch,
            "tokens": tokens,
            "rows_per_epoch": per_epoch,
            **totals,
            "epochs": epochs,
        }


def replay_corpora(folders: Mapping[str, Path], replay: float) -> list[Corpus]:
    """General corpora as replay: together `replay` of all rows, each in proportion to the tokens of its split."""
    tokens = {name: _split_counts(folder)["tokens"] for name, folder in folders.items()}
    total = sum(tokens.values())
    return [Corpus(name, folder, replay * tokens[name] / total) for name, folder in folders.items() if tokens[name]]


def _split_counts(folder: Path) -> dict[str, Any]:
    splits = read_manifest(folder.parent)["splits"]
    if folder.name not in splits:
        raise Fault(f"the corpus has no split {folder.name!r}: it has {', '.join(splits)}", where=str(folder.parent))
    counts: dict[str, Any] = splits[folder.name]
    return counts


def _counts(
    corpora: Sequence[Corpus],
    packed: Sequence[Packed],
    sequence_length: int,
    epochs: float | None,
    tokens: int | None,
) -> list[int]:
    """Rows of each corpus in the whole stream."""
    if (epochs is None) == (tokens is None):
        raise Fault("give epochs or tokens, not both", where="train.epochs")
    shares = [corpus.share for corpus in corpora[1:]]
    if min(shares, default=0) < 0 or sum(shares) >= 1:
        raise Fault(f"replay shares {shares} must be at least 0 and together below 1", where="train.replay")
    if epochs is not None:
        counts = row_counts(math.ceil(exactly(epochs) * len(packed[0].plan)), shares)
    else:
        assert tokens is not None
        counts = row_counts_of_total(math.ceil(tokens / sequence_length), shares)
    for corpus, one, rows in zip(corpora, packed, counts, strict=True):
        if not len(one.plan) and (rows or one is packed[0]):
            raise Fault(f"corpus {corpus.name!r} has no tokens to train on", where=str(corpus.folder))
    return counts


def _within(corpora: Sequence[Corpus], packed: Sequence[Packed], counts: list[int], repeat_at_most: float) -> list[int]:
    """The counts with no corpus gone through more often."""
    most = [math.floor(exactly(repeat_at_most) * len(one.plan)) for one in packed]
    if counts[0] > most[0]:
        times = counts[0] / len(packed[0].plan)
        raise Fault(
            f"{corpora[0].name} would be gone through {times:.3g} times, train.repeat_at_most is {repeat_at_most:g}",
            where="train.repeat_at_most",
            hint=f"train on less, or --set train.repeat_at_most={math.ceil(times)}",
        )
    return [counts[0], *within(counts[1:], [corpus.share for corpus in corpora[1:]], most[1:])]
