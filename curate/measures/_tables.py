"""Hash tables in plain arrays, for kernels: open addressing, linear probing, -1 where a slot is empty.

A kernel makes its arrays once per batch, large enough for the largest document, and clears for each document only as
many slots as that document needs: a short document costs a short clearing.
"""

from __future__ import annotations

import numpy as np

from curate.lanes import chained, eight_bytes, load, mix, step


@step
def slots_for(entries):  # type: ignore[no-untyped-def]
    """Slots of an open-addressing table at most half full: a power of two."""
    slots = 16
    while slots < 2 * entries:
        slots *= 2
    return slots


@step
def hash_bytes(data, at, end):  # type: ignore[no-untyped-def]
    """A 64-bit hash of any byte range. It is stored nowhere."""
    one = np.uint64(end - at) ^ np.uint64(0xCBF29CE484222325)
    if end - at >= 32:  # four chains side by side: a product takes several cycles, and four of them take as many
        two, three, four = ~one, one << np.uint64(1), one << np.uint64(2)
        while at + 32 <= end:
            one, two = chained(one, load(data, at)), chained(two, load(data, at + 8))
            three, four = chained(three, load(data, at + 16)), chained(four, load(data, at + 24))
            at += 32
        one = chained(chained(chained(one, two), three), four)
    while at < end:
        one = chained(one, eight_bytes(data, at, end))
        at += 8
    return mix(one)


@step
def same_bytes(data, a, a_end, b, b_end):  # type: ignore[no-untyped-def]
    if a_end - a != b_end - b:
        return False
    for k in range(a_end - a):  # noqa: SIM110 - numba has no all() over a generator
        if data[a + k] != data[b + k]:
            return False
    return True
