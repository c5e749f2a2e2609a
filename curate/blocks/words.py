"""Our words and sentences for datatrove's steps, which ask a `WordTokenizer` for theirs.

datatrove's own for English is spaCy's, which neither it nor we install; these need nothing, know every script and are a
hundred times as fast. Words are those of curate/text.py; sentences end as curate/measures/_c4_lines.py says, so that
datatrove's C4QualityFilter counts what our measure c4_sentences counts.
"""

from __future__ import annotations

import re
from functools import cache

from datatrove.utils.word_tokenizers import WordTokenizer

from curate.text import TextBatch
from curate.traits import CLOSER, LOWER, TERMINAL, traits


class Words(WordTokenizer):
    """Of any language."""

    def word_tokenize(self, text: str) -> list[str]:
        """
        >>> Words().word_tokenize("Fever of 39.5°C. 発熱")
        ['Fever', 'of', '39', '5', 'C', '発', '熱']
        """
        batch = TextBatch.of([text])
        raw, words = text.encode(), batch.words
        return [raw[a:b].decode() for a, b in zip(words.start.tolist(), words.end.tolist(), strict=True)]

    def sent_tokenize(self, text: str) -> list[str]:
        """
        >>> Words().sent_tokenize("It rises, i. e. it is high. Really?! Yes.")
        ['It rises, i. e. it is high.', 'Really?!', 'Yes.']
        """
        return [sentence for a, b in self.span_tokenize(text) if (sentence := text[a:b].strip())]

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        """Where each sentence stands; together they are the whole text."""
        ends = [end.end() for end in _ends().finditer(text) if _closes(text, end)]
        return list(zip([0, *ends], [*ends, len(text)], strict=True))


@cache
def _ends() -> re.Pattern[str]:
    """A run of terminal marks, with the brackets and quotes that close behind them."""
    of = traits()
    terminal = "".join(chr(code) for code in range(len(of)) if of[code] & TERMINAL)
    closing = terminal + "".join(chr(code) for code in range(len(of)) if of[code] & CLOSER)
    return re.compile(f"([{re.escape(terminal)}][{re.escape(closing)}]*)(\\s*)")


def _closes(text: str, end: re.Match[str]) -> bool:
    """Behind dots alone a lower-case letter goes on; without a space behind, only marks beyond ASCII close."""
    if end.end() == len(text):
        return False  # nothing comes behind
    marks, space = end.groups()
    if not space:
        return any(mark >= "\x80" and traits()[ord(mark)] & TERMINAL for mark in marks)
    only_dots = not any(traits()[ord(mark)] & TERMINAL for mark in marks if mark != ".")
    return not (only_dots and traits()[ord(text[end.end()])] & LOWER)
