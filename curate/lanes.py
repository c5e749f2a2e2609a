"""Text eight bytes at a time: the small steps that every kernel over UTF-8 is made of.

    bytes    F  e  v  e  r  ,  3  9          one load, one number of 64 bits
    flags    80 80 80 80 80 00 80 80         the top bit of each byte answers: part of an ASCII word?
    bits     11011111                        the flags gathered: one bit per byte, the first byte lowest

Sums over seven-bit bytes cannot carry into the next byte, so plain integer arithmetic asks all eight at once, and loops
of such steps without a branch are compiled to the widest vectors of the machine (64 bytes with AVX-512). A first pass
turns a question into bits, a second hops from bit to bit and never looks at the bytes between.

How the functions of a kernel are compiled is settled here too: see `step` and `inlined`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

LOW_BITS = np.uint64(0x0101010101010101)  # one byte value eight times over is a product with this
HIGH_BITS = np.uint64(0x80 * LOW_BITS)  # set where a byte is not ASCII
SEVEN_BITS = np.uint64(0x7F * LOW_BITS)
CASE_BITS = np.uint64(0x20 * LOW_BITS)  # what tells a from A
ALL_BITS = np.uint64(0xFFFFFFFFFFFFFFFF)

# byte + (0x80 - low) has the top bit set from `low` on, byte + (0x7F - high) above `high`
FROM_A, ABOVE_Z = np.uint64((0x80 - ord("a")) * LOW_BITS), np.uint64((0x7F - ord("z")) * LOW_BITS)
FROM_0, ABOVE_9 = np.uint64((0x80 - ord("0")) * LOW_BITS), np.uint64((0x7F - ord("9")) * LOW_BITS)

_DIAGONAL = np.uint64(0x0102040810204080)  # its product brings the lowest bit of byte k to bit 56 + k
_ODD = np.uint64(0x9E3779B97F4A7C15)

# The kernel itself is plain `njit`: it makes the arrays and calls a step for the work. A step counts no references to
# the arrays it is given; counting is an atomic operation for each array and call, and took up to three quarters of the
# time. What is done for every word or line is inlined by Numba: what LLVM inlines of its own accord is another choice
# in a kernel that comes from the cache, and was twice as slow there.
step = njit(cache=True, nogil=True, _nrt=False)
inlined = njit(cache=True, nogil=True, _nrt=False, inline="always")


@intrinsic
def ones(typing: Any, value: Any) -> Any:
    """How many bits of a uint64 are set: one instruction that Python has no operator for."""
    return types.int64(types.uint64), lambda _, builder, __, given: builder.ctpop(given[0])


@intrinsic
def lowest(typing: Any, value: Any) -> Any:
    """Which bit of a uint64 is the lowest that is set; not to be asked of 0."""
    return types.int64(types.uint64), lambda _, builder, __, given: builder.cttz(given[0], _true())


def _true() -> Any:
    from llvmlite import ir

    return ir.Constant(ir.IntType(1), 1)  # to cttz: the answer for 0 is not defined, which saves a test


@inlined
def load(data, at):  # type: ignore[no-untyped-def]
    """The eight bytes from `at`, all inside the buffer. The sum of shifted bytes compiles to one load."""
    i = np.uint64(at)  # unsigned, or each index would first be tested for counting from the end
    return (
        np.uint64(data[i])
        | np.uint64(data[i + np.uint64(1)]) << np.uint64(8)
        | np.uint64(data[i + np.uint64(2)]) << np.uint64(16)
        | np.uint64(data[i + np.uint64(3)]) << np.uint64(24)
        | np.uint64(data[i + np.uint64(4)]) << np.uint64(32)
        | np.uint64(data[i + np.uint64(5)]) << np.uint64(40)
        | np.uint64(data[i + np.uint64(6)]) << np.uint64(48)
        | np.uint64(data[i + np.uint64(7)]) << np.uint64(56)
    )


@inlined
def eight_bytes(data, at, end):  # type: ignore[no-untyped-def]
    """Up to eight bytes of data[at:end], which is not empty, as a little-endian number.

    No word holds a NUL, so two words of at most eight bytes are equal exactly when these are.
    """
    if at + 8 <= len(data):
        return load(data, at) & first_bytes(min(end - at, 8))
    value = np.uint64(0)
    for k in range(min(end - at, 8)):
        value |= np.uint64(data[at + k]) << np.uint64(8 * k)
    return value


@inlined
def first_bytes(count):  # type: ignore[no-untyped-def]
    """A mask of the first 1 to 8 bytes."""
    return ALL_BITS >> np.uint64(64 - 8 * count)


@inlined
def equal(eight, byte):  # type: ignore[no-untyped-def]
    """Flags of the bytes that have this value, below 0x80."""
    differ = eight ^ (np.uint64(byte) * LOW_BITS)
    return ~(((differ & SEVEN_BITS) + SEVEN_BITS) | differ) & HIGH_BITS


@inlined
def between(eight, low, high):  # type: ignore[no-untyped-def]
    """Flags of the bytes from `low` to `high`, both below 0x80."""
    seven = eight & SEVEN_BITS
    from_low, above_high = np.uint64(0x80 - low) * LOW_BITS, np.uint64(0x7F - high) * LOW_BITS
    return (seven + from_low) & ~(seven + above_high) & ~eight & HIGH_BITS


@inlined
def in_ascii_word(eight):  # type: ignore[no-untyped-def]
    """Flags of ASCII letters, digits and underscores."""
    seven = eight & SEVEN_BITS
    case = seven | CASE_BITS
    letters = (case + FROM_A) & ~(case + ABOVE_Z)
    digits = (seven + FROM_0) & ~(seven + ABOVE_9)
    return ((letters | digits) & ~eight & HIGH_BITS) | equal(eight, 0x5F)


@inlined
def lower(eight):  # type: ignore[no-untyped-def]
    """The bytes with ASCII letters in lower case."""
    return eight | between(eight, 0x41, 0x5A) >> np.uint64(2)


@inlined
def gathered(flags):  # type: ignore[no-untyped-def]
    """Eight flags as eight bits, the first byte's lowest."""
    return np.uint8(((flags >> np.uint64(7)) * _DIAGONAL) >> np.uint64(56))


