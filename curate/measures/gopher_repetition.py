"""Gopher's repetition measures: how much of a document is lines, paragraphs and word n-grams that it has said before.

    text      "a b c d e. a b c d e."                 21 characters
    measures  duplicate_5_gram_character_share  5/21: the second "a b c d e", letters only
              top_2_gram_character_share        6/21: "a b" stands twice, 3 characters each

Source: Rae et al. 2021 (Gopher, arXiv 2112.11446), appendix A.1 and table A1, in datatrove's variant: the first copy of
a line, paragraph or n-gram does not count; a duplicate n-gram is skipped whole, so that no character counts twice; of
equally frequent top n-grams the first is taken; words are compared as written; shares are of all characters (code
points) of the text. Lines are split at runs of newlines, paragraphs at runs of two or more. Three slips of datatrove
are mended:

- a top n-gram has to occur twice (a sentence that repeats nothing scores 0, not 0.3);
- n-grams are equal when their words are ("ab c" and "a bc" are not), where datatrove joins without a separator;
- the nothing before a leading and after a trailing newline is no line.
"""

from __future__ import annotations

import numpy as np

from curate.characters import classes
from curate.measured import Column, Measure
from curate.measures._repeated_n_grams import repeated_n_grams
from curate.measures._repeated_pieces import repeated_pieces
from curate.text import TextBatch

TOP = (2, 3, 4)  # sizes of n-gram whose most frequent one is measured
DUPLICATE = (5, 6, 7, 8, 9, 10)  # sizes whose duplicates are measured together

_SOURCE = "Gopher (Rae et al. 2021), appendix A.1 and table A1, as in datatrove"


def _of_pieces(piece: str, split: str) -> tuple[Measure, Measure]:
    return (
        Measure(f"duplicate_{piece}_share", f"share of {piece}s", f"{piece}s ({split}) that stood earlier", _SOURCE),
        Measure(f"duplicate_{piece}_character_share", "share of characters", f"characters in those {piece}s", _SOURCE),
    )


class GopherRepetition:
    measures = (
        *_of_pieces("paragraph", "split at two or more newlines"),
        *_of_pieces("line", "split at newlines"),
        *(
            Measure(
                f"top_{n}_gram_character_share",
                "share of characters",
                f"characters, with a space between words, in the most frequent {n}-gram of words if it repeats",
                _SOURCE + " (requires a repetition)",
            )
            for n in TOP
        ),
        *(
            Measure(
                f"duplicate_{n}_gram_character_share",
                "share of characters",
                f"characters of words in {n}-grams of words that stood earlier, none counted twice",
                _SOURCE + " (compared word by word)",
            )
            for n in DUPLICATE
        ),
    )

    def __call__(self, batch: TextBatch) -> dict[str, Column]:
        characters = np.maximum(batch.n_chars, 1)
        measured: dict[str, Column] = {}
        pieces, repeated, repeated_characters = repeated_pieces(batch.data, batch.offsets, classes())
        for kind, piece in ((1, "paragraph"), (0, "line")):
            measured[f"duplicate_{piece}_share"] = repeated[kind] / np.maximum(pieces[kind], 1)
            measured[f"duplicate_{piece}_character_share"] = repeated_characters[kind] / characters
        words = batch.words
        top, duplicate = repeated_n_grams(words.first, words.spelled, words.characters)
        for column, n in enumerate(TOP):
            measured[f"top_{n}_gram_character_share"] = top[:, column] / characters
        for column, n in enumerate(DUPLICATE):
            measured[f"duplicate_{n}_gram_character_share"] = duplicate[:, column] / characters
        return measured
