"""Which item shares the most n-grams with a document, against the smaller of the two sets.

    hits of a document ─holders of each n-gram▶ a count per item ─/ min(n-grams of the item, of the document)▶ the best

A hit adds one to each of its n-gram's holders, so the work is hits × holders, which the index bounds. Documents' own
distinct n-grams are counted only where there is a hit, in a table that stays in the nearest cache for all but the
longest.

Legend: f hits, m documents with hits.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from curate.dedup.shingles import rolled_on, run_hash, run_of
from curate.lanes import step
from curate.ngram_index import Hits, NgramIndex, differs
from curate.text import Int64s


def best_items(index: NgramIndex, hits: Hits) -> tuple[Int64s, Int64s, Int64s, Int64s]:
    """Of each document with hits, which ascend: its hits begin at first (m + 1,); the item (m,) that it shares the
    largest part with, the lowest of several; the n-grams shared (m,); those of the smaller side (m,).

    `hits.out_of`: distinct n-grams of the document.
    """
    first = np.append(np.flatnonzero(differs(hits.document)), len(hits))
    item, shared, smaller = _best(first, hits.ngram, hits.out_of, index.owner, index.shared, index.sizes)
    return first, item, shared, smaller


@njit(cache=True, nogil=True)
def _best(first, ngram, out_of, owner, shared, sizes):  # type: ignore[no-untyped-def]
    m = len(first) - 1
    item, most, smaller = np.empty(m, np.int64), np.empty(m, np.int64), np.empty(m, np.int64)
    counts, touched = np.zeros(len(sizes), np.int32), np.empty(len(sizes) + 1, np.int32)
    for i in range(m):
        n = _count(first[i], first[i + 1], ngram, owner, shared, counts, touched)
        item[i], most[i], smaller[i] = _largest(n, out_of[first[i]], counts, touched, sizes)
    return item, most, smaller


@step
def _count(begin, stop, ngram, owner, shared, counts, touched):  # type: ignore[no-untyped-def]
    """Adds one to every holder of every hit; writes the holders: how many."""
    n = np.int64(0)
    for k in range(begin, stop):
        one = np.int64(owner[ngram[k]])
        if one >= 0:
            touched[n] = one
            n += counts[one] == 0
            counts[one] += 1
            continue
        place = ~one
        for j in range(place + 1, place + 1 + shared[place]):
            holder = shared[j]
            if counts[holder] == 0:
                touched[n] = holder
                n += 1
            counts[holder] += 1
    return n


@step
def _largest(n, own, counts, touched, sizes):  # type: ignore[no-untyped-def]
    """(item, shared, smaller side) of the largest share; counts are 0 again."""
    best, most, smaller = np.int64(-1), np.int64(0), np.int64(1)
    for k in range(n):
        one = np.int64(touched[k])
        count, side = np.int64(counts[one]), min(np.int64(sizes[one]), own)
        counts[one] = 0
        more, as_much = count * smaller > most * side, count * smaller == most * side
        if more or (as_much and one < best):
            best, most, smaller = one, count, side
    return best, most, smaller


@njit(cache=True, nogil=True)
def first_held(first, item, ngram, owner, shared):  # type: ignore[no-untyped-def]
    """Of each document, the first of its hits whose n-gram its item holds: (m,) int64."""
    place = np.empty(len(item), np.int64)
    for i in range(len(item)):
        k = first[i]
        while not _holds(item[i], np.int64(owner[ngram[k]]), shared):
            k += 1
        place[i] = k
    return place


@step
def _holds(item, one, shared):  # type: ignore[no-untyped-def]
    if one >= 0:
        return one == item
    found = False
    for j in range(~one + 1, ~one + 1 + shared[~one]):
        found |= shared[j] == item
    return found


@njit(cache=True, nogil=True)
def distinct_runs(first, word_hashes, documents, length):  # type: ignore[no-untyped-def]
    """How many different runs of `length` words each of some documents has: (m,) int64."""
    counts = np.empty(len(documents), np.int64)
    most = np.int64(1)
    for i in documents:
        most = max(most, first[i + 1] - first[i])
    size = np.int64(2)
    while size < 2 * most:
        size *= 2
    table = np.empty(size, np.uint64)
    for k in range(len(documents)):
        i = documents[k]
        counts[k] = _distinct(first[i], first[i + 1], word_hashes, length, table)
    return counts


@step
def _distinct(begin, stop, word_hashes, length, table):  # type: ignore[no-untyped-def]
    """Into a table of at least twice as many places, by linear probing; 0 is an empty place."""
    if stop - begin < length:
        return np.int64(0)
    size = np.int64(2)
    while size < 2 * (stop - begin):
        size *= 2
    table[:size] = 0
    last_place, count = np.uint64(size - 1), np.int64(0)
    state, leaving = run_of(word_hashes, begin, length)
    for last in range(begin + length - 1, stop):
        if last >= begin + length:
            state = rolled_on(state, leaving, word_hashes[np.uint64(last)], word_hashes[np.uint64(last - length)])
        value = run_hash(state, length) | np.uint64(1)  # never 0
        place = value >> np.uint64(1) & last_place
        while table[place] != 0 and table[place] != value:
            place = place + np.uint64(1) & last_place
        count += table[place] == 0
        table[place] = value
    return count
