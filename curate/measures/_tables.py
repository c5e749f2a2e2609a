"""Hash tables in plain arrays, for kernels: open addressing, linear probing, -1 where a slot is empty.

A kernel makes its arrays once per batch, large enough for the largest document, and clears for each document only as
many slots as that document needs: a short document costs a short clearing.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from curate.text import eight_bytes, mix


@njit(cache=True, nogil=True)
def slots_for(entries):  # type: ignore[no-untyped-def]
    """Slots of an open-addressing table at most half full: a power of two."""
    slots = 16
    while slots < 2 * entries:
        slots *= 2
    return slots


@njit(cache=True, nogil=True)
def hash_bytes(data, at, end):  # type: ignore[no-untyped-def]
    state = np.uint64(end - at) ^ np.uint64(0xCBF29CE484222325)
    while at < end:
        state = (state ^ eight_bytes(data, at, end)) * np.uint64(0x9E3779B97F4A7C15)
        state ^= state >> np.uint64(29)  # without it the high bytes would never reach the low bits
        at += 8
    return mix(state)


@njit(cache=True, nogil=True)
def same_bytes(data, a, a_end, b, b_end):  # type: ignore[no-untyped-def]
    if a_end - a != b_end - b:
        return False
    for k in range(a_end - a):  # noqa: SIM110 - numba has no all() over a generator
        if data[a + k] != data[b + k]:
            return False
    return True
