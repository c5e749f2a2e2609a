"""Gopher's quality measures: is this running prose, or a menu, a list, a table of numbers?

    text      "# Menu\\n- Home...\\n- With you"       words  Menu Home With you
    measures  words 4, mean_word_length 3.75, hash_word_ratio 1/4, ellipsis_word_ratio 1/4, bullet_line_share 2/3,
              ellipsis_line_share 1/3, alphabetic_word_share 1, stop_words 0

Source: Rae et al. 2021 (Gopher, arXiv 2112.11446), appendix A.1. The paper leaves details open and every tool fills
them differently; this is datatrove's variant: '#' and ellipses judged one by one, bullets are '-' and '•', lines as
`str.splitlines` sees them, stop words distinct and as written (not case-folded). Given the same words the values equal
datatrove's, with two exceptions that are meant: a document without words or lines measures 0 where datatrove divides by
zero, and of single characters '１' (U+FF11, a slip in datatrove's list of punctuation) is a word and connectors such as
'‿' are none.

Two passes in Numba, one over the words and one over the bytes; whatever is ASCII is never decoded.

Legend: n documents, w words, b bytes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.characters import CONNECTOR, LETTER, SPACE, WORD, classes
from curate.lanes import (
    HIGH_BITS,
    between,
    bits_for,
    eight_bytes,
    equal,
    gathered,
    inlined,
    inside,
    load,
    lowest,
    ones,
    step,
)
from curate.measured import Column, Measure
from curate.text import TextBatch
from curate.utf8 import code_point

STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")

_SOURCE = "Gopher (Rae et al. 2021), appendix A.1, as in datatrove"
_SPREAD = 0x9E3779B97F4A7C15  # multiplicative hashing: the top bits of the product are the slot
_PLAIN = WORD & ~CONNECTOR  # a word of underscores alone is no word of the language


class GopherQuality:
    measures = (
        Measure("words", "words", "words with at least one letter, mark or digit", _SOURCE),
        Measure("mean_word_length", "characters", "mean number of characters of those words", _SOURCE),
        Measure("hash_word_ratio", "per word", "'#' characters per word", _SOURCE),
        Measure("ellipsis_word_ratio", "per word", "ellipses ('...' or '…') per word", _SOURCE),
        Measure("bullet_line_share", "share of lines", "lines that begin with '-' or '•'", _SOURCE),
        Measure("ellipsis_line_share", "share of lines", "lines that end in '...' or '…'", _SOURCE),
        Measure("alphabetic_word_share", "share of words", "words that hold at least one letter", _SOURCE),
        Measure(
            "stop_words",
            "words",
            f"how many of {', '.join(STOP_WORDS)} occur, each counted once, in lower case only (English)",
            _SOURCE + " (distinct, case-sensitive)",
        ),
    )

    def __call__(self, batch: TextBatch) -> dict[str, Column]:
        words = batch.words
        plain, characters, alphabetic, stop = count_words(
            words.first, words.spelled, words.characters, words.kinds, stop_word_table()
        )
        hashes, ellipses, lines, bullets, trailing = count_lines(batch.data, batch.offsets, classes())
        per_word = np.maximum(np.diff(words.first), 1)
        per_line = np.maximum(lines, 1)
        return {
            "words": plain,
            "mean_word_length": characters / np.maximum(plain, 1),
            "hash_word_ratio": hashes / per_word,
            "ellipsis_word_ratio": ellipses / per_word,
            "bullet_line_share": bullets / per_line,
            "ellipsis_line_share": trailing / per_line,
            "alphabetic_word_share": alphabetic / per_word,
            "stop_words": stop,
        }


def stop_word_table() -> npt.NDArray[np.uint64]:  # (64,)
    """Stop words as `eight_bytes` reads them, each in a slot of its own; ones all over where a slot is empty."""
    table = np.full(64, 2**64 - 1, np.uint64)
    for word in STOP_WORDS:
        key = int.from_bytes(word.encode(), "little")
        slot = (key * _SPREAD % 2**64) >> 58
        assert table[slot] == 2**64 - 1, "choose another _SPREAD: two stop words share a slot"
        table[slot] = key
    return table


@njit(cache=True, nogil=True)
def count_words(first, spelled, lengths, kinds, stop_words):  # type: ignore[no-untyped-def]
    """Per document: plain words, their characters, words with a letter, distinct stop words; (4, n) int64."""
    n = len(first) - 1
    counts = np.zeros((4, n), np.int64)
    for i in range(n):
        plain, characters, alphabetic = 0, 0, 0
        seen = np.uint64(0)  # bit: the stop word in that slot occurred
        for w in range(first[i], first[i + 1]):
            is_plain = kinds[w] & _PLAIN != 0
            plain += is_plain
            characters += is_plain * lengths[w]
            alphabetic += kinds[w] & LETTER
            slot = (spelled[w] * np.uint64(_SPREAD)) >> np.uint64(58)
            seen |= np.uint64(spelled[w] == stop_words[slot]) << slot
        counts[0, i], counts[1, i], counts[2, i], counts[3, i] = plain, characters, alphabetic, ones(seen)
    return counts


@njit(cache=True, nogil=True)
def count_lines(data, offsets, classes):  # type: ignore[no-untyped-def]
    """Per document: '#', ellipses, lines, lines led by a bullet, lines that end in an ellipsis; (5, n) int64."""
    n = len(offsets) - 1
    counts = np.zeros((5, n), np.int64)
    marks, dots = bits_for(offsets[n] - offsets[0]), bits_for(offsets[n] - offsets[0])
    _mark(data, offsets[0], offsets[n], marks, dots)
    for i in range(n):
        if offsets[i] < offsets[i + 1]:
            found = _count_marks(
                data, offsets[0], offsets[i], offsets[i + 1], marks.view(np.uint64), dots.view(np.uint64), classes
            )
            counts[0, i], counts[1, i], counts[2, i], counts[3, i], counts[4, i] = found
    return counts


@step
def _mark(data, begin, stop, marks, dots):  # type: ignore[no-untyped-def]
    """A bit per byte: may it be '#', a line break of str.splitlines or the end of '…'; and another: is it a dot?"""
    whole = (stop - begin) // 8
    for k in range(whole):
        eight = load(data, begin + 8 * k)
        marks[k], dots[k] = gathered(_may_mark(eight)), gathered(equal(eight, 0x2E))
    if begin + 8 * whole < stop:
        eight = eight_bytes(data, begin + 8 * whole, stop)
        marks[whole], dots[whole] = gathered(_may_mark(eight)), gathered(equal(eight, 0x2E))


@inlined
def _may_mark(eight):  # type: ignore[no-untyped-def]
    """Flags of '#', of ASCII's line breaks, and of the last bytes of U+0085, U+2026, U+2028 and U+2029."""
    tail = eight ^ HIGH_BITS
    tails = equal(tail, 0x05) | equal(tail, 0x26) | between(tail, 0x28, 0x29)
    return equal(eight, 0x23) | between(eight, 0x0A, 0x0D) | between(eight, 0x1C, 0x1E) | tails


