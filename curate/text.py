"""A batch of texts as the kernels see it: one UTF-8 buffer, document offsets, and the words in it.

    documents   | Fever of 39.5°C.        | 発熱 |
    words         Fever of 39 5 C           発 熱

A word is a maximal run of characters of the Unicode categories L, M, N and Pc (`\\w+` and combining marks); characters
of scripts written without spaces are words by themselves, so that Chinese, Japanese or Thai text does not collapse into
one word. Every count, shingle and n-gram of this package rests on these words. They are found once per batch, by one
pass of a Numba kernel, and shared.

Legend: n documents, w words, b bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from curate.characters import ALONE, MARK, WORD, classes, folded

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]

HASH_SEED = np.uint64(0xCBF29CE484222325)

# One byte value eight times over: kernels look at eight bytes at once
LOW_BITS = np.uint64(0x0101010101010101)
HIGH_BITS = np.uint64(0x80 * LOW_BITS)  # set where a byte is not ASCII
SEVEN_BITS = np.uint64(0x7F * LOW_BITS)
CASE_BITS = np.uint64(0x20 * LOW_BITS)  # what tells a from A
FROM_A, ABOVE_Z = np.uint64((0x80 - ord("a")) * LOW_BITS), np.uint64((0x7F - ord("z")) * LOW_BITS)
FROM_0, ABOVE_9 = np.uint64((0x80 - ord("0")) * LOW_BITS), np.uint64((0x7F - ord("9")) * LOW_BITS)
UNDERSCORES = np.uint64(ord("_") * LOW_BITS)


@dataclass(frozen=True, slots=True)
class Words:
    first: Int64s  # (n + 1,) the words of document i are first[i] : first[i + 1]
    start: Int64s  # (w,) byte offsets into the batch's buffer
    end: Int64s  # (w,)
    hash: UInt64s  # (w,) of the folded word


class TextBatch:
    """Documents of one batch, at most some megabytes of text (the words take 24 bytes each while they are in use)."""

    def __init__(self, array: pa.Array | pa.ChunkedArray) -> None:
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        self.array: pa.LargeStringArray = array.cast(pa.large_string())
        if self.array.null_count:
            raise ValueError("a text batch holds no nulls")

    @classmethod
    def of(cls, texts: list[str]) -> TextBatch:
        return cls(pa.array(texts, pa.large_string()))

    def __len__(self) -> int:
        return len(self.array)

    @cached_property
    def offsets(self) -> Int64s:  # (n + 1,) into data
        _, offsets, _ = self.array.buffers()
        if offsets is None:
            return np.zeros(1, np.int64)
        return np.frombuffer(offsets, np.int64)[self.array.offset : self.array.offset + len(self.array) + 1]

    @cached_property
    def data(self) -> npt.NDArray[np.uint8]:  # (b,) UTF-8, valid by Arrow's contract
        _, _, data = self.array.buffers()
        return np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)

    @cached_property
    def n_bytes(self) -> Int64s:  # (n,)
        return np.diff(self.offsets)

    @cached_property
    def n_chars(self) -> Int64s:  # (n,) code points
        return count_characters(self.data, self.offsets)

    @cached_property
    def words(self) -> Words:
        return Words(*find_words(self.data, self.offsets, classes(), folded()))


@njit(cache=True, nogil=True, inline="always")
def code_point(data, at):  # type: ignore[no-untyped-def]
    """(code point, bytes it takes) at a byte offset of valid UTF-8."""
    first = data[at]
    if first < 0x80:
        return np.uint32(first), 1
    if first < 0xE0:
        return np.uint32((first & 0x1F) << 6 | (data[at + 1] & 0x3F)), 2
    if first < 0xF0:
        return np.uint32((first & 0x0F) << 12 | (data[at + 1] & 0x3F) << 6 | (data[at + 2] & 0x3F)), 3
    code = (first & 0x07) << 18 | (data[at + 1] & 0x3F) << 12 | (data[at + 2] & 0x3F) << 6 | (data[at + 3] & 0x3F)
    return np.uint32(code), 4


@njit(cache=True, nogil=True, inline="always")
def eight_bytes(data, at, end):  # type: ignore[no-untyped-def]
    """Up to eight bytes of data[at:end], which is not empty, as a little-endian number.

    No word holds a NUL, so two words of at most eight bytes are equal exactly when these are.
    """
    if at + 8 <= len(data):
        return _load(data, at) & _first_bytes(min(end - at, 8))
    value = np.uint64(0)
    for k in range(min(end - at, 8)):
        value |= np.uint64(data[at + k]) << np.uint64(8 * k)
    return value


@njit(cache=True, nogil=True, inline="always")
def _load(data, at):  # type: ignore[no-untyped-def]
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


@njit(cache=True, nogil=True, inline="always")
def _first_bytes(count):  # type: ignore[no-untyped-def]
    """A mask of the first 1 to 8 bytes."""
    return np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - 8 * count)


@njit(cache=True, nogil=True, inline="always")
def continuations(eight):  # type: ignore[no-untyped-def]
    """How many of eight bytes continue a character (10xxxxxx in UTF-8)."""
    ones = (eight >> np.uint64(7)) & ~(eight >> np.uint64(6)) & LOW_BITS
    return np.int64((ones * LOW_BITS) >> np.uint64(56))  # the product's top byte is the sum of all bytes


@njit(cache=True, nogil=True)
def characters_between(data, at, end):  # type: ignore[no-untyped-def]
    """Code points in a byte range that begins and ends between characters."""
    count = 0
    for i in range(at, end):
        count += data[i] & 0xC0 != 0x80  # every byte but UTF-8's continuation bytes begins a character
    return count


@njit(cache=True, nogil=True)
def count_characters(data, offsets):  # type: ignore[no-untyped-def]
    """Code points of each document: (n,) int64."""
    counts = np.empty(len(offsets) - 1, np.int64)
    for i in range(len(counts)):
        counts[i] = characters_between(data, offsets[i], offsets[i + 1])
    return counts


@njit(cache=True, nogil=True, inline="always")
def mix(value):  # type: ignore[no-untyped-def]
    """Murmur3's 64-bit finaliser: every input bit reaches every output bit."""
    value = np.uint64(value)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xFF51AFD7ED558CCD)
    value ^= value >> np.uint64(33)
    value *= np.uint64(0xC4CEB9FE1A85EC53)
    value ^= value >> np.uint64(33)
    return value


