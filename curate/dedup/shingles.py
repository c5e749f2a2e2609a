"""Runs of words or characters as hashes: the shingles of near-duplicate detection, the n-grams of contamination.

    words        fever of 39 5 C          n = 3
    shingles     [fever of 39] [of 39 5] [39 5 C]

    characters   発 熱 と 咳              n = 3: those of the words one after another, folded as words are
    shingles     [発熱と] [熱と咳]

A shingle's 64-bit hash rolls over the hashes of its folded words in order: a polynomial modulo 2^64, so one step
drops a word and takes the next whatever n is, then murmur's finaliser over polynomial and length. A document of fewer
than n words has one shingle, of all its words; one without words has none (its exact key still compares it).

Characters roll the same way. They are those that words are made of (categories L, M, N and Pc); white space and
punctuation drop out, whatever their number, so that a text that was wrapped anew has the same shingles. Hence words
that are joined or parted differ less than under word shingles, and a changed word costs its length + n - 1 of them.

Legend: n documents, s shingles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numba import njit

from curate.characters import folded
from curate.lanes import inlined
from curate.settings import Duplicates
from curate.text import Int64s, TextBatch, UInt64s, code_point, mix

# Odd, and 3 modulo 4: then the factors p^k - 1 that swapped words would have to cancel hold as few twos as they can.
_BASE = np.uint64(0xD6E8FEB86659FD93)


@dataclass(frozen=True, slots=True)
class ShingleRecipe:
    """What a document is cut into before it is compared: the one place that knows of both units."""

    unit: Literal["words", "characters"]
    length: int

    @classmethod
    def of(cls, settings: Duplicates) -> ShingleRecipe:
        if settings.shingle_characters is not None:
            return cls("characters", settings.shingle_characters)
        return cls("words", settings.shingle_words)

    def shingles(self, batch: TextBatch) -> tuple[Int64s, UInt64s]:
        """(offsets (n + 1,), hashes (s,)) of all shingles in the order of the text, repeated ones repeated."""
        if self.unit == "words":
            return shingles(batch, self.length)
        words = batch.words
        return rolled(*_characters(batch.data, words.first, words.start, words.end, folded()), self.length)

    def sets(self, batch: TextBatch) -> tuple[Int64s, UInt64s]:
        """(offsets (n + 1,), hashes (s,)): each document's distinct shingles, ascending. What verification compares."""
        return _distinct(*self.shingles(batch))


def shingles(batch: TextBatch, words: int) -> tuple[Int64s, UInt64s]:
    """(offsets (n + 1,), hashes (s,)) of all runs of so many words, in the order of the text."""
    return rolled(batch.words.first, batch.words.hash, words)


def shingle_sets(batch: TextBatch, words: int) -> tuple[Int64s, UInt64s]:
    """(offsets (n + 1,), hashes (s,)): each document's distinct runs of so many words, ascending."""
    return _distinct(*shingles(batch, words))


@njit(cache=True, nogil=True)
def _characters(data, first, start, end, folded):  # type: ignore[no-untyped-def]
    """(first (n + 1,), hashes (c,)) of the characters that the words of each document are made of, folded."""
    n = len(first) - 1
    size = np.int64(0)
    for w in range(len(start)):
        size += end[w] - start[w]  # bytes: at least as many as characters
    begins, hashes = np.zeros(n + 1, np.int64), np.empty(size, np.uint64)
    c = np.int64(0)
    for i in range(n):
        for w in range(first[i], first[i + 1]):
            at = start[w]
            while at < end[w]:
                code, width = code_point(data, at)
                hashes[c] = mix(np.uint64(folded[code]) + np.uint64(1))
                c += 1
                at += width
        begins[i + 1] = c
    return begins, hashes[:c]


@njit(cache=True, nogil=True)
def rolled(first, hashes, length):  # type: ignore[no-untyped-def]
    """(offsets, values) of the runs of `length` words inside documents that begin at words `first`."""
    n = len(first) - 1
    offsets = np.zeros(n + 1, np.int64)
    for i in range(n):
        words = first[i + 1] - first[i]
        offsets[i + 1] = offsets[i] + (words - length + 1 if words >= length else min(words, 1))
    values = np.empty(offsets[n], np.uint64)
    for i in range(n):
        begin, stop = first[i], first[i + 1]
        if begin == stop:
            continue
        window = min(length, stop - begin)
        state, leaving = run_of(hashes, begin, window)
        out = offsets[i]
        values[out] = run_hash(state, window)
        for at in range(begin + window, stop):
            state = rolled_on(state, leaving, hashes[at], hashes[at - window])
            out += 1
            values[out] = run_hash(state, window)
    return offsets, values


@inlined
def run_of(hashes, begin, length):  # type: ignore[no-untyped-def]
    """(polynomial of the first run, base^length: the weight of the word that drops out at a step)."""
    state, leaving = np.uint64(0), np.uint64(1)
    for at in range(begin, begin + length):
        state = state * _BASE + hashes[at]
        leaving *= _BASE
    return state, leaving


@inlined
def rolled_on(state, leaving, comes, goes):  # type: ignore[no-untyped-def]
    return state * _BASE + comes - goes * leaving


@inlined
def run_hash(state, length):  # type: ignore[no-untyped-def]
    return mix(state + np.uint64(length))


@njit(cache=True, nogil=True)
def _distinct(offsets, values):  # type: ignore[no-untyped-def]
    n = len(offsets) - 1
    kept_offsets = np.zeros(n + 1, np.int64)
    kept = np.empty(len(values), np.uint64)
    size = 0
    for i in range(n):
        document = np.sort(values[offsets[i] : offsets[i + 1]])
        for at in range(len(document)):
            if at == 0 or document[at] != document[at - 1]:
                kept[size] = document[at]
                size += 1
        kept_offsets[i + 1] = size
    return kept_offsets, kept[:size].copy()
