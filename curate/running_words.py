"""Letters of running words: what tells prose from lists, tables, formulae and citations.

    text     Take EGFR (a gene) of all the cells, 12 mg
    pieces   Take|EGFR|(a|gene)|of|all|the|cells,|12|mg
    words    1    -    1  2     1  2   3   4      -  1       in a row, nothing but space between

A piece is what stands between two spaces. A word may hold apostrophes and hyphens; digits, symbols and marks within
make it something else, and so do capitals throughout (EGFR, TNF). Marks at its ends part it from its neighbours. In
scripts without spaces every letter is in a run.

Six questions are put to each byte of a text, eight bytes at once (curate/lanes.py); a piece of ASCII is then told by
its bits alone. Pieces that go beyond ASCII, or are as long as no word, are read character by character.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.characters import ALONE, LETTER, MARK, PUNCTUATION, SPACE
from curate.lanes import (
    ALL_BITS,
    HIGH_BITS,
    between,
    bits_for,
    eight_bytes,
    equal,
    gathered,
    inlined,
    load,
    lowest,
    ones,
    step,
)
from curate.utf8 import code_point

RUN = 3  # words in a row
LONGEST = 56  # bytes of a piece whose bits are surely in one load, wherever it begins


Bits = npt.NDArray[np.uint8]  # one per byte of a text


class Asked(NamedTuple):
    spaces: Bits
    letters: Bits
    capitals: Bits
    marks: Bits  # punctuation
    joiners: Bits  # marks that may stand within a word
    beyond: Bits  # beyond ASCII


@njit(cache=True, nogil=True)
def count_letters(data, begins, ends, classes):  # type: ignore[no-untyped-def]
    """Of each text data[begins[i]:ends[i]]: (letters, those in running words, characters that are no space).

    Combining marks count as letters.
    """
    n, longest = len(begins), 0
    for i in range(n):
        longest = max(longest, ends[i] - begins[i])
    asked = Asked(
        bits_for(longest),
        bits_for(longest),
        bits_for(longest),
        bits_for(longest),
        bits_for(longest),
        bits_for(longest),
    )
    letters, running, size = np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)
    for i in range(n):
        _ask(data, begins[i], ends[i], asked)
        letters[i], running[i], size[i] = _count(data, begins[i], ends[i], asked, classes)
    return letters, running, size


@step
def _ask(data, begin, end, asked):  # type: ignore[no-untyped-def]
    whole = (end - begin) // 8
    for k in range(whole):
        _answer(load(data, begin + 8 * k), asked, k)
    if begin + 8 * whole < end:
        _answer(eight_bytes(data, begin + 8 * whole, end), asked, whole)


@inlined
def _answer(eight, asked, k):  # type: ignore[no-untyped-def]
    capitals, joiners = between(eight, 0x41, 0x5A), equal(eight, 0x27) | equal(eight, 0x2D)
    asked.spaces[k] = gathered(between(eight, 0x09, 0x0D) | between(eight, 0x1C, 0x20))
    asked.letters[k] = gathered(capitals | between(eight, 0x61, 0x7A))
    asked.capitals[k] = gathered(capitals)
    asked.joiners[k] = gathered(joiners)
    asked.beyond[k] = gathered(eight & HIGH_BITS)
    asked.marks[k] = gathered(  # Unicode's punctuation: not $ + < = > ^ ` | ~, which are symbols
        joiners
        | between(eight, 0x21, 0x23)
        | between(eight, 0x25, 0x2A)
        | between(eight, 0x2C, 0x2F)
        | between(eight, 0x3A, 0x3B)
        | between(eight, 0x3F, 0x40)
        | between(eight, 0x5B, 0x5D)
        | equal(eight, 0x5F)
        | equal(eight, 0x7B)
        | equal(eight, 0x7D)
    )


@inlined
def _from(bits, place):  # type: ignore[no-untyped-def]
    """The bits from a place on; at least 57 of them, zeros behind."""
    return load(bits, place >> 3) >> np.uint64(place & 7)


@step
def _count(data, begin, end, asked, classes):  # type: ignore[no-untyped-def]
    """(letters, those in running words, characters that are no space) of one text."""
    letters, running, size, run_words, run_letters = 0, 0, 0, 0, 0
    at = begin
    while at < end:
        place = at - begin
        spaces = _from(asked.spaces, place)
        if spaces & np.uint64(1):
            at += lowest(~spaces | np.uint64(1 << 63))
            continue
        width = min(lowest(spaces | np.uint64(1 << 63)), end - at)
        within = ALL_BITS >> np.uint64(64 - width)
        if width <= LONGEST and _from(asked.beyond, place) & within == 0:
            taken, alone = width, 0
            of_letters, is_word, opens, closes = _ascii_piece(asked, place, within)
        else:
            width, taken, of_letters, alone, is_word, opens, closes = _piece(data, at, end, classes)
        at += width
        if taken == 0:  # it was space
            continue
        letters += of_letters
        size += taken
        if 2 * alone > of_letters:
            running += of_letters
            continue
        if opens or not is_word:
            running += run_letters if run_words >= RUN else 0
            run_words, run_letters = 0, 0
        if is_word:
            run_words, run_letters = run_words + 1, run_letters + of_letters
        if closes:
            running += run_letters if run_words >= RUN else 0
            run_words, run_letters = 0, 0
    running += run_letters if run_words >= RUN else 0
    return letters, running, size


@inlined
def _ascii_piece(asked, place, within):  # type: ignore[no-untyped-def]
    """(letters, whether it is one word, whether marks stand before it, whether they stand behind it)."""
    letters = _from(asked.letters, place) & within
    count = ones(letters)
    if letters == within:
        return count, count == 1 or ones(_from(asked.capitals, place) & within) < count, False, False
    if letters == 0:
        return 0, False, False, False
    marks = _from(asked.marks, place) & within
    before = (letters & (~letters + np.uint64(1))) - np.uint64(1)
    closing = marks & ~before & ~_from(asked.joiners, place)
    until = (closing & (~closing + np.uint64(1))) - np.uint64(1)  # all before the first closing mark
    is_word = letters | marks == within and letters & ~until == 0
    is_word &= count == 1 or ones(_from(asked.capitals, place) & within) < count
    return count, is_word, marks & before != 0, closing != 0


@step
def _piece(data, at, end, classes):  # type: ignore[no-untyped-def]
    """What stands from here to the next space: (bytes, characters, letters, those of unspaced scripts, whether it is
    one word, whether marks stand before it, whether they stand behind it). No characters: a space.
    """
    begin, taken, letters, alone, capitals = at, 0, 0, 0, 0
    is_word, opens, closes = True, False, False
    while at < end:
        code, width = code_point(data, at)
        bits = classes[code]
        if bits & SPACE:
            at += 0 if taken else width
            break
        taken += 1
        at += width
        if bits & (LETTER | MARK):
            letters += 1
            alone += bits & ALONE != 0
            capitals += ord("A") <= code <= ord("Z")
            is_word &= not closes
        elif not bits & PUNCTUATION:
            is_word = False
        elif letters == 0:
            opens = True
        elif code != ord("'") and code != 0x2019 and code != ord("-"):
            closes = True
    is_word &= letters > 0 and (letters == 1 or capitals < letters)
    return at - begin, taken, letters, alone, is_word, opens, closes
