"""C4's rules with C4's numbers: Raffel et al. 2020 (JMLR 21/140), section 2.2, in datatrove's variant.

A document stays with at least five sentences in the lines that its line rules keep, without `lorem ipsum` and without
a curly bracket in otherwise good lines. Exactly five sentences stay.

Scripts that end sentences with a space instead of a mark (Thai, Lao, Tibetan) have no sentences to count, so the rule
is not judged there. MC4 is the multilingual successor's only rule of this kind, `preset: curate.presets.c4:MC4`: three
lines of at least 200 characters.
"""

from __future__ import annotations

from curate.rules import Rule

_C4 = "C4 (Raffel et al. 2020), section 2.2"

NO_SENTENCE_MARKS = ("bo", "lo", "th")  # lid.176's languages whose sentences end in no mark

RULES = (
    Rule("c4_lorem_ipsum_lines", None, 0, None, "lorem_ipsum", _C4),
    Rule("c4_curly_bracket_lines", None, 0, None, "curly_bracket", _C4),
    Rule("c4_sentences", 5, None, "too_few_sentences", None, _C4, except_languages=NO_SENTENCE_MARKS),
)

MC4 = (Rule("c4_long_paragraphs", 3, None, "too_few_long_paragraphs", None, "mC4 (Xue et al. 2021), section 3.1"),)
