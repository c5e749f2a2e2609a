"""XXH64 of many strings at once, bit for bit what `xxhash.xxh64_intdigest` gives, without a Python object per string.

A split hashes the id of every document and so does the search for repeated ids: at a microsecond each that would be a
step of its own. The algorithm is Yann Collet's (github.com/Cyan4973/xxHash, doc/xxhash_spec.md), seed 0.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import njit

from curate.text import Int64s, UInt64s

_P1, _P2 = np.uint64(0x9E3779B185EBCA87), np.uint64(0xC2B2AE3D27D4EB4F)
_P3, _P4 = np.uint64(0x165667B19E3779F9), np.uint64(0x85EBCA77C2B2AE63)
_P5 = np.uint64(0x27D4EB2F165667C5)


def xxh64(strings: pa.Array | pa.ChunkedArray, prefix: str = "") -> UInt64s:
    """The digests (n,) of `prefix` and each string, as one UTF-8 text. No string may be null.

    >>> xxh64(pa.array(["17", "18"]), "notes/").tolist()
    [7494855994711365609, 93110637085078052]
    """
    if isinstance(strings, pa.ChunkedArray):
        strings = strings.combine_chunks()
    array = strings.cast(pa.large_string())
    if array.null_count:
        raise ValueError("a null has no digest")
    offsets, data = _buffers(array)
    return _digests(np.frombuffer(prefix.encode(), np.uint8), offsets, data)


def _buffers(array: pa.LargeStringArray) -> tuple[Int64s, np.ndarray]:
    _, offsets, data = array.buffers()
    if len(array) == 0 or offsets is None:
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    window = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return window, np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)


@njit(cache=True, nogil=True)
def _digests(prefix, offsets, data):  # type: ignore[no-untyped-def]
    longest = 0
    for i in range(len(offsets) - 1):
        longest = max(longest, offsets[i + 1] - offsets[i])
    whole = np.empty(len(prefix) + longest, np.uint8)
    whole[: len(prefix)] = prefix
    digests = np.empty(len(offsets) - 1, np.uint64)
    for i in range(len(digests)):
        size = len(prefix) + offsets[i + 1] - offsets[i]
        whole[len(prefix) : size] = data[offsets[i] : offsets[i + 1]]
        digests[i] = _digest(whole, size)
    return digests


@njit(cache=True, nogil=True, inline="always")
def _digest(data, size):  # type: ignore[no-untyped-def]
    at = 0
    if size >= 32:  # four lanes of eight bytes
        a, b, c, d = _P1 + _P2, _P2, np.uint64(0), np.uint64(0) - _P1
        while at + 32 <= size:
            a, b = _round(a, _word(data, at, 8)), _round(b, _word(data, at + 8, 8))
            c, d = _round(c, _word(data, at + 16, 8)), _round(d, _word(data, at + 24, 8))
            at += 32
        state = _turned(a, 1) + _turned(b, 7) + _turned(c, 12) + _turned(d, 18)
        for lane in (a, b, c, d):
            state = (state ^ _round(np.uint64(0), lane)) * _P1 + _P4
    else:
        state = _P5
    state += np.uint64(size)
    while at + 8 <= size:
        state = _turned(state ^ _round(np.uint64(0), _word(data, at, 8)), 27) * _P1 + _P4
        at += 8
    if at + 4 <= size:
        state = _turned(state ^ _word(data, at, 4) * _P1, 23) * _P2 + _P3
        at += 4
    while at < size:
        state = _turned(state ^ np.uint64(data[at]) * _P5, 11) * _P1
        at += 1
    state = (state ^ state >> np.uint64(33)) * _P2
    state = (state ^ state >> np.uint64(29)) * _P3
    return state ^ state >> np.uint64(32)


@njit(cache=True, nogil=True, inline="always")
def _round(lane, word):  # type: ignore[no-untyped-def]
    return _turned(lane + word * _P2, 31) * _P1


@njit(cache=True, nogil=True, inline="always")
def _turned(value, bits):  # type: ignore[no-untyped-def]
    return value << np.uint64(bits) | value >> np.uint64(64 - bits)


@njit(cache=True, nogil=True, inline="always")
def _word(data, at, n_bytes):  # type: ignore[no-untyped-def]
    """So many bytes from `at` as a little-endian number."""
    value = np.uint64(0)
    for k in range(n_bytes):
        value |= np.uint64(data[at + k]) << np.uint64(8 * k)
    return value
