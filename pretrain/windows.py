"""How a long document is cut so that every one of its tokens is predicted exactly once, with as much context as fits.

A document is a *stream*: one prefix token (context, never scored) and then the tokens of its text. A window reads
`start:stop` of the stream and predicts the token after each position; only its last `scored` predictions count. The
first window scores everything it reads; each later one moves on by `stride` and scores just what is new, with the
rest of its length as context. A small stride gives every token more context and costs more compute; half the length
is the usual middle. Text of 9 tokens, length 4, stride 2 (P the prefix, lower case context, upper case the token's
score):

    stream    P 0 1 2 3 4 5 6 7 8
    window 1  P 0 1 2               scores 0 1 2 3
    window 2      1 2 3 4           scores         4 5
    window 3          3 4 5 6       scores             6 7
    window 4            4 5 6 7     scores                 8

The cuts are those of lm-eval's `get_rolling_token_windows` with `context_len = length - stride + 1`, so a stride
equal to the length is what its `loglikelihood_rolling` does. Windows of many documents then share flat batches, one
segment each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Window:
    document: int
    """Place of the document among those that are scored."""
    start: int
    stop: int
    """The positions of the stream that the model reads."""
    scored: int
    """How many of the predictions count: the last so many."""

    @property
    def length(self) -> int:
        return self.stop - self.start


def windows(document: int, n_tokens: int, length: int, stride: int) -> Iterator[Window]:
    """The windows of a document whose text has `n_tokens` tokens (the prefix not counted).

    >>> [(w.start, w.stop, w.scored) for w in windows(0, 9, length=4, stride=2)]
    [(0, 4, 4), (2, 6, 2), (4, 8, 2), (5, 9, 1)]
    """
    assert 1 <= stride <= length, f"a stride of {stride} over windows of {length} would skip tokens"
    done = 0
    while done < n_tokens:
        scored = min(n_tokens - done, stride if done else length)
        done += scored
        yield Window(document, max(0, done - length), done, scored)


def batches(windows: Iterable[Window], batch_tokens: int) -> Iterator[list[Window]]:
    """Windows in flat batches of at most `batch_tokens` tokens (more only where one window alone has more).

    Longest first, so that memory is highest in the first batch and segments of one batch are alike in length; ties in
    the order of documents, so that batches depend on nothing else.
    """
    batch: list[Window] = []
    filled = 0
    for window in sorted(windows, key=lambda w: (-w.length, w.document, w.start)):
        if batch and filled + window.length > batch_tokens:
            yield batch
            batch, filled = [], 0
        batch.append(window)
        filled += window.length
    if batch:
        yield batch