@njit(cache=True, nogil=True)
def find_words(data, offsets, classes, folded):  # type: ignore[no-untyped-def]
    """(first, start, end, hash) of all words.

    The hash is of the UTF-8 bytes of the folded word, eight at a time. A word of ASCII letters, digits and underscores
    is read eight bytes at once; whatever else is decoded character by character.
    """
    n = len(offsets) - 1
    first = np.empty(n + 1, np.int64)
    room = _words_at_most(data[offsets[0] : offsets[n]]) + n
    start, end, hashes = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.uint64)
    between = np.zeros(256, np.bool_)  # ASCII that is no part of a word
    for byte in range(0x80):
        between[byte] = not classes[byte] & WORD
    w = 0
    for i in range(n):
        first[i] = w
        at, stop = offsets[i], offsets[i + 1]
        while True:
            while at < stop and between[data[at]]:
                at += 1
            if at == stop:
                break
            until, digest, whole = _ascii_word(data, at, stop)
            if not whole:
                until, digest = _any_word(data, at, stop, classes, folded)
                if until == at:  # a character beyond ASCII that is no part of a word
                    at += code_point(data, at)[1]
                    continue
            start[w], end[w], hashes[w] = at, until, digest
            w += 1
            at = until
    first[n] = w
    return first, start[:w], end[:w], hashes[:w]


@njit(cache=True, nogil=True)
def _words_at_most(data):  # type: ignore[no-untyped-def]
    """An upper bound: where ASCII words begin, and every character beyond ASCII as if it were a word.

    Counting costs next to nothing beside finding, and arrays of the right size are faster to write than large ones.
    """
    count, open_word = np.int64(0), np.uint64(0)  # open_word: the byte before belonged to an ASCII word
    whole = len(data) // 8 * 8
    for at in range(0, whole, 8):
        eight = _load(data, at)
        inside = _outside(eight)[0] ^ HIGH_BITS
        begins = inside & ~(inside << np.uint64(8) | open_word << np.uint64(7))
        leads = eight & (eight << np.uint64(1)) & HIGH_BITS  # 11xxxxxx
        count += np.int64((((begins | leads) >> np.uint64(7)) * LOW_BITS) >> np.uint64(56))
        open_word = inside >> np.uint64(63)
    return count + len(data) - whole


