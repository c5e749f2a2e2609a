"""Measures of domain text: statutes, papers, clinical notes, and what scanning and PDFs do to them.

    text      "1. Give 5 mg/kg [12].\\n2. Water (H2O) is com-\\nmon; cf. 410 U.S. 113 (1973)."
    measures  digit_character_share 16/72, quantity_word_share 10/18, citation_share 22/72, formula_share 3/72,
              list_line_share 2/3, hyphenated_line_share 1/3

Ours; no paper stands behind them, and they carry no bounds of their own: what is usual differs from domain to domain,
so presets set bounds that rest on an audit of real text. They count what is there, in any script:

- digits, upper case and letters as Python's `str` methods have them; a quantity is a word that holds a digit, or a unit
  of measurement behind one;
- citations are numbers in square brackets, round brackets that end in a year,
  section signs with their number, and reporters of courts (410 U.S. 113);
- signs of formulas are operators, super- and subscripts, letters of mathematical alphabets, Greek letters alone among
  others, and words such as H2O;
- odd words are four or more single letters in a row, words cut by | ^ ¬ ¦ or a replacement character, a digit 0, 1 or 5
  inside a word of letters, and six or more ASCII letters without a vowel (Czech has a few such words);
- what depends on lower-case letters (broken lines, hyphens) is 0 in scripts without case.
"""

from __future__ import annotations

import numpy as np

from curate.measured import Column, Measure
from curate.measures._domain_lines import HEADERS, LONGEST_HEADER, judge_lines
from curate.measures._domain_marks import judge_marks
from curate.measures._domain_numbers import element_table, judge_numbers, unit_table
from curate.measures._odd_words import judge_odd
from curate.text import TextBatch
from curate.traits import traits

_SOURCE = "postgrad"


class DomainText:
    measures = (
        Measure("digit_character_share", "share of characters", "digits of any script", _SOURCE),
        Measure("upper_case_letter_share", "share of letters", "upper-case letters", _SOURCE),
        Measure("quantity_word_share", "share of words", "words that hold a digit, and units behind a number", _SOURCE),
        Measure(
            "citation_share",
            "share of characters",
            "characters in [12], (Smith et al., 2010), § 12a, 410 U.S. 113",
            _SOURCE,
        ),
        Measure(
            "formula_share",
            "share of characters",
            "operators, super- and subscripts, lone Greek letters, chemical formulas",
            _SOURCE,
        ),
        Measure("list_line_share", "share of lines", "lines that begin with a bullet or an item's number", _SOURCE),
        Measure("table_line_share", "share of lines", "lines with a tab, two pipes or three spaces in a row", _SOURCE),
        Measure(
            "odd_word_share", "share of words", "words that a scanner or a bad decoder seems to have made", _SOURCE
        ),
        Measure("replacement_character_share", "share of characters", "U+FFFD, where bytes were lost", _SOURCE),
        Measure(
            "hyphenated_line_share",
            "share of lines",
            "lines that end in a letter and a hyphen, the next going on in lower case",
            _SOURCE,
        ),
        Measure(
            "broken_line_share",
            "share of lines",
            "lines that end without a mark of their end, the next going on in lower case",
            _SOURCE,
        ),
        Measure(
            "page_header_line_share",
            "share of lines",
            f"lines of at most {LONGEST_HEADER} bytes that, digits aside, occur {HEADERS} times or more",
            _SOURCE,
        ),
    )

    def __call__(self, batch: TextBatch) -> dict[str, Column]:
        lines, words, data = batch.lines, batch.words, batch.data
        numbers = judge_numbers(
            data, lines.first, lines.start, lines.end, lines.digits, lines.first_word, words.start, words.end,
            unit_table(), element_table(), traits(),
        )  # fmt: skip
        odd, gaps = judge_odd(data, lines.first, lines.start, lines.end, lines.first_word, words.start, words.end)
        of_marks, pipes = judge_marks(data, lines.first, lines.start, lines.end, lines.first_mark, lines.mark, traits())
        of_lines = judge_lines(
            data, lines.first, lines.start, lines.end, lines.breaks, lines.letters, pipes, gaps, traits()
        )
        total = {
            name: _by_document(getattr(lines, name), lines.first)
            for name in ("characters", "letters", "upper", "digits")
        }
        characters = np.maximum(total["characters"], 1)
        n_words, n_lines = np.maximum(np.diff(words.first), 1), np.maximum(np.diff(lines.first), 1)
        return {
            "digit_character_share": total["digits"] / characters,
            "upper_case_letter_share": total["upper"] / np.maximum(total["letters"], 1),
            "quantity_word_share": numbers[:, 0] / n_words,
            # a reporter inside round brackets is told twice
            "citation_share": np.minimum((of_marks[:, 0] + numbers[:, 3]) / characters, 1),
            "formula_share": (of_marks[:, 1] + numbers[:, 2]) / characters,
            "list_line_share": of_lines[:, 0] / n_lines,
            "table_line_share": of_lines[:, 1] / n_lines,
            "odd_word_share": np.minimum((odd + numbers[:, 1] + of_marks[:, 3]) / n_words, 1),
            "replacement_character_share": of_marks[:, 2] / characters,
            "hyphenated_line_share": of_lines[:, 2] / n_lines,
            "broken_line_share": of_lines[:, 3] / n_lines,
            "page_header_line_share": of_lines[:, 4] / n_lines,
        }


def _by_document(column: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Sums of a column of lines: (n,) int64."""
    return np.diff(np.concatenate([[0], np.cumsum(column, dtype=np.int64)])[first])
