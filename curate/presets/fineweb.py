"""FineWeb's own rules with FineWeb's numbers: Penedo et al. 2024 (arXiv 2406.17557), section 3.6, as in datatrove.

Both ends of a bound are allowed: exactly 0.12 of the lines ending well is enough. FineWeb judges by these after
Gopher's and some of C4's rules; a recipe says so with `preset: [gopher, c4, fineweb]`.

The numbers come from English web text. Two rules know where they mean nothing: the share of lines that end in a mark of
sentence end in languages that write none, and the share of short lines where 30 characters hold a sentence (Chinese,
Japanese, Thai and their like). For other languages FineWeb-2 moves the bounds; a recipe sets them by
`curate.quality.languages`.
"""

from __future__ import annotations

from curate.rules import Rule

_FINEWEB = "FineWeb (Penedo et al. 2024), section 3.6"

_NO_SENTENCE_MARKS = ("bo", "lo", "th")  # lid.176's languages whose sentences end in no mark
_DENSE = ("ja", "km", "ko", "lo", "my", "th", "wuu", "yue", "zh")  # a sentence in thirty characters

RULES = (
    Rule(
        "fineweb_terminal_line_share",
        0.12,
        None,
        "too_few_lines_end_a_sentence",
        None,
        _FINEWEB,
        except_languages=_NO_SENTENCE_MARKS,
    ),
    Rule("fineweb_short_line_share", None, 0.67, None, "too_many_short_lines", _FINEWEB, except_languages=_DENSE),
    Rule("fineweb_copied_line_character_share", None, 0.01, None, "too_much_in_copied_lines", _FINEWEB),
    Rule("fineweb_newlines_per_word", None, 0.3, None, "too_many_newlines", _FINEWEB),
)
