"""Gopher's rules with Gopher's numbers: Rae et al. 2021 (arXiv 2112.11446), appendix A.1 and table A1.

The bounds are the paper's and datatrove's, and both ends of a bound are allowed: exactly 50 words stay, and so does
exactly 0.2 of the characters in duplicate lines. Quality comes before repetition, so that a two-word document leaves as
too_few_words.

They were made for English web text. Two rules know it: stop words are judged in English documents only, and the mean
length of words not in languages written without spaces, where each character counts as a word. The other bounds apply
to all languages; where they misfire a recipe sets its own (`curate.quality.rules`).
"""

from __future__ import annotations

from curate.rules import Rule

_QUALITY = "Gopher (Rae et al. 2021), appendix A.1"
_REPETITION = "Gopher (Rae et al. 2021), table A1"

_UNSPACED = ("ja", "km", "lo", "my", "th", "wuu", "yue", "zh")  # lid.176's languages without spaces between words

RULES = (
    Rule("words", 50, 100_000, "too_few_words", "too_many_words", _QUALITY),
    Rule("mean_word_length", 3, 10, "words_too_short", "words_too_long", _QUALITY, except_languages=_UNSPACED),
    Rule("hash_word_ratio", None, 0.1, None, "too_many_hashes", _QUALITY),
    Rule("ellipsis_word_ratio", None, 0.1, None, "too_many_ellipses", _QUALITY),
    Rule("bullet_line_share", None, 0.9, None, "too_many_bullet_lines", _QUALITY),
    Rule("ellipsis_line_share", None, 0.3, None, "too_many_lines_end_in_ellipsis", _QUALITY),
    Rule("alphabetic_word_share", 0.8, None, "too_few_words_with_letters", None, _QUALITY),
    Rule("stop_words", 2, None, "too_few_stop_words", None, _QUALITY, only_languages=("en",)),
    Rule("duplicate_paragraph_share", None, 0.3, None, "too_many_duplicate_paragraphs", _REPETITION),
    Rule("duplicate_paragraph_character_share", None, 0.2, None, "too_much_in_duplicate_paragraphs", _REPETITION),
    Rule("duplicate_line_share", None, 0.3, None, "too_many_duplicate_lines", _REPETITION),
    Rule("duplicate_line_character_share", None, 0.2, None, "too_much_in_duplicate_lines", _REPETITION),
    *(
        Rule(f"top_{n}_gram_character_share", None, share, None, f"too_much_in_top_{n}_gram", _REPETITION)
        for n, share in ((2, 0.20), (3, 0.18), (4, 0.16))
    ),
    *(
        Rule(f"duplicate_{n}_gram_character_share", None, share, None, f"too_much_in_duplicate_{n}_grams", _REPETITION)
        for n, share in ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))
    ),
)
