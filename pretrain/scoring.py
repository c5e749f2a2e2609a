"""Nats of held-out documents under a model: the one code path that base and adapted model both take.

In come a model and documents of a shard split; out come, per document, the nats of its text, its text tokens and bytes.
A document is read as a stream of prefix token and text (`Stream`), cut into rolling windows of the training length that
move on by half of it (`windows.py`), and windows of many documents share flat batches, one attention segment each, with
positions counted from the window's start. No gradient; the log-softmax is in fp32 whatever the compute is in.

Shapes: T tokens of a flat batch, S of them scored, V the vocabulary, n documents.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F

from curate.shards.fault import Fault
from pretrain.attention import packed_inputs
from pretrain.windows import Window, batches, windows

LOSS_ROWS = 1024
"""Scored positions whose logits are in fp32 at a time: bounds memory to LOSS_ROWS * V floats beside the model's own."""


class ReadsTokens(Protocol):
    """What of a shard split is needed here (`curate.shards.corpus.ShardSplit`)."""

    @property
    def lengths(self) -> np.ndarray: ...  # (N,) tokens per document, special tokens included

    @property
    def n_bytes(self) -> np.ndarray: ...  # (N,) UTF-8 bytes of each document's text

    def tokens(self, document: int, start: int, stop: int) -> np.ndarray: ...


@dataclass(frozen=True, slots=True)
class Tokens:
    """The special tokens that frame a document."""

    prefix: int
    """BOS where the tokenizer has one, EOS otherwise."""
    eos: int


@dataclass(frozen=True, slots=True)
class Compute:
    """How the models run. Changes time and memory, and results by rounding only."""

    batch_tokens: int = 8192
    device: torch.device | str = "cpu"
    dtype: torch.dtype = torch.float32
    """bfloat16: autocast as in training; the log-softmax is in fp32 all the same."""


@dataclass(frozen=True, slots=True)
class Scores:
    nats: np.ndarray  # (n,) float64
    tokens: np.ndarray  # (n,) int64, text tokens, all of them scored
    n_bytes: np.ndarray  # (n,) int64


def score(
    model: torch.nn.Module,
    split: ReadsTokens,
    documents: np.ndarray,
    *,
    context_length: int,
    tokens: Tokens,
    stride: int | None = None,
    compute: Compute | None = None,
    progress: Callable[[int], None] | None = None,
) -> Scores:
    """Nats of each document's text. `model` is in eval mode and carries the packed attention; a `stride` of
    `context_length` gives lm-eval's loglikelihood_rolling instead of half-window steps; `progress` is told how many
    tokens each batch has scored. The order of `documents` does not change a bit of a document's result."""
    compute = compute or Compute()
    rows, place = np.unique(documents, return_inverse=True)
    streams = [Stream.of(split, int(row), tokens) for row in rows]
    stride = stride or stride_of(context_length)
    cuts = (w for d, stream in enumerate(streams) for w in windows(d, stream.n_tokens, context_length, stride))
    nats = np.zeros(len(rows))
    for batch in batches(cuts, max(compute.batch_tokens, context_length)):
        scored = _batch_nats(model, streams, batch, compute)  # (S,) float64
        document = np.repeat([w.document for w in batch], [w.scored for w in batch])  # (S,)
        nats += np.bincount(document, weights=scored, minlength=len(rows))
        if progress:
            progress(len(scored))
    n_tokens = np.array([stream.n_tokens for stream in streams], dtype=np.int64)
    n_bytes = np.asarray(split.n_bytes)[rows].astype(np.int64)
    return Scores(nats[place], n_tokens[place], n_bytes[place])


def stride_of(context_length: int) -> int:
    """Half a window: every token but a document's first has at least half the context that training gave."""
    return max(1, context_length // 2)


@dataclass(frozen=True, slots=True)
class Stream:
    """A document of the shards as prefix and text: its own leading BOS is the prefix, its final EOS is left out."""

    split: ReadsTokens
    row: int
    prefix: int
    shift: int
    """Position in the shard's row of the stream's position 0: 0 where the row begins with the prefix, -1 otherwise."""
    n_tokens: int
    """Tokens of the text."""

    @classmethod
    def of(cls, split: ReadsTokens, row: int, tokens: Tokens) -> Stream:
        length = int(split.lengths[row])
        begins = length > 0 and int(split.tokens(row, 0, 1)[0]) == tokens.prefix
        ends = length > int(begins) and int(split.tokens(row, length - 1, length)[0]) == tokens.eos
        return cls(split, row, tokens.prefix, 0 if begins else -1, length - int(begins) - int(ends))

    def read(self, start: int, stop: int) -> np.ndarray:  # (stop - start,) int64
        """Positions of the stream; the prefix is position 0."""
        text = np.asarray(self.split.tokens(self.row, max(0, start + self.shift), stop + self.shift), dtype=np.int64)
        return np.concatenate([[self.prefix], text]) if start + self.shift < 0 else text


@torch.no_grad()
def _batch_nats(model: torch.nn.Module, streams: list[Stream], batch: list[Window], compute: Compute) -> np.ndarray:
    """Nats of the batch's scored tokens, window after window.  # (S,) float64"""
    read = [streams[w.document].read(w.start, w.stop + 1) for w in batch]  # inputs and, one later, targets
    lengths = np.array([w.length for w in batch])
    ends = np.cumsum(lengths)
    _check_vocabulary(model, max(int(piece.max()) for piece in read))
    kept = np.concatenate([np.arange(end - w.scored, end) for w, end in zip(batch, ends, strict=True)])  # (S,)
    targets = np.concatenate([piece[1:][-w.scored :] for w, piece in zip(batch, read, strict=True)])  # (S,)
    inputs = packed_inputs(
        _on(compute, np.concatenate([piece[:-1] for piece in read])),  # (T,)
        _on(compute, np.concatenate([np.arange(length) for length in lengths])),  # (T,) positions within the window
        _on(compute, np.concatenate([[0], ends]), torch.int32),  # (windows + 1,)
    )
    device_type = torch.device(compute.device).type
    with torch.autocast(device_type, dtype=compute.dtype, enabled=compute.dtype != torch.float32):
        logits = _logits(model, inputs, _on(compute, kept))  # (S, V)
    losses = [
        F.cross_entropy(rows.float(), wanted, reduction="none")
        for rows, wanted in zip(logits.split(LOSS_ROWS), _on(compute, targets).split(LOSS_ROWS), strict=True)
    ]
    return torch.cat(losses).double().cpu().numpy()


def _logits(model: torch.nn.Module, inputs: dict[str, Any], kept: torch.Tensor) -> torch.Tensor:  # (S, V)
    # where a model can, it computes logits of the scored positions only: half of them are context
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        return model(**inputs, logits_to_keep=kept).logits[0]
    return model(**inputs).logits[0, kept]


def _on(compute: Compute, values: np.ndarray, dtype: torch.dtype = torch.long) -> torch.Tensor:
    return torch.from_numpy(values).to(device=compute.device, dtype=dtype)


def _check_vocabulary(model: torch.nn.Module, largest: int) -> None:
    n_rows = model.get_input_embeddings().weight.shape[0]  # type: ignore[operator]
    if largest >= n_rows:
        raise Fault(
            f"the shards hold token {largest:,}, and the model has embeddings for {n_rows:,}",
            where="shards.tokenizer",
            hint="shard with the tokenizer of the model: leave shards.tokenizer out",
        )
