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
from curate.measured import Column, Measure
from curate.text import HIGH_BITS, TextBatch, characters_between, code_point, eight_bytes

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
            batch.data, words.first, words.start, words.end, classes(), stop_word_table()
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
def count_words(data, first, start, end, classes, stop_words):  # type: ignore[no-untyped-def]
    """Per document: plain words, their characters, words with a letter, distinct stop words. Each (n,) int64."""
    n = len(first) - 1
    counts = np.zeros((4, n), np.int64)
    for i in range(n):
        plain, characters, alphabetic = 0, 0, 0
        seen = np.uint64(0)  # bit: the stop word in that slot occurred
        for w in range(first[i], first[i + 1]):
            at, stop = start[w], end[w]
            head = eight_bytes(data, at, stop)
            if head & HIGH_BITS or stop - at > 8 or not classes[data[at]] & LETTER:
                length, bits = _spell(data, at, stop, classes)
                alphabetic += bits & LETTER != 0
                plain += bits & _PLAIN != 0
                characters += length if bits & _PLAIN else 0
            else:  # ASCII, short, led by a letter: nearly every word of English
                slot = (head * np.uint64(_SPREAD)) >> np.uint64(58)
                seen |= np.uint64(head == stop_words[slot]) << slot
                alphabetic += 1
                plain += 1
                characters += stop - at
        counts[0, i], counts[1, i], counts[2, i] = plain, characters, alphabetic
        while seen:
            counts[3, i] += 1
            seen &= seen - np.uint64(1)  # clears the lowest bit
    return counts[0], counts[1], counts[2], counts[3]


@njit(cache=True, nogil=True)
def _spell(data, at, end, classes):  # type: ignore[no-untyped-def]
    """(characters, class bits that occur) of any word; of a long one led by an ASCII letter, only that bit."""
    if data[at] < 0x80 and classes[data[at]] & LETTER:
        return characters_between(data, at, end), LETTER
    characters, bits = 0, 0
    while at < end:
        code, width = code_point(data, at)
        bits |= classes[code]
        characters += 1
        at += width
    return characters, bits


@njit(cache=True, nogil=True)
def count_lines(data, offsets, classes):  # type: ignore[no-untyped-def]
    """Per document: '#', ellipses, lines, lines led by a bullet, lines that end in an ellipsis. Each (n,) int64."""
    n = len(offsets) - 1
    hashes, ellipses, lines, bullets, trailing = (
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
    )
    of_interest = _bytes_of_interest()
    for i in range(n):
        at, stop = offsets[i], offsets[i + 1]
        line = at  # where the current line began
        while at < stop:
            byte = data[at]
            if not of_interest[byte]:
                at += 1
                continue
            width, breaks = 1, False
            if byte == 0x23:  # '#'
                hashes[i] += 1
            elif byte == 0x2E:  # '.': a run of k dots holds k // 3 ellipses, as str.count sees them
                width = _run(data, at, stop)
                ellipses[i] += width // 3
            elif byte == 0x0D:  # CR, or CR LF as one
                breaks = True
                width = 2 if at + 1 < stop and data[at + 1] == 0x0A else 1
            elif byte < 0x80:
                breaks = True
            else:
                code, width = code_point(data, at)
                ellipses[i] += code == 0x2026
                breaks = code == 0x85 or code == 0x2028 or code == 0x2029
            if breaks:
                lines[i] += 1
                bullets[i] += _begins_with_bullet(data, line, at, classes)
                trailing[i] += _ends_in_ellipsis(data, line, at, classes)
                line = at + width
            at += width
        if line < stop:
            lines[i] += 1
            bullets[i] += _begins_with_bullet(data, line, stop, classes)
            trailing[i] += _ends_in_ellipsis(data, line, stop, classes)
    return hashes, ellipses, lines, bullets, trailing


@njit(cache=True, nogil=True)
def _bytes_of_interest():  # type: ignore[no-untyped-def]
    """True for '#', '.', str.splitlines' breaks, and the lead bytes of U+0085 and of U+2026, U+2028, U+2029."""
    table = np.zeros(256, np.bool_)
    for byte in (0x23, 0x2E, 0x0A, 0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0xC2, 0xE2):
        table[byte] = True
    return table


@njit(cache=True, nogil=True)
def _run(data, at, stop):  # type: ignore[no-untyped-def]
    """Length of the run of one byte value that begins here."""
    end = at + 1
    while end < stop and data[end] == data[at]:
        end += 1
    return end - at


@njit(cache=True, nogil=True)
def _begins_with_bullet(data, at, end, classes):  # type: ignore[no-untyped-def]
    """Whether '-' or '•' (U+2022) is the first character that is no space."""
    while at < end:
        code, width = code_point(data, at)
        if not classes[code] & SPACE:
            return code == 0x2D or code == 0x2022
        at += width
    return False


@njit(cache=True, nogil=True)
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
