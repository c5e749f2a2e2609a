"""FineWeb's measures: is this a page of sentences, or a list, a menu, a page that says its lines twice?

    text      "Fever\\nFever is a rise of temperature.\\nFever\\n"
    measures  fineweb_terminal_line_share 1/3, fineweb_short_line_share 2/3,
              fineweb_copied_line_character_share 5/41, fineweb_newlines_per_word 3/8

Source: Penedo et al. 2024 (FineWeb, arXiv 2406.17557), section 3.6, in datatrove's variant. Lines are those with text
in them; a line ends well if its last character is one of Unicode's marks that end a sentence, in any script. Meant to
be otherwise than in datatrove:

- white space at the ends of a line is no part of it: "It ends. " ends in a full stop, and indented copies are copies;
- a document without words is divided by one word, where datatrove divides by zero;
- a document without lines has nothing that ends badly: its share of lines that end well is 1 (datatrove removes it as
  `empty`; here reading has quarantined it).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from curate.measured import Column, Measure
from curate.measures._copied_lines import copied_characters
from curate.text import TextBatch
from curate.traits import TERMINAL, traits
from curate.utf8 import code_point

SHORT = 30  # characters

_SOURCE = "FineWeb (Penedo et al. 2024), section 3.6, as in datatrove, lines without white space at their ends"


class Fineweb:
    measures = (
        Measure("fineweb_terminal_line_share", "share of lines", "lines that end in a mark of sentence end", _SOURCE),
        Measure("fineweb_short_line_share", "share of lines", f"lines of at most {SHORT} characters", _SOURCE),
        Measure(
            "fineweb_copied_line_character_share",
            "share of characters",
            "characters of lines that stood earlier, of those of all lines",
            _SOURCE,
        ),
        Measure("fineweb_newlines_per_word", "per word", "newlines, blank lines' too, per word", _SOURCE),
    )

    def __call__(self, batch: TextBatch) -> dict[str, Column]:
        lines, words = batch.lines, np.diff(batch.words.first)
        n_lines, characters, terminated, short = count_lines(
            batch.data, lines.first, lines.end, lines.characters, traits()
        )
        copied = copied_characters(batch.data, lines.first, lines.start, lines.end, lines.characters)
        per_line = np.maximum(n_lines, 1)
        return {
            "fineweb_terminal_line_share": np.where(n_lines == 0, 1.0, terminated / per_line),
            "fineweb_short_line_share": short / per_line,
            "fineweb_copied_line_character_share": copied / np.maximum(characters, 1),
            "fineweb_newlines_per_word": lines.newlines / np.maximum(words, 1),
        }


@njit(cache=True, nogil=True)
def count_lines(data, first, end, characters, traits):  # type: ignore[no-untyped-def]
    """Per document: lines, their characters, lines that end in a terminal mark, short lines. Each (n,) int64."""
    n = len(first) - 1
    counts = np.zeros((4, n), np.int64)
    for i in range(n):
        for k in range(first[i], first[i + 1]):
            last = end[k] - 1
            while data[last] & 0xC0 == 0x80:
                last -= 1
            counts[0, i] += 1
            counts[1, i] += characters[k]
            counts[2, i] += traits[code_point(data, last)[0]] & TERMINAL != 0
            counts[3, i] += characters[k] <= SHORT
    return counts[0], counts[1], counts[2], counts[3]
