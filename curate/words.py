"""Where the words of a batch are, found once and shared by every count, shingle and n-gram.

    text      Fever 39°C — don’t
    bits      11111.1111.111.1111111     a byte of an ASCII word, or beyond ASCII: whatever can be part of a word
    runs      Fever|39°C|—|don’t         from edge to edge of the bits; no word goes beyond its run
    words     Fever|39|C|don|t           a run of ASCII is a word; any other is read character by character

Finding the runs looks at 64 bytes at once; a run of ASCII costs one load per eight bytes. So English takes the short
road nearly everywhere, and a text of another script pays for its characters alone.

Legend: n documents, w words, b bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.characters import ALONE, CONNECTOR, LETTER, MARK, NUMBER, WORD
from curate.lanes import (
    HIGH_BITS,
    LOW_BITS,
    bits_for,
    chained,
    eight_bytes,
    equal,
    gathered,
    in_ascii_word,
    inlined,
    inside,
    load,
    lower,
    lowest,
    mix,
    ones,
    step,
)
from curate.utf8 import code_point

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]

HASH_SEED = np.uint64(0xCBF29CE484222325)
_EDGES = 2048  # edges of runs that are gathered before their words are read


@dataclass(frozen=True, slots=True)
class Words:
    first: Int64s  # (n + 1,) the words of document i are first[i] : first[i + 1]
    start: Int64s  # (w,) byte offsets into the batch's buffer
    end: Int64s  # (w,)
    hash: UInt64s  # (w,) of the folded word; stored in run folders
    spelled: UInt64s  # (w,) the word as written: its bytes where they are at most eight, else a hash of them
    characters: npt.NDArray[np.int32]  # (w,) code points
    kinds: npt.NDArray[np.uint8]  # (w,) LETTER, MARK, NUMBER, CONNECTOR: which of them occur in it


@njit(cache=True, nogil=True)
def find_words(data, offsets, classes, folded):  # type: ignore[no-untyped-def]
    """The fields of `Words`, in order.

    `hash` is of the UTF-8 bytes of the folded word, eight at a time; `spelled` tells words apart as they stand.
    """
    n = len(offsets) - 1
    origin = offsets[0]
    ascii_bits, beyond_bits, n_beyond = _word_bytes(data, origin, offsets[n])
    first = np.empty(n + 1, np.int64)
    room = _words_at_most(ascii_bits, n_beyond) + n  # arrays of the right size are faster to write than large ones
    start, end, characters = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.int32)
    hashes, spelled, kinds = np.empty(room, np.uint64), np.empty(room, np.uint64), np.empty(room, np.uint8)
    edges = np.empty(_EDGES + 64, np.int64)
    w = _read_documents(
        data, offsets, ascii_bits, beyond_bits, edges, classes, folded,
        first, start, end, hashes, spelled, characters, kinds,
    )  # fmt: skip
    return first, start[:w], end[:w], hashes[:w], spelled[:w], characters[:w], kinds[:w]


@step
def _read_documents(  # type: ignore[no-untyped-def]
    data, offsets, ascii_bits, beyond_bits, edges, classes, folded,
    first, start, end, hashes, spelled, characters, kinds,
):  # fmt: skip
    """Writes the words of all documents: how many."""
    n, origin, w = len(offsets) - 1, offsets[0], 0
    for i in range(n):
        first[i] = w
        begin, stop = offsets[i] - origin, offsets[i + 1] - origin
        held, open_run = 0, np.uint64(0)  # open_run: the last byte of the block before belongs to a run
        for block in range(begin >> 6, (stop + 63) >> 6):
            bits = (ascii_bits[block] | beyond_bits[block]) & inside(block, begin, stop)
            changes = bits ^ (bits << np.uint64(1) | open_run)
            open_run = bits >> np.uint64(63)
            while changes:
                edges[np.uint64(held)] = origin + (block << 6) + lowest(changes)
                changes &= changes - np.uint64(1)
                held += 1
            if held >= _EDGES:
                w = _read_runs(data, edges, held, w, start, end, hashes, spelled, characters, kinds, classes, folded)
                edges[0] = edges[held - 1]
                held &= 1  # the beginning of a run whose end is to come
        if held & 1:
            edges[held] = origin + stop
        w = _read_runs(data, edges, held + 1, w, start, end, hashes, spelled, characters, kinds, classes, folded)
    first[n] = w
    return w


@njit(cache=True, nogil=True)
def _word_bytes(data, begin, stop):  # type: ignore[no-untyped-def]
    """A bit per byte, is it of an ASCII word; the same, is it beyond ASCII; how many characters are beyond ASCII."""
    of_ascii, beyond = bits_for(stop - begin), bits_for(stop - begin)
    n_beyond = np.int64(0)
    whole = (stop - begin) // 8
    for k in range(whole):
        eight = load(data, begin + 8 * k)
        of_ascii[k], beyond[k] = gathered(in_ascii_word(eight)), gathered(eight & HIGH_BITS)
        n_beyond += ones(eight & (eight << np.uint64(1)) & HIGH_BITS)  # 11xxxxxx leads a character
    if begin + 8 * whole < stop:
        eight = eight_bytes(data, begin + 8 * whole, stop)
        of_ascii[whole], beyond[whole] = gathered(in_ascii_word(eight)), gathered(eight & HIGH_BITS)
        n_beyond += ones(eight & (eight << np.uint64(1)) & HIGH_BITS)
    return of_ascii.view(np.uint64), beyond.view(np.uint64), n_beyond


@step
def _words_at_most(ascii_bits, n_beyond):  # type: ignore[no-untyped-def]
    """Where ASCII words begin, and every character beyond ASCII as if it were a word."""
    count, open_word = np.int64(n_beyond), np.uint64(0)
    for bits in ascii_bits:
        count += ones(bits & ~(bits << np.uint64(1) | open_word))
        open_word = bits >> np.uint64(63)
    return count


@step
def _read_runs(data, edges, held, w, start, end, hashes, spelled, characters, kinds, classes, folded):  # type: ignore[no-untyped-def]
    """Writes the words of the whole runs among the edges from place w on: the next free place."""
    for k in range(0, held - 1, 2):
        at, until = edges[np.uint64(k)], edges[np.uint64(k + 1)]
        eight = eight_bytes(data, at, until)
        beyond, digest, written, kind = eight & HIGH_BITS, HASH_SEED ^ lower(eight), eight, _kinds(eight)
        for more in range(at + 8, until, 8):
            eight = eight_bytes(data, more, until)
            beyond |= eight & HIGH_BITS
            digest, written, kind = mix(digest) ^ lower(eight), chained(written, eight), kind | _kinds(eight)
        if beyond:
            w = _read_mixed(data, at, until, w, start, end, hashes, spelled, characters, kinds, classes, folded)
        else:
            to = np.uint64(w)  # unsigned, as in `load`
            start[to], end[to], hashes[to] = at, until, mix(digest)
            spelled[to], characters[to], kinds[to] = written, until - at, kind
            w += 1
    return w


@inlined
def _kinds(eight):  # type: ignore[no-untyped-def]
    """Which kinds of characters occur among bytes of an ASCII word, NULs aside; 0x30 to 0x39 are digits."""
    from_40 = eight & np.uint64(0x40 * LOW_BITS)  # letters and the underscore
    digits = eight & np.uint64(0x10 * LOW_BITS) & ~(from_40 >> np.uint64(2))
    underscores = equal(eight, 0x5F)
    letters = from_40 & ~(underscores >> np.uint64(1))
    return (letters != 0) * LETTER | (digits != 0) * NUMBER | (underscores != 0) * CONNECTOR


@inlined
def _read_mixed(data, at, until, w, start, end, hashes, spelled, characters, kinds, classes, folded):  # type: ignore[no-untyped-def]
    """Writes the words of a run that goes beyond ASCII, if it holds any."""
    while at < until:
        behind, digest, count, kind = _any_word(data, at, until, classes, folded)
        if behind == at:  # a character that is no part of a word
            at += code_point(data, at)[1]
            continue
        written = eight_bytes(data, at, behind)
        for more in range(at + 8, behind, 8):
            written = chained(written, eight_bytes(data, more, behind))
        start[w], end[w], hashes[w] = at, behind, digest
        spelled[w], characters[w], kinds[w] = written, count, kind
        w += 1
        at = behind
    return w


@inlined
def _any_word(data, at, stop, classes, folded):  # type: ignore[no-untyped-def]
    """(end, hash, characters, kinds) of the word that begins here; (at, ...) where none does."""
    state, eight, filled = HASH_SEED, np.uint64(0), 0
    begin, characters, kinds = at, 0, 0
    alone = False  # a single character of an unspaced script, which only marks may join
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
        characters += 1
        kinds |= bits & WORD
    return at, mix(state ^ eight) if filled else state, characters, kinds


@inlined
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