@njit(cache=True, nogil=True)
def bits_for(n_bytes):  # type: ignore[no-untyped-def]
    """Room for a bit per byte, written eight at a time and read 64 at a time; a word of zeros ends it."""
    return np.zeros((n_bytes // 64 + 2) * 8, np.uint8)


@inlined
def inside(block, begin, stop):  # type: ignore[no-untyped-def]
    """Which bits of block number `block` lie in begin:stop, which it touches."""
    at = block << 6
    below = ALL_BITS << np.uint64(max(begin - at, 0))
    return below & (ALL_BITS >> np.uint64(max(at + 64 - stop, 0)))


@inlined
def continuations(eight):  # type: ignore[no-untyped-def]
    """How many of eight bytes continue a character (10xxxxxx in UTF-8)."""
    return ones(eight & ~(eight << np.uint64(1)) & HIGH_BITS)


@step
def characters_between(data, at, end):  # type: ignore[no-untyped-def]
    """Code points in a byte range that begins and ends between characters: all bytes but UTF-8's continuation bytes."""
    count = end - at
    whole = at + (end - at) // 8 * 8
    for k in range(at, whole, 8):
        count -= continuations(load(data, k))
    if whole < end:
        count -= continuations(eight_bytes(data, whole, end))
    return count


@inlined
def mix(value):  # type: ignore[no-untyped-def]
    """Murmur3's 64-bit finaliser: every input bit reaches every output bit."""
    value = np.uint64(value)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    value ^= value >> np.uint64(33)
    return value


@inlined
def chained(state, eight):  # type: ignore[no-untyped-def]
    state = (state ^ eight) * _ODD
    return state ^ (state >> np.uint64(29))  # without it the high bytes would never reach the low bits


@step
def is_among(value, values):  # type: ignore[no-untyped-def]
    """Of a few: a look at each, without a branch."""
    found = False
    for one in values:
        found |= one == value
    return found
