"""Anchors: few of a text's many word runs, chosen so that two texts which share a passage share an anchor.

    words     a b c d e f g h i j k l        runs of N = 6 words are looked for, grams of 3 stand for them
    grams     7 4 9 2 8 6 5 3 1 8            a hash each; a run holds four
    least     2 2 2 2 3 1 1                  of the run that begins here
    anchors   2       3 1

A run's least gram depends on the run alone, so wherever else the run stands its anchor is the same. Runs that follow
each other mostly have the same anchor: a text of w words has about 4 w / N of them. Of a corpus in which little is
repeated, these few are all that has to be compared; runs themselves are hashed only where their anchor stands in
another document. Nothing is missed: runs are not sampled. (Minimizers: Schleimer, Wilkerson and Aiken 2003,
"Winnowing"; Roberts et al. 2004.)

Legend: n documents of a batch, w words, a anchors, r runs.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numba import njit

from curate.dedup.shingles import rolled_on, run_hash, run_of
from curate.lanes import step
from curate.text import Int64s, TextBatch, UInt64s, mix

BITS_EACH = 16  # of the filter: one stranger in sixteen passes, and costs some runs that are hashed in vain
MOST_BITS = 1 << 31  # 256 MB: 134 million shared anchors, some 20 GB of repeated text; beyond, more strangers pass
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


def anchors(batch: TextBatch, words: int) -> tuple[Int64s, UInt64s]:
    """(document (a,), anchor (a,)) of all runs of `words` words inside documents, in the order of the text."""
    found: tuple[Int64s, UInt64s] = _anchors(batch.words.first, batch.words.hash, words, gram_words(words))
    return found


def anchored_runs(batch: TextBatch, words: int, shared: UInt64s) -> tuple[Int64s, Int64s, UInt64s]:
    """(document (r,), first word (r,) counted from the document's own, hash (r,)) of the runs whose anchor may be one
    of those in the filter `shared`."""
    first, hashes = batch.words.first, batch.words.hash
    shared = shared.view()
    shared.flags.writeable = False  # mapped or not: the kernel is compiled once
    found: tuple[Int64s, Int64s, UInt64s] = _anchored_runs(first, hashes, words, gram_words(words), shared)
    return found


def gram_words(words: int) -> int:
    """Half a run: longer grams make more anchors, shorter ones stand in documents that share nothing longer."""
    return max(1, words // 2)


def filter_of(shared: Iterable[UInt64s], count: int, most_bits: int = MOST_BITS) -> UInt64s:
    """A filter of `count` anchors, which come some at a time: a bit each, by its upper bits."""
    bits = 64
    while bits < min(BITS_EACH * count, most_bits):
        bits *= 2
    flags = np.zeros(bits // 64, np.uint64)
    for anchors in shared:
        _set_bits(flags, anchors)
    return flags


@njit(cache=True, nogil=True)
def _set_bits(flags, anchors):  # type: ignore[no-untyped-def]
    shift = _shift(flags)
    for anchor in anchors:
        bit = anchor >> shift
        flags[bit >> np.uint64(6)] |= np.uint64(1) << (bit & np.uint64(63))


@step
def _shift(flags):  # type: ignore[no-untyped-def]
    """What leaves of an anchor the number of its bit: there are a power of two of them."""
    bits, shift = np.uint64(len(flags) * 64), np.uint64(64)
    while bits > np.uint64(1):
        bits >>= np.uint64(1)
        shift -= np.uint64(1)
    return shift


@njit(cache=True, nogil=True)
def _anchors(first, hashes, words, part):  # type: ignore[no-untyped-def]
    longest = _longest(first)
    grams, least = np.empty(longest + 1, np.uint64), np.empty(longest + 1, np.uint64)
    of, found = np.empty(len(hashes) + 1, np.int64), np.empty(len(hashes) + 1, np.uint64)
    size = 0
    for i in range(len(first) - 1):
        runs = _least_grams(hashes, first[i], first[i + 1], words, part, grams, least)
        size = _note_anchors(i, runs, least, size, of, found)
    return of[:size].copy(), found[:size].copy()


@njit(cache=True, nogil=True)
def _anchored_runs(first, hashes, words, part, shared):  # type: ignore[no-untyped-def]
    longest = _longest(first)
    grams, least = np.empty(longest + 1, np.uint64), np.empty(longest + 1, np.uint64)
    of, word = np.empty(len(hashes) + 1, np.int64), np.empty(len(hashes) + 1, np.int64)
    found = np.empty(len(hashes) + 1, np.uint64)
    size = 0
    for i in range(len(first) - 1):
        runs = _least_grams(hashes, first[i], first[i + 1], words, part, grams, least)
        size = _note_runs(i, runs, hashes, first[i], words, least, shared, size, of, word, found)
    return of[:size].copy(), word[:size].copy(), found[:size].copy()


@step
def _longest(first):  # type: ignore[no-untyped-def]
    longest = 0
    for i in range(len(first) - 1):
        longest = max(longest, first[i + 1] - first[i])
    return longest


@step
def _least_grams(hashes, begin, stop, words, part, grams, least):  # type: ignore[no-untyped-def]
    """Writes the least gram of each run of a document: how many runs it has.

    Of blocks as long as a run, minima from each gram to the block's end, then those from the block's begin on: a run
    that spans two blocks is a tail of one and a head of the next. Three comparisons a word, none of them a branch.
    """
    n, width = stop - begin - part + 1, words - part + 1
    if stop - begin < words:
        return 0
    state, leaving = run_of(hashes, begin, part)
    grams[0] = run_hash(state, part)
    for at in range(1, n):
        state = rolled_on(state, leaving, hashes[np.uint64(begin + at + part - 1)], hashes[np.uint64(begin + at - 1)])
        grams[np.uint64(at)] = run_hash(state, part)
    for block in range(0, n, width):
        last = min(block + width, n) - 1
        tail = grams[last]
        for at in range(last, block - 1, -1):
            tail = min(tail, grams[np.uint64(at)])
            least[np.uint64(at)] = tail
    for block in range(0, n, width):
        head = grams[block]
        for at in range(block, min(block + width, n)):
            head = min(head, grams[np.uint64(at)])
            if at >= width - 1:
                least[np.uint64(at - width + 1)] = min(least[np.uint64(at - width + 1)], head)
    return n - width + 1


@step
def _note_anchors(document, runs, least, size, of, found):  # type: ignore[no-untyped-def]
    """Writes each anchor once as long as it lasts: how many there are by then."""
    at = np.uint64(size)
    last = np.uint64(0)
    for run in range(runs):
        of[at], found[at] = document, _spread(least[run])
        at += np.uint64((least[run] != last) | (run == 0))  # written always, counted if it is another
        last = least[run]
    return np.int64(at)


@step
def _note_runs(document, runs, hashes, begin, words, least, shared, size, of, word, found):  # type: ignore[no-untyped-def]
    """Writes the runs whose anchor passes the filter: how many there are by then."""
    if runs == 0:
        return size
    shift = _shift(shared)
    at, passes = np.uint64(size), np.uint64(0)
    state, leaving = run_of(hashes, begin, words)
    for run in range(runs):
        if run > 0:
            state = rolled_on(state, leaving, hashes[begin + run + words - 1], hashes[begin + run - 1])
        if run == 0 or least[run] != least[run - 1]:
            bit = _spread(least[run]) >> shift
            passes = shared[bit >> np.uint64(6)] >> (bit & np.uint64(63)) & np.uint64(1)
        of[at], word[at], found[at] = document, run, run_hash(state, words)
        at += passes
    return np.int64(at)


@step
def _spread(gram):  # type: ignore[no-untyped-def]
    """Least grams are small numbers: mixed again, so that the upper bits of anchors are spread evenly."""
    return mix(gram ^ _SPREAD)