@njit(cache=True, nogil=True, inline="always")
def _ascii_word(data, at, stop):  # type: ignore[no-untyped-def]
    """(end, hash, True) of a word that is ASCII throughout; False last of any other, and near the buffer's end."""
    state, whole = HASH_SEED, False
    while at + 8 <= len(data):
        outside, folded = _outside(_load(data, at))
        inside = _bytes_below(outside)  # how many of the eight still belong to the word
        if inside == 8 and stop - at > 8:
            state = mix(state ^ folded)
            at += 8
            continue
        if inside >= stop - at:
            inside, whole = stop - at, True
        else:
            whole = data[at + inside] < 0x80
        if inside > 0:
            state = mix(state ^ (folded & _first_bytes(inside)))
        at += inside
        break
    return at, state, whole  # one way out: several cost a third of the speed once inlined


@njit(cache=True, nogil=True, inline="always")
def _outside(eight):  # type: ignore[no-untyped-def]
    """(the top bit of each byte that is no ASCII letter, digit or underscore, the bytes in lower case).

    Sums over seven-bit bytes cannot carry into the next: byte + (0x80 - low) has the top bit set from `low` on, and
    byte + (0x7F - high) above `high`.
    """
    seven = eight & SEVEN_BITS
    lower = seven | CASE_BITS
    letters = (lower + FROM_A) & ~(lower + ABOVE_Z)
    digits = (seven + FROM_0) & ~(seven + ABOVE_9)
    underscores = ~((seven ^ UNDERSCORES) + SEVEN_BITS)
    inside = (letters | digits | underscores) & HIGH_BITS & ~eight
    upper = letters & HIGH_BITS & ~(eight << np.uint64(2)) & ~eight  # the bit of case, moved to the top, is not set
    return inside ^ HIGH_BITS, eight | (upper >> np.uint64(2))


@njit(cache=True, nogil=True, inline="always")
def _bytes_below(flags):  # type: ignore[no-untyped-def]
    """How many bytes lie below the first whose top bit is set."""
    if flags == 0:
        return 8
    lowest = flags & (~flags + np.uint64(1))
    ones = ((lowest >> np.uint64(7)) - np.uint64(1)) & LOW_BITS
    return np.int64((ones * LOW_BITS) >> np.uint64(56))


@njit(cache=True, nogil=True)
def _any_word(data, at, stop, classes, folded):  # type: ignore[no-untyped-def]
    """(end, hash) of the word that begins here; (at, ...) where none does."""
    state, eight, filled = HASH_SEED, np.uint64(0), 0
    begin, alone = at, False  # alone: a single character of an unspaced script, which only marks may join
    while at < stop:
        code, width = code_point(data, at)
        bits = classes[code]
        if not bits & WORD or (at > begin and not bits & MARK and (alone or bits & ALONE)):
            break
        alone |= at == begin and bits & ALONE != 0
        utf8, taken = _encoded(np.uint64(folded[code]))
        eight |= utf8 << np.uint64(8 * filled)
        filled += taken
        if filled >= 8:
            state = mix(state ^ eight)
            filled -= 8
            eight = utf8 >> np.uint64(8 * (taken - filled)) if filled else np.uint64(0)
        at += width
    return at, mix(state ^ eight) if filled else state


@njit(cache=True, nogil=True, inline="always")
def _encoded(code):  # type: ignore[no-untyped-def]
    """(UTF-8 of a code point as a little-endian number, its bytes)."""
    tail, six = np.uint64(0x80), np.uint64(0x3F)
    a, b, c = code & six, (code >> np.uint64(6)) & six, (code >> np.uint64(12)) & six
    if code < np.uint64(0x80):
        return code, 1
    if code < np.uint64(0x800):
        return np.uint64(0xC0) | code >> np.uint64(6) | (tail | a) << np.uint64(8), 2
    if code < np.uint64(0x10000):
        lead = np.uint64(0xE0) | code >> np.uint64(12)
        return lead | (tail | b) << np.uint64(8) | (tail | a) << np.uint64(16), 3
    lead = np.uint64(0xF0) | code >> np.uint64(18)
    return lead | (tail | c) << np.uint64(8) | (tail | b) << np.uint64(16) | (tail | a) << np.uint64(24), 4
