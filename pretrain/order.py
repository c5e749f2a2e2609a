"""Which row comes when: pure arithmetic on counts and a seed, so that any machine finds the same order without looking.

Three questions, three functions. How many rows of each corpus make the wanted mix (`row_counts`)? In which turn do the
corpora come (`turns`)? In which order do the rows of one corpus come in one epoch (`epoch_order`)?

Turns are spread evenly, never drawn: the m-th of a corpus' c rows has its ideal moment at (m + 1/2) / c of the
whole, and rows are sorted by their moments. For two corpora that is a balanced sequence: any stretch of w rows
holds w times the share of each to within one row. The domain and the replay as a whole are such a pair; several
general corpora then share the replay's turns in the same way.
"""

from __future__ import annotations

import hashlib
import math
from fractions import Fraction
from functools import lru_cache

import numpy as np

from curate.shards.fault import Fault


def row_counts(first: int, shares: list[float]) -> list[int]:
    """Rows of every corpus, given the domain's and the shares that the others have of all rows.

    >>> row_counts(950, [0.05]), row_counts(95, [0.03, 0.02])
    ([950, 50], [95, 3, 2])
    """
    replay = sum(map(exactly, shares), Fraction(0))
    return [first, *apportion(_rounded(first * replay / (1 - replay)), shares)]


def row_counts_of_total(rows: int, shares: list[float]) -> list[int]:
    """The same, given the rows of all corpora together.

    >>> row_counts_of_total(1000, [0.05])
    [950, 50]
    """
    replay = _rounded(rows * sum(map(exactly, shares), Fraction(0)))
    return [rows - replay, *apportion(replay, shares)]


def apportion(rows: int, shares: list[float]) -> list[int]:
    """Rows in proportion to shares, summing exactly: largest remainders first, ties to the earlier."""
    total = sum(map(exactly, shares), Fraction(0))
    if not total:
        return [0] * len(shares)
    ideal = [rows * exactly(share) / total for share in shares]
    counts = [math.floor(wanted) for wanted in ideal]
    by_remainder = sorted(range(len(shares)), key=lambda index: (counts[index] - ideal[index], index))
    for index in by_remainder[: rows - sum(counts)]:
        counts[index] += 1
    return counts


def within(counts: list[int], shares: list[float], most: list[int]) -> list[int]:
    """The same rows in all where there is room: what is more than a corpus may give comes from the others, by share.

    >>> within([30, 10, 10], [0.3, 0.1, 0.1], [12, 50, 14])
    [12, 24, 14]
    """
    found = [min(count, limit) for count, limit in zip(counts, most, strict=True)]
    while missing := sum(counts) - sum(found):
        has_room = [share if n < limit else 0.0 for share, n, limit in zip(shares, found, most, strict=True)]
        if not any(has_room):
            break
        more = apportion(missing, has_room)
        found = [min(n + extra, limit) for n, extra, limit in zip(found, more, most, strict=True)]
    return found


def turns(counts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """(corpus of each row int16, its how-many-th row of that corpus int32), the first corpus against all others.

    >>> corpus, nth = turns([4, 2])
    >>> corpus.tolist(), nth.tolist()
    ([0, 1, 0, 0, 1, 0], [0, 0, 1, 2, 1, 3])
    """
    corpus = _spread([counts[0], sum(counts[1:])])
    corpus[corpus == 1] = 1 + _spread(counts[1:])
    nth = np.empty(len(corpus), np.int32)
    for index, count in enumerate(counts):
        nth[corpus == index] = np.arange(count, dtype=np.int32)
    return corpus, nth


@lru_cache(maxsize=32)  # a step looks at one or two epochs of each corpus
def epoch_order(seed: int, corpus: str, epoch: int, rows: int) -> np.ndarray:
    """(rows,) int32: a permutation that depends on these four values alone. Read-only, since it is shared."""
    name = f"{seed}\0{corpus}\0{epoch}".encode()
    key = np.frombuffer(hashlib.sha256(name).digest()[:8], "<u8")[0]
    # a hash of our own: numpy's generators may change their streams between versions, an order on disk may not
    order = np.argsort(_mixed(np.arange(rows, dtype=np.uint64) + key), kind="stable").astype(np.int32)
    order.flags.writeable = False
    return order


def exactly(number: float) -> Fraction:
    """What the user wrote: 0.05 is one twentieth, not the nearest binary fraction.

    >>> exactly(0.05), exactly(2.5)
    (Fraction(1, 20), Fraction(5, 2))
    """
    try:
        return Fraction(str(number))
    except ValueError as error:
        raise Fault(f"{number!r} is not a number of rows, epochs or a share") from error


def _rounded(number: Fraction) -> int:
    return math.floor(number + Fraction(1, 2))


def _spread(counts: list[int]) -> np.ndarray:
    """(sum of counts,) int16: which corpus has each turn, ordered by ideal moments, ties to the earlier corpus."""
    corpus = np.repeat(np.arange(len(counts), dtype=np.int16), counts)
    moments = np.concatenate([(2 * np.arange(count) + 1) / max(count, 1) for count in counts] or [np.zeros(0)])
    return corpus[np.lexsort((corpus, moments))]


def _mixed(values: np.ndarray) -> np.ndarray:
    """splitmix64 (Steele et al. 2014): distinct values in, distinct well-mixed values out."""
    values = values * np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
