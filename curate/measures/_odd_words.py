"""Words that no one wrote: torn into single letters, or left without a vowel, as scanners and bad decoders do.

    "T h e patient was strngthns"     T h e is too short a run; strngthns is one word

Nearly no line of good text holds one, so a line is first asked, in vector instructions, whether any such thing could be
in it; only then are its words looked at.

Legend: n documents, l lines, w words, b bytes.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from curate.lanes import step
from curate.lines import BLOCK

SPACED_OUT = 4  # single letters in a row that are one word torn apart
NO_VOWEL = 6  # lower-case ASCII letters that should hold one of a e i o u y

WINDOW = 6  # bytes looked at beside the first
_CONSONANT, _SPACE, _BY_TURNS = 1, 2, 8


@njit(cache=True, nogil=True)
def judge_odd(data, first, start, end, first_word, word_start, word_end):  # type: ignore[no-untyped-def]
    """Per document: odd words, (n,) int64. Per line: whether three spaces stand in a row."""
    n = len(first) - 1
    odd, gaps = np.zeros(n, np.int64), np.zeros(len(start), np.bool_)
    _judge(data, first, start, end, first_word, word_start, word_end, odd, gaps, np.empty(BLOCK + 2 * WINDOW, np.uint8))
    return odd, gaps


@step
def _judge(data, first, start, end, first_word, word_start, word_end, odd, gaps, kinds):  # type: ignore[no-untyped-def]
    for i in range(len(odd)):
        for k in range(first[i], first[i + 1]):
            spaces, letters, consonants = suspicions(data[start[k] : end[k]], kinds)
            gaps[k] = spaces
            a, b = first_word[k], first_word[k + 1]
            if letters:
                odd[i] += _torn_apart(data, word_start[a:b], word_end[a:b])
            if consonants:
                odd[i] += _without_vowel(data, word_start[a:b], word_end[a:b])


@step
def suspicions(line, kinds):  # type: ignore[no-untyped-def]
    """(three spaces in a row; single letters and spaces by turns; six consonants in a row): the first for sure, the
    others perhaps. `kinds` is room for a block and the window behind it, twice."""
    found = 0
    for block in range(0, len(line), BLOCK):
        seen = min(BLOCK + WINDOW, len(line) - block)
        _kinds(line[block : block + seen], kinds)
        found |= _windows(kinds[: min(BLOCK, len(line) - block) + WINDOW])
    return found & _SPACE != 0, found & _BY_TURNS != 0, found & _CONSONANT != 0


@step
def _windows(kinds):  # type: ignore[no-untyped-def]
    found = np.uint8(0)  # no wider, or a vector holds fewer of them
    for k in range(len(kinds) - WINDOW):
        a, b, c, d, e, f = kinds[k], kinds[k + 1], kinds[k + 2], kinds[k + 3], kinds[k + 4], kinds[k + 5]
        one = b & d & f & _SPACE  # "a b c "
        two = a & d & kinds[k + 6] & (b & e) >> 1 & _SPACE  # " б о ", two bytes each
        abc = a & b & c
        found = np.uint8(found | (abc & _SPACE) | (abc & d & e & f & _CONSONANT) | (one | two) << 2)
    return found


@step
def _kinds(line, kinds):  # type: ignore[no-untyped-def]
    for k in range(len(line)):
        byte = line[k]
        vowel = (byte == 0x61) | (byte == 0x65) | (byte == 0x69) | (byte == 0x6F) | (byte == 0x75) | (byte == 0x79)
        kinds[k] = ((byte >= 0x61) & (byte <= 0x7A) & (not vowel)) | (byte == 0x20) << 1 | (byte >= 0xC0) << 2
    kinds[len(line) : len(line) + WINDOW] = 0


@step
def _torn_apart(data, start, end):  # type: ignore[no-untyped-def]
    """Single letters with single spaces between them, in runs of at least four."""
    odd, run = 0, 0
    for w in range(len(start)):
        at, width = start[w], end[w] - start[w]
        single = (width == 1 and data[at] > 0x39 and data[at] != 0x5F) or (width == 2 and data[at] >= 0xC0)
        if not single:
            run = 0
            continue
        joined = run and at - end[w - 1] == 1 and data[at - 1] == 0x20
        run = run + 1 if joined else 1
        odd += SPACED_OUT if run == SPACED_OUT else run > SPACED_OUT
    return odd


@step
def _without_vowel(data, start, end):  # type: ignore[no-untyped-def]
    """Words of at least six lower-case ASCII letters, all of them consonants."""
    odd = 0
    for w in range(len(start)):
        if end[w] - start[w] < NO_VOWEL:
            continue
        consonants = True
        for byte in data[start[w] : end[w]]:
            consonants &= 0x61 <= byte <= 0x7A and byte not in (0x61, 0x65, 0x69, 0x6F, 0x75, 0x79)
        odd += consonants
    return odd
