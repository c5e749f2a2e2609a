"""Exact Jaccard of candidate pairs, with the texts of a bounded part of them in memory at a time.

Unverified LSH is mostly wrong at scale (pages that share a template share bands), so nothing is called a duplicate on
its signature. Texts come through a callable, so that this module neither knows where they lie nor holds them:

    shingle_sets(documents (m,) ascending) -> (offsets (m + 1,), hashes)    distinct shingles of each, ascending

Legend: p pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.text import Int64s, UInt64s

Float64s: TypeAlias = npt.NDArray[np.float64]
ShingleSets: TypeAlias = Callable[[Int64s], tuple[Int64s, UInt64s]]

CHARS_HELD = 1 << 25  # of text whose shingles are in memory at a time; a character of prose takes about 1.5 bytes here


def jaccards(
    left: Int64s, right: Int64s, n_chars: Int64s, shingle_sets: ShingleSets, chars_held: int = CHARS_HELD
) -> Float64s:
    """Exact Jaccard (p,) of the documents `left[i]` and `right[i]`; two documents without shingles share nothing: 0."""
    order = np.lexsort((right, left))
    answers = np.empty(len(left), np.float64)
    for chunk in _chunks(left[order], right[order], n_chars, chars_held):
        pairs = order[chunk]
        documents = np.unique(np.concatenate((left[pairs], right[pairs])))
        offsets, hashes = shingle_sets(documents)
        one, two = np.searchsorted(documents, left[pairs]), np.searchsorted(documents, right[pairs])
        answers[pairs] = _jaccards(offsets, hashes, one, two)
    return answers


def _chunks(left: Int64s, right: Int64s, n_chars: Int64s, chars_held: int) -> list[slice]:
    """Consecutive pairs (ordered by left) whose documents together stay about `chars_held`."""
    opens = np.ones(len(left), np.int64)
    opens[1:] = left[1:] != left[:-1]  # a left document is fetched once for all its pairs
    cost = n_chars[right] + opens * n_chars[left]
    number = (np.cumsum(cost) - cost) // chars_held
    edges = np.flatnonzero(np.diff(number, prepend=-1, append=-1))
    return [slice(int(a), int(b)) for a, b in pairwise(edges)]


@njit(cache=True, nogil=True)
def _jaccards(offsets, hashes, one, two):  # type: ignore[no-untyped-def]
    answers = np.zeros(len(one), np.float64)
    for pair in range(len(one)):
        a, a_end = offsets[one[pair]], offsets[one[pair] + 1]
        b, b_end = offsets[two[pair]], offsets[two[pair] + 1]
        size = (a_end - a) + (b_end - b)
        shared = 0
        while a < a_end and b < b_end:
            left, right = hashes[a], hashes[b]
            shared += left == right
            a += left <= right
            b += right <= left
        if size:
            answers[pair] = shared / (size - shared)
    return answers
