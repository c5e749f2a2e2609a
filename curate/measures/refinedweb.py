"""RefinedWeb's line-wise measures: how much of a document is captions, counters and headings in capitals.

    text      "SHARE THIS PAGE\\n1.2K likes\\n2019\\nFever has many causes, and some are harmless."
    measures  refinedweb_upper_case_line_share 1/4, refinedweb_counter_line_share 1/4,
              refinedweb_numeric_line_share 1/4, refinedweb_one_word_line_share 1/4,
              refinedweb_removed_word_share 7/15

Source: Penedo et al. 2023 (RefinedWeb, arXiv 2306.01116), appendix G.2: lines mainly of upper-case characters, lines of
digits only, counters, lines of one word; a document leaves if its bad lines hold more than 5 % of its words. The paper
gives no code; the definitions are DCLM's (Li et al. 2024): upper-case characters are more than half of all characters
of a line, and a counter is a number, with K, M or B perhaps, and one of twelve English nouns. Meant to be otherwise:

- words are this package's: a line of Chinese is not one word, nor is "follow-up";
- white space at the ends of a line is no part of it.

DCLM's three phrases of shops ("items in cart", "Read more...", "Sign-in") and its removal of URLs are left out.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.lanes import is_among, step
from curate.measured import Column, Measure
from curate.text import TextBatch
from curate.traits import DECIMAL, SPACE, traits
from curate.utf8 import code_point

COUNTED = (
    "likes shares comments retweets reposts quotes bookmarks upvotes downvotes downloads views followers".split()
)  # fmt: skip

UPPER_CASE, NUMERIC, COUNTER, ONE_WORD = 1, 2, 4, 8  # what speaks against a line

_SOURCE = "RefinedWeb (Penedo et al. 2023), appendix G.2, with DCLM's numbers"
_LINES = (
    ("upper_case", UPPER_CASE, "with more upper-case characters than others"),
    ("numeric", NUMERIC, "of digits only"),
    ("counter", COUNTER, "that count likes, shares, views ..., in English"),
    ("one_word", ONE_WORD, "of fewer than two words"),
)


class Refinedweb:
    measures = (
        *(
            Measure(f"refinedweb_{name}_line_share", "share of lines", f"lines {meaning}", _SOURCE)
            for name, _, meaning in _LINES
        ),
        Measure("refinedweb_removed_word_share", "share of words", "words in any of those lines", _SOURCE),
    )

    def __call__(self, batch: TextBatch) -> dict[str, Column]:
        counted = tally(batch.lines.first, batch.lines.first_word, against_lines(batch))  # (n, 4 + 2) int64
        n_lines = np.maximum(np.diff(batch.lines.first), 1)
        words = np.diff(batch.words.first)
        return {
            **{f"refinedweb_{name}_line_share": counted[:, k] / n_lines for k, (name, _, _) in enumerate(_LINES)},
            "refinedweb_removed_word_share": counted[:, 4] / np.maximum(words, 1),
        }


def against_lines(batch: TextBatch) -> npt.NDArray[np.uint8]:
    """Per line, what speaks against it (bits)."""
    lines, words = batch.lines, batch.words
    against: npt.NDArray[np.uint8] = judge_lines(
        batch.data, lines.characters, lines.upper, lines.digits, lines.first_word, words.start, words.hash,
        counted_nouns(), traits(),
    )  # fmt: skip
    return against


@cache
def counted_nouns() -> npt.NDArray[np.uint64]:
    """(12,) hashes of the nouns, as `TextBatch.words` has them."""
    return np.sort(TextBatch.of([" ".join(COUNTED)]).words.hash)


@njit(cache=True, nogil=True)
def judge_lines(  # type: ignore[no-untyped-def]
    data, characters, upper, digits, first_word, word_start, word_hash, nouns, traits
):
    against = np.zeros(len(digits), np.uint8)
    for k in range(len(digits)):
        w, w_end = first_word[k], first_word[k + 1]
        against[k] = (
            (UPPER_CASE if 2 * upper[k] > characters[k] else 0)
            | (NUMERIC if digits[k] == characters[k] else 0)
            | (ONE_WORD if w_end - w < 2 else 0)
        )
        if digits[k] and w_end - w >= 2 and is_among(word_hash[w_end - 1], nouns):
            last = word_start[w_end - 1]
            if _is_number(data, word_start[w], last, traits):
                against[k] |= COUNTER
    return against


@step
def _is_number(data, at, stop, traits):  # type: ignore[no-untyped-def]
    r"""Whether data[at:stop] is a counter's number and the white space behind it: \d[,.\d]*[kmb]?\s+ in any case."""
    digits = 0
    while at < stop:
        code, width = code_point(data, at)
        if not (traits[code] & DECIMAL or (digits and (code == 0x2C or code == 0x2E))):
            break
        digits += 1
        at += width
    if at < stop and (data[at] | 0x20 == 0x6B or data[at] | 0x20 == 0x6D or data[at] | 0x20 == 0x62):
        at += 1
    spaces = 0
    while at < stop:
        code, width = code_point(data, at)
        if not traits[code] & SPACE:
            return False
        spaces += 1
        at += width
    return digits > 0 and spaces > 0


@njit(cache=True, nogil=True)
def tally(first, first_word, against):  # type: ignore[no-untyped-def]
    """Per document: lines by each bit, and words in lines with any."""
    n = len(first) - 1
    counted = np.zeros((n, 5), np.int64)
    for i in range(n):
        for k in range(first[i], first[i + 1]):
            bits = against[k]
            if bits:
                for place in range(4):
                    counted[i, place] += bits >> place & 1
                counted[i, 4] += first_word[k + 1] - first_word[k]
    return counted
