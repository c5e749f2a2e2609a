"""Word n-grams of a document that occur in it more than once, for all sizes from 2 to 10 in one go.

    words      a b c x a b c y
    2-grams    ab bc cx xa ab bc cy        tallied by hash: ab and bc twice, so four places are left
    3-grams    abc       abc               only where both 2-grams are left
    4-grams    nothing is left: done

An n-gram can only repeat if both (n-1)-grams in it do. So a list of places shrinks from size to size: hashes of
neighbours are joined to the hash of the longer n-gram, each hash counts in a small table of tallies (a byte each, no
keys, no probing, so nothing for the processor to mispredict), and places whose tally is 1 leave the list. A tally is
never less than the number of occurrences, so no repetition is lost. In English novels 40 % of places are left after
2-grams, 10 % after 3-grams, 2 % after 4-grams: all nine sizes cost little more than the first.

What is measured is exact: n-grams among the places left are compared by their words, never by a hash of the n-gram.

Legend: n documents, w words.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from curate.lanes import step
from curate.measures._tables import slots_for

_ODD = np.uint64(0x9E3779B97F4A7C15)
_ALSO_ODD = np.uint64(0xD6E8FEB86659FD93)
_FULL = 255  # a tally goes no further


@njit(cache=True, nogil=True)
def repeated_n_grams(first, spelled, characters):  # type: ignore[no-untyped-def]
    """Characters in the top n-grams, (n, 3), and in duplicate n-grams, (n, 6); int64."""
    n = len(first) - 1
    top, duplicate = np.zeros((n, 3), np.int64), np.zeros((n, 6), np.int64)
    room = 1
    for i in range(n):
        room = max(room, first[i + 1] - first[i])
    tallies = np.empty(4 * slots_for(room), np.uint8)
    slots = np.empty(slots_for(room), np.int32)
    places = np.empty(room, np.int32)  # where n-grams stand that may repeat, in order
    hashes = np.empty(room, np.uint64)  # theirs
    firsts = np.empty(room, np.int32)  # where each stands first
    counts = np.empty(room, np.int32)
    marks = np.empty((2, room), np.uint8)
    for i in range(n):
        words, lengths = spelled[first[i] : first[i + 1]], characters[first[i] : first[i + 1]]
        left = _pairs(words, places, hashes)
        for size in range(2, 6):
            if size > 2:
                left = _join_neighbours(left, places, hashes)
            shift = _tally(left, hashes, tallies)
            left, most, highest = _keep_repeated(left, places, hashes, tallies, shift)
            if left < 2:
                break
            if size < 5:
                place, times = _most_frequent(
                    size, left, most, highest, places, hashes, tallies, shift, words, slots, firsts, counts
                )
                if times > 1:
                    top[i, size - 2] = times * (_sum(lengths, place, size) + size - 1)
        if left < 2:
            continue
        left = _copies(5, left, places, firsts, hashes, words, slots)
        marks[:, : len(words)] = 0
        for size in range(5, 11):
            if size > 5:
                left = _longer_copies(size, left, places, firsts, words, slots)
            if left == 0:
                break
            duplicate[i, size - 5] = _duplicate_characters(size, left, places, firsts, marks, lengths)
    return top, duplicate


@step
def _joined(one, two):  # type: ignore[no-untyped-def]
    return ((one * _ODD) ^ two) * _ALSO_ODD  # its top bits depend on every bit of both


@step
def _pairs(words, places, hashes):  # type: ignore[no-untyped-def]
    """Lists every 2-gram of a document: how many."""
    for k in range(len(words) - 1):
        places[k] = k
        hashes[k] = _joined(words[k], words[k + 1])
    return max(len(words) - 1, 0)


@step
def _join_neighbours(left, places, hashes):  # type: ignore[no-untyped-def]
    """Lists the n-grams whose two (n-1)-grams are listed, in place: how many."""
    joined = 0
    for k in range(left - 1):  # joined <= k: what is overwritten has been read
        adjacent = places[k + 1] == places[k] + 1
        to = np.uint64(joined)  # unsigned, or the index would first be tested for counting from the end
        hashes[to], places[to] = _joined(hashes[k], hashes[k + 1]), places[k]
        joined += adjacent  # without a branch: nothing here is predictable
    return joined


@step
def _tally(left, hashes, tallies):  # type: ignore[no-untyped-def]
    """Counts each hash under its top bits, up to `_FULL`: the shift that gives these bits."""
    size, shift = 64, np.uint64(58)
    while size < 4 * left:
        size, shift = size * 2, shift - np.uint64(1)
    tallies[:size] = 0
    for k in range(left):
        slot = hashes[k] >> shift
        tallies[slot] += tallies[slot] < _FULL
    return shift


@step
def _keep_repeated(left, places, hashes, tallies, shift):  # type: ignore[no-untyped-def]
    """Drops from the list what occurs once: (listed, place in the list of the highest tally, that tally)."""
    kept, most, highest = 0, 0, np.uint8(1)
    for k in range(left):
        tally = tallies[hashes[k] >> shift]
        to = np.uint64(kept)
        places[to], hashes[to] = places[k], hashes[k]
        if tally > highest:
            highest, most = tally, kept
        kept += tally > 1
    return kept, most, np.int64(highest)


@step
def _most_frequent(  # type: ignore[no-untyped-def]
    size, left, most, highest, places, hashes, tallies, shift, words, slots, firsts, counts
):
    """(first place, occurrences) of the most frequent n-gram; of equals, of the one that comes first.

    If the n-gram of the highest tally has that tally to itself, none is more frequent. Else its occurrences bound the
    most from below, and n-grams are counted one by one where the tally reaches the bound.
    """
    bound = 0
    for k in range(left):
        bound += hashes[k] == hashes[most]
    if bound == highest and highest < _FULL:
        return places[most], bound
    bound = max(min(bound, _FULL), 2)
    n_slots = slots_for(left)
    slots[:n_slots] = -1
    distinct, best = 0, 0
    for k in range(left):
        if tallies[hashes[k] >> shift] < bound:
            continue
        slot = _slot_of(hashes[k], n_slots)
        while slots[slot] >= 0 and not _same(words, firsts[slots[slot]], places[k], size):
            slot = (slot + np.uint64(1)) & np.uint64(n_slots - 1)
        if slots[slot] < 0:
            slots[slot] = distinct
            firsts[distinct], counts[distinct] = places[k], 0
            distinct += 1
        counts[slots[slot]] += 1
    for candidate in range(1, distinct):  # numbered by first occurrence
        if counts[candidate] > counts[best]:
            best = candidate
    return firsts[best], np.int64(counts[best])


@step
def _copies(size, left, places, firsts, hashes, words, slots):  # type: ignore[no-untyped-def]
    """Keeps on the list what stood earlier, and notes where first: how many."""
    n_slots = slots_for(left)
    slots[:n_slots] = -1
    kept = 0
    for k in range(left):
        place, slot = places[k], _slot_of(hashes[k], n_slots)
        while slots[slot] >= 0 and not _same(words, slots[slot], place, size):
            slot = (slot + np.uint64(1)) & np.uint64(n_slots - 1)
        if slots[slot] < 0:
            slots[slot] = place
        else:
            places[kept], firsts[kept] = place, slots[slot]
            kept += 1
    return kept


@step
def _longer_copies(size, left, places, firsts, words, slots):  # type: ignore[no-untyped-def]
    """From copies of (n-1)-grams to copies of n-grams, in place: how many.

    Where the next word is the same, the n-gram stands first where the shorter one did. Where it differs, it may still
    have stood earlier: copies that part ways with their first are looked up among each other.
    """
    n_slots = slots_for(left)
    slots[:n_slots] = -1
    kept = 0
    for k in range(left):
        place, first = places[k], firsts[k]
        last = place + size - 1
        if last >= len(words):
            break
        if words[last] != words[first + size - 1]:
            slot = _slot_of(_joined(words[last], np.uint64(first)), n_slots)
            while slots[slot] >= 0 and not _same(words, slots[slot], place, size):
                slot = (slot + np.uint64(1)) & np.uint64(n_slots - 1)
            if slots[slot] < 0:
                slots[slot] = place
                continue
            first = slots[slot]
        places[kept], firsts[kept] = place, first
        kept += 1
    return kept


@step
def _duplicate_characters(size, left, places, firsts, marks, lengths):  # type: ignore[no-untyped-def]
    """Reads on from left to right: an n-gram met before counts, and reading goes on behind it.

    What reading passes over is not met: a copy whose first was passed over is met itself, and those after it count.
    """
    passed_over, met = marks[0], marks[1]  # by place: the size for which it was
    characters, resume, k = 0, 0, 0
    while k < left:
        place, first = places[k], firsts[k]
        if place < resume:
            k += 1
        elif passed_over[first] == size and met[first] != size:
            met[first] = size
            k += 1
        else:
            characters += _sum(lengths, place, size)
            resume = place + size
            for inner in range(place + 1, resume):
                passed_over[inner] = size
            behind = k + size  # where the list goes on if no place between is missing from it
            k = behind if behind < left and places[behind] == resume else k + 1
    return characters


@step
def _slot_of(digest, n_slots):  # type: ignore[no-untyped-def]
    """Other bits than those a tally is found by, or what shares a tally would share a slot."""
    return (((digest ^ (digest >> np.uint64(29))) * _ODD) >> np.uint64(32)) & np.uint64(n_slots - 1)


@step
def _same(words, a, b, size):  # type: ignore[no-untyped-def]
    for k in range(size):  # noqa: SIM110 - numba has no all() over a generator
        if words[a + k] != words[b + k]:
            return False
    return True


@step
def _sum(lengths, place, size):  # type: ignore[no-untyped-def]
    """Characters of an n-gram's words."""
    count = np.int64(0)
    for k in range(place, place + size):
        count += lengths[k]
    return count
