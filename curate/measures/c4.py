"""C4's measures: how much of a document is left when its bad lines are dropped, and what would throw the whole away.

    text      "Home | About\\nThis site uses cookies.\\nA fever is a rise of temperature. It has many causes.[2]"
    measures  c4_sentences 2, c4_unterminated_line_share 1/3, c4_policy_line_share 1/3, c4_dropped_line_share 2/3,
              c4_citation_markers 1

Source: Raffel et al. 2020 (C4, JMLR 21/140), section 2.2, in datatrove's variant: lines are judged without citation
markers ([12], [edit]); a line with `javascript` or a phrase of a policy is dropped like one that ends in no terminal
mark or has fewer than three words or a word of more than 1,000 characters; `lorem ipsum` and '{' count in lines that
would stay until then. The line rules are measured one by one, each for every line that is not blank. Paragraphs of 200
characters are mC4's measure (Xue et al. 2021). Ours and meant to be:

- terminal marks, quotation marks and sentences are those of all scripts (`curate/traits.py`, `_c4_lines.py`), where the
  paper knows ASCII's; words are this package's, so that a line of Chinese is not one word;
- a line is what stands between newlines, without white space at its ends.

The list of bad words is left out: it comes from the network, and blocks words that medicine and law cannot do without.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.measured import Column, Measure
from curate.measures._c4_lines import (
    CURLY_BRACKET,
    DROPPED,
    FEW_WORDS,
    JAVASCRIPT,
    LONG_WORD,
    LOREM_IPSUM,
    POLICY,
    UNTERMINATED,
    judge_lines,
)
from curate.text import TextBatch
from curate.traits import traits

PARAGRAPH = 200  # characters
CITATION = re.compile(r"\[(?:\d*|edit|citation needed)\]")  # what `_c4_lines.py` reads over

_SOURCE = "C4 (Raffel et al. 2020), section 2.2, as in datatrove, with the marks of all scripts"
_LINES = (
    ("unterminated", UNTERMINATED, "that do not end in a terminal or quotation mark, or end in '...'"),
    ("few_word", FEW_WORDS, "of fewer than 3 words"),
    ("long_word", LONG_WORD, "with a word of more than 1,000 characters"),
    ("javascript", JAVASCRIPT, "that say javascript"),
    ("policy", POLICY, "that say terms of use, privacy policy, cookie policy, use(s) (of) cookies"),
    ("dropped", DROPPED, "that any of these line rules drops"),
)


def _of_lines(name: str, meaning: str) -> tuple[Measure, Measure]:
    return (
        Measure(f"c4_{name}_line_share", "share of lines", f"lines {meaning}", _SOURCE),
        Measure(f"c4_{name}_character_share", "share of characters", f"characters in lines {meaning}", _SOURCE),
    )


class C4:
    measures = (
        Measure("c4_sentences", "sentences", "sentences in the lines that no line rule drops", _SOURCE),
        *(measure for name, _, meaning in _LINES for measure in _of_lines(name, meaning)),
        Measure("c4_lorem_ipsum_lines", "lines", "otherwise good lines that say lorem ipsum", _SOURCE),
        Measure("c4_curly_bracket_lines", "lines", "otherwise good lines that hold a '{'", _SOURCE),
        Measure("c4_citation_markers", "markers", "[12], [], [edit] and [citation needed]", _SOURCE),
        Measure(
            "c4_long_paragraphs",
            "lines",
            f"lines of at least {PARAGRAPH} characters",
            "mC4 (Xue et al. 2021), section 3.1, as in datatrove",
        ),
    )

    def __call__(self, batch: TextBatch) -> dict[str, Column]:
        lines = batch.lines
        against, sentences, markers = against_lines(batch)
        counted = tally(lines.first, lines.characters, against, sentences, markers)  # (n, 5 + 2 * 7) int64
        n_lines, characters = np.maximum(counted[:, 0], 1), np.maximum(counted[:, 1], 1)
        measured: dict[str, Column] = {"c4_sentences": counted[:, 2]}
        for place, (name, _, _) in enumerate(_LINES):
            measured[f"c4_{name}_line_share"] = counted[:, 5 + 2 * place] / n_lines
            measured[f"c4_{name}_character_share"] = counted[:, 6 + 2 * place] / characters
        at = 5 + 2 * len(_LINES)
        return measured | {
            "c4_lorem_ipsum_lines": counted[:, at],
            "c4_curly_bracket_lines": counted[:, at + 1],
            "c4_citation_markers": counted[:, 3],
            "c4_long_paragraphs": counted[:, 4],
        }


def against_lines(
    batch: TextBatch,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Per line: what C4 holds against it (bits of `_c4_lines.py`), its sentences, its citation markers."""
    lines, words = batch.lines, batch.words
    against, sentences, markers = judge_lines(
        batch.data, batch.offsets, lines.first, lines.start, lines.end, lines.first_word, words.start, words.end,
        lines.first_mark, lines.mark, traits(),
    )  # fmt: skip
    return against, sentences, markers


@njit(cache=True, nogil=True)
def tally(first, characters, against, sentences, markers):  # type: ignore[no-untyped-def]
    """Per document: lines, characters, sentences, citation markers, long paragraphs; for each line rule its lines and
    their characters; lines of lorem ipsum and with a curly bracket that nothing before them drops."""
    n = len(first) - 1
    counted = np.zeros((n, 19), np.int64)
    rules = (UNTERMINATED, FEW_WORDS, LONG_WORD, JAVASCRIPT, POLICY, DROPPED)  # in the order of _LINES
    for i in range(n):
        for k in range(first[i], first[i + 1]):
            bits = against[k]
            counted[i, 0] += 1
            counted[i, 1] += characters[k]
            counted[i, 2] += sentences[k]
            counted[i, 3] += markers[k]
            counted[i, 4] += characters[k] >= PARAGRAPH
            if bits == 0:
                continue
            for place in range(6):
                if bits & rules[place]:
                    counted[i, 5 + 2 * place] += 1
                    counted[i, 6 + 2 * place] += characters[k]
            reached = not bits & (LONG_WORD | UNTERMINATED | FEW_WORDS)
            counted[i, 17] += reached and bits & LOREM_IPSUM != 0
            counted[i, 18] += reached and bits & (CURLY_BRACKET | JAVASCRIPT) == CURLY_BRACKET
    return counted
