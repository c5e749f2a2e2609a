"""Word n-grams of a document that occur in it more than once, for all sizes from 2 to 10 in one go.

    words            a b c x a b c y        numbered 0 1 2 3 0 1 2 4
    repeat as words  a b c   a b c          at 0 1 2, 4 5 6
    as 2-grams       ab bc   ab bc          at 0 1, 4 5
    as 3-grams       abc     abc            at 0, 4
    as 4-grams       nothing is left: done

An n-gram can only repeat if both (n-1)-grams in it do. So words get numbers, and each step joins the numbers of
neighbours that both repeat into the number of the longer n-gram, in one small hash table. In English novels 40 % of
places are left after the step to 2-grams, 10 % after 3-grams, 2 % after 4-grams: all nine sizes cost about as much as
two. N-grams are compared by their words, never by a hash of the n-gram.

Legend: n documents, w words, b bytes.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from curate.measures._tables import hash_bytes, slots_for
from curate.text import characters_between, continuations, eight_bytes


@njit(cache=True, nogil=True)
def repeated_n_grams(data, first, start, end):  # type: ignore[no-untyped-def]
    """Characters in the top n-grams, (n, 3), and in duplicate n-grams, (n, 6); int64.

    `places` lists where n-grams stand that repeat, in order, and `number` which n-gram stands there (numbered by first
    occurrence). Everything else about the document has already been ruled out.
    """
    n = len(first) - 1
    top, duplicate = np.zeros((n, 3), np.int64), np.zeros((n, 6), np.int64)
    room = 1
    for i in range(n):
        room = max(room, first[i + 1] - first[i])
    slots = np.empty(slots_for(room), np.int32)
    keys = np.empty(room, np.uint64)  # by number: what the table compares
    pairs = np.empty(room, np.uint64)  # by place in the list: the numbers of two neighbours
    counts = np.empty(room, np.int32)  # by number: occurrences
    places, number = np.empty(room, np.int32), np.empty(room, np.int32)
    before = np.zeros(room + 1, np.int64)  # characters of the document's words before word k
    for i in range(n):
        w, w_end = first[i], first[i + 1]
        left, distinct = _number_words(data, start[w:w_end], end[w:w_end], slots, keys, counts, places, number, before)
        for size in range(2, 11):
            left, distinct = _join_neighbours(left, slots, pairs, keys, counts, places, number)
            if left == 0:
                break
            if size <= 4:
                top[i, size - 2] = _top_characters(left, distinct, counts, places, number, before, size)
            else:
                duplicate[i, size - 5] = _duplicate_characters(left, distinct, counts, places, number, before, size)
    return top, duplicate


@njit(cache=True, nogil=True)
def _number_words(data, start, end, slots, keys, counts, places, number, before):  # type: ignore[no-untyped-def]
    """Numbers the words of a document and lists those that repeat: (listed, distinct words)."""
    n_slots = slots_for(len(start))
    slots[:n_slots] = -1
    distinct = 0
    for k in range(len(start)):
        length = end[k] - start[k]
        key = eight_bytes(data, start[k], end[k])
        characters = length - continuations(key)
        if length > 8:  # 64 bits stand for a longer word: two of one document collide once in 10^9 documents or so
            key = hash_bytes(data, start[k], end[k])
            characters = characters_between(data, start[k], end[k])
        before[k + 1] = before[k] + characters
        found = _find(key, n_slots, slots, keys, counts, distinct)
        distinct += found == distinct
        places[k], number[k] = k, found
    return _keep_repeated(len(start), counts, places, number), distinct


@njit(cache=True, nogil=True)
def _join_neighbours(left, slots, pairs, keys, counts, places, number):  # type: ignore[no-untyped-def]
    """From repeated (n-1)-grams to repeated n-grams, in place: (listed, distinct n-grams seen)."""
    joined = 0
    for k in range(left - 1):  # joined <= k: what is overwritten has been read
        pairs[joined] = np.uint64(number[k]) << np.uint64(32) | np.uint64(number[k + 1])
        adjacent = places[k + 1] == places[k] + 1
        places[joined] = places[k]
        joined += adjacent  # again without a branch
    n_slots = slots_for(joined)
    slots[:n_slots] = -1
    distinct = 0
    for k in range(joined):
        number[k] = _find(pairs[k], n_slots, slots, keys, counts, distinct)
        distinct += number[k] == distinct
    return _keep_repeated(joined, counts, places, number), distinct


@njit(cache=True, nogil=True, inline="always")
def _find(key, n_slots, slots, keys, counts, distinct):  # type: ignore[no-untyped-def]
    """The number of this key, counted once more; a key not met before becomes number `distinct`."""
    # multiplicative hashing mixes upwards, so the high half is folded in first and the top of the product taken
    slot = (((key ^ (key >> np.uint64(32))) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & np.uint64(n_slots - 1)
    while True:
        found = slots[slot]
        if found < 0:
            slots[slot] = distinct
            keys[distinct], counts[distinct] = key, 1
            return distinct
        if keys[found] == key:
            counts[found] += 1
            return found
        slot = (slot + np.uint64(1)) & np.uint64(n_slots - 1)


@njit(cache=True, nogil=True)
def _keep_repeated(listed, counts, places, number):  # type: ignore[no-untyped-def]
    """Drops from the list what occurs once; without a branch, for nothing here is predictable."""
    kept = 0
    for k in range(listed):
        places[kept], number[kept] = places[k], number[k]
        kept += counts[number[k]] > 1
    return kept


@njit(cache=True, nogil=True)
def _top_characters(left, distinct, counts, places, number, before, size):  # type: ignore[no-untyped-def]
    """Occurrences of the most frequent n-gram times its characters, its inner spaces among them."""
    best = 0
    for candidate in range(1, distinct):
        if counts[candidate] > counts[best]:
            best = candidate
    for k in range(left):
        if number[k] == best:
            return counts[best] * (before[places[k] + size] - before[places[k]] + size - 1)
    return 0


@njit(cache=True, nogil=True)
def _duplicate_characters(left, distinct, counts, places, number, before, size):  # type: ignore[no-untyped-def]
    """Reads on from left to right: an n-gram met before counts, and reading goes on behind it."""
    characters, resume = 0, 0
    for k in range(left):
        place = places[k]
        if place < resume:
            continue
        if counts[number[k]] < 0:
            characters += before[place + size] - before[place]
            resume = place + size
        counts[number[k]] = -1  # counts have served: below zero means met
    return characters
