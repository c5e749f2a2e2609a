"""Which runs of words of a text are known: their hashes looked up among many sorted ones.

    runs of words ─Bloom filter: surely not?▶ ─place among the sorted hashes▶ known: (document, place, first word)

The filter has 16 bits per hash or more, three of them set within one word of 64, so that 99 of 100 strangers are turned
away for one memory access. The rest are looked up in the sorted hashes, where a hash's value tells its place but for a
few steps, as hashes are spread evenly. Equal 64-bit hashes count as equal runs: with 10^8 known and 10^11 words of
text, one false hit is expected in two scans.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from curate.dedup.shingles import rolled_on, run_hash, run_of
from curate.lanes import inlined, step
from curate.text import UInt64s

BITS_PER_HASH = 16


def bitmap_bits(hashes: int) -> int:
    """The bits of a filter for so many hashes are 2 to the power of this."""
    return max(hashes * BITS_PER_HASH - 1, (1 << 16) - 1).bit_length()


def bitmap_of(hashes: UInt64s) -> UInt64s:
    bits = bitmap_bits(len(hashes))
    bitmap: UInt64s = set_bits(np.zeros(1 << (bits - 6), np.uint64), hashes, np.uint64(64 - bits))
    return bitmap


@njit(cache=True, nogil=True)
def set_bits(bitmap, hashes, shift):  # type: ignore[no-untyped-def]
    for value in hashes:
        bitmap[value >> shift >> np.uint64(6)] |= _three_bits(value)
    return bitmap


@inlined
def _three_bits(value):  # type: ignore[no-untyped-def]
    """Three bits of a word, by low bits of the hash: its top bits choose the word."""
    one, six = np.uint64(1), np.uint64(63)
    return one << (value & six) | one << (value >> np.uint64(6) & six) | one << (value >> np.uint64(12) & six)


@njit(cache=True, nogil=True)
def look_up(first, word_hashes, length, bitmap, hashes, n_words):  # type: ignore[no-untyped-def]
    """(document, place among the hashes, first word) of the known runs of `length` words; (f,) int64 each."""
    document, word = np.empty(len(word_hashes) + 1, np.int64), np.empty(len(word_hashes) + 1, np.int64)
    values, ngram = np.empty(len(word_hashes) + 1, np.uint64), np.empty(len(word_hashes) + 1, np.int64)
    bits = 6
    while 1 << bits < len(bitmap) * 64:
        bits += 1
    shift = np.uint64(64 - bits)  # leaves of a hash the number of a bit; without the lowest six, of a word
    passed = _pass_filter(first, word_hashes, length, bitmap, shift, document, word, values)
    found = _keep_known(passed, length, hashes, n_words, document, word, values, ngram)
    return document[:found].copy(), ngram[:found].copy(), word[:found].copy()


@step
def _pass_filter(first, word_hashes, length, bitmap, shift, document, word, values):  # type: ignore[no-untyped-def]
    """Writes the runs of `length` words inside a document that the filter lets pass: how many."""
    passed = np.uint64(0)
    for i in range(len(first) - 1):
        begin, stop = first[i], first[i + 1]
        if stop - begin < length:  # its one hash, of all its words, is found under its own length
            continue
        state, leaving = run_of(word_hashes, begin, length)
        for last in range(begin + length - 1, stop):
            if last >= begin + length:
                state = rolled_on(state, leaving, word_hashes[np.uint64(last)], word_hashes[np.uint64(last - length)])
            value = run_hash(state, length)
            # written always, counted if it passes: no branch to mispredict
            document[passed], word[passed], values[passed] = i, last - length + 1 - begin, value
            bits = _three_bits(value)
            passed += np.uint64(bitmap[value >> shift >> np.uint64(6)] & bits == bits)
    return np.int64(passed)


@step
def _keep_known(passed, length, hashes, n_words, document, word, values, ngram):  # type: ignore[no-untyped-def]
    """Drops what is not known under this length, and notes the place of the rest: how many."""
    kept = 0
    for k in range(passed):
        place = place_of(values[k], hashes)
        document[kept], word[kept], ngram[kept] = document[k], word[k], place
        kept += hashes[place] == values[k] and n_words[place] == length
    return kept


@step
def place_of(value, hashes):  # type: ignore[no-untyped-def]
    """Where a hash is among the sorted hashes, of which there are some; any place if it is not.

    Even spread makes the first guess err by the root of their number, and each correction by the root of the error.
    """
    last = len(hashes) - 1
    per_place = 2.0**64 / len(hashes)
    place, ahead = np.int64(0), np.float64(value) / per_place
    for _ in range(4):
        place += np.int64(ahead)
        place = np.int64(0 if place < 0 else last if place > last else place)
        ahead = (np.float64(value) - np.float64(hashes[place])) / per_place
    while place < last and hashes[place] < value:
        place += 1
    while place > 0 and hashes[place] > value:
        place -= 1
    return place


@njit(cache=True, nogil=True)
def first_of_each(document, place):  # type: ignore[no-untyped-def]
    """Which finds are the first of their place in their document, of finds in the order of the text: (f,) bool."""
    first = np.zeros(len(place), np.bool_)
    begin, most = 0, 1
    for k in range(1, len(place) + 1):
        if k == len(place) or document[k] != document[begin]:
            begin, most = k, max(most, k - begin)
    table = np.empty(_room_for(most), np.int64)
    begin = 0
    for k in range(1, len(place) + 1):
        if k == len(place) or document[k] != document[begin]:
            _mark_first(begin, k, place, table, first)
            begin = k
    return first


@step
def _mark_first(begin, stop, place, table, first):  # type: ignore[no-untyped-def]
    """Of one document's finds; in a table of at least twice as many slots, by linear probing."""
    size = _room_for(stop - begin)
    table[:size] = -1
    last = np.uint64(size - 1)
    for k in range(begin, stop):
        slot = np.uint64(place[k]) & last
        while table[slot] >= 0 and table[slot] != place[k]:
            slot = slot + np.uint64(1) & last
        first[k] = table[slot] < 0
        table[slot] = place[k]


@step
def _room_for(count):  # type: ignore[no-untyped-def]
    size = np.int64(2)
    while size < 2 * count:
        size *= 2
    return size
