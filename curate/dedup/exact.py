"""Exact duplicates: a 128-bit key of the normalised text.

The key hashes the sequence of folded words, so case, punctuation, spacing and line breaks do not count: "Fever, 39°"
and "fever 39" are one text. A document without any word ("— — —", an emoji) has nothing to normalise and is keyed by
its raw bytes. Every document has a key, however short: documents too short for a shingle are still compared here. At
128 bits the chance that any two of 10^9 different texts meet is 10^-21.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from curate.text import TextBatch, UInt64s, mix


def exact_keys(batch: TextBatch) -> UInt64s:
    """Keys of the documents: (n, 2) uint64."""
    words = batch.words
    return _keys(words.first, words.hash, batch.offsets, batch.data)


@njit(cache=True, nogil=True)
def _keys(first, hashes, offsets, data):  # type: ignore[no-untyped-def]
    n = len(first) - 1
    keys = np.empty((n, 2), np.uint64)
    for i in range(n):
        by_words = first[i + 1] > first[i]
        begin, stop = (first[i], first[i + 1]) if by_words else (offsets[i], offsets[i + 1])
        # Two independent chains; their starts keep texts of words and texts of bytes apart.
        one = np.uint64(0x243F6A8885A308D3) if by_words else np.uint64(0x13198A2E03707344)
        two = np.uint64(0xA4093822299F31D0) if by_words else np.uint64(0x082EFA98EC4E6C89)
        for at in range(begin, stop):
            item = hashes[at] if by_words else mix(np.uint64(data[at]) + np.uint64(1))
            one = (one ^ item) * np.uint64(0x9FB21C651E98DF25)
            one ^= one >> np.uint64(29)
            two = (two + item) * np.uint64(0xD6E8FEB86659FD93)
            two ^= two >> np.uint64(32)
        keys[i, 0] = mix(one ^ np.uint64(stop - begin))
        keys[i, 1] = mix(two + np.uint64(stop - begin))
    return keys