@step
def _count_marks(data, origin, begin, stop, marks, dots, classes):  # type: ignore[no-untyped-def]
    """The counts of one document, which is not empty."""
    hashes, ellipses, lines, bullets, trailing = 0, 0, 0, 0, 0
    line, behind_dots = begin, begin  # where the line began; where the last three dots ended
    for block in range((begin - origin) >> 6, (stop - origin + 63) >> 6):
        one, next_one = dots[block], dots[block + 1]
        two = one & (one >> np.uint64(1) | next_one << np.uint64(63))
        three = two & (one >> np.uint64(2) | next_one << np.uint64(62))  # a bit where three dots begin
        here = (marks[block] | three) & inside(block, begin - origin, stop - origin)
        while here:
            at = origin + (block << 6) + lowest(here)
            here &= here - np.uint64(1)
            byte = data[np.uint64(at)]
            width = 0  # of the line break that ends here
            if byte == 0x2E:
                if at >= behind_dots and at + 3 <= stop:  # as str.count sees them: a run of k dots holds k // 3
                    ellipses += 1
                    behind_dots = at + 3
            elif byte == 0x23:
                hashes += 1
            elif byte == 0x0A and at > begin and data[at - 1] == 0x0D:
                line = at + 1  # the line ended before CR LF
            elif byte < 0x80:
                width = 1
            elif byte == 0x85:
                width = 2 if at - 1 >= begin and data[at - 1] == 0xC2 else 0
            elif at - 2 >= begin and data[at - 1] == 0x80 and data[at - 2] == 0xE2:
                ellipses += byte == 0xA6
                width = 0 if byte == 0xA6 else 3
            if width:
                lines += 1
                bullets += _begins_with_bullet(data, line, at + 1 - width, classes)
                trailing += _ends_in_ellipsis(data, line, at + 1 - width, classes)
                line = at + 1
    if line < stop:
        lines += 1
        bullets += _begins_with_bullet(data, line, stop, classes)
        trailing += _ends_in_ellipsis(data, line, stop, classes)
    return hashes, ellipses, lines, bullets, trailing


@step
def _begins_with_bullet(data, at, end, classes):  # type: ignore[no-untyped-def]
    """Whether '-' or '•' (U+2022) is the first character that is no space."""
    while at < end:
        code, width = code_point(data, at)
        if not classes[code] & SPACE:
            return code == 0x2D or code == 0x2022
        at += width
    return False


@step
def _ends_in_ellipsis(data, at, end, classes):  # type: ignore[no-untyped-def]
    """Whether the line, spaces at its end aside, ends in '...' or '…'."""
    while at < end:
        last = end - 1
        while data[last] & 0xC0 == 0x80:
            last -= 1
        code, _ = code_point(data, last)
        if not classes[code] & SPACE:
            dots = code == 0x2E and last - 2 >= at and data[last - 1] == 0x2E and data[last - 2] == 0x2E
            return dots or code == 0x2026
        end = last
    return False
