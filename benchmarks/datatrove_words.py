"""Words for datatrove's steps, which ask a `WordTokenizer` for them.

Its own for English is spaCy's, which its extra does not bring: where spaCy is not installed, the step gets its words
in one of two ways, both cheaper than spaCy's and so in datatrove's favour.
"""

from __future__ import annotations

import re
from itertools import pairwise

from datatrove.utils.word_tokenizers import WordTokenizer, load_word_tokenizer

from curate.text import TextBatch

SENTENCE_END = re.compile(r"[.!?][.!?)\]\"'’”]*\s+(?=[^a-z\s])")  # of English; dots before a small letter end nothing


class _Words(WordTokenizer):
    """Sentences, for the one step that counts them (C4's), end where a mark is followed by no small letter."""

    def sent_tokenize(self, text: str) -> list[str]:
        return [text[a:b] for a, b in self.span_tokenize(text)]

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        ends = [found.end() for found in SENTENCE_END.finditer(text)]
        return list(pairwise([0, *ends, len(text)]))


class Expression(_Words):
    r"""A regular expression: runs of `\w`, which on English text are our words."""

    def word_tokenize(self, text: str) -> list[str]:
        return re.findall(r"\w+", text)


class Given(_Words):
    """Our words of known texts, as lists made beforehand: finding them costs datatrove one look-up."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__("given")
        self._found = dict(zip(texts, words_of(TextBatch.of(texts)), strict=True))

    def word_tokenize(self, text: str) -> list[str]:
        return self._found[text]


def words_of(batch: TextBatch) -> list[list[str]]:
    """The words the kernel found, spelled out, by document."""
    raw, found = batch.data.tobytes(), batch.words
    spelled = [raw[a:b].decode() for a, b in zip(found.start.tolist(), found.end.tolist(), strict=True)]
    first = found.first.tolist()
    return [spelled[a:b] for a, b in pairwise(first)]


def own_splitter() -> WordTokenizer | None:
    """datatrove's own for English, where it runs."""
    try:
        splitter = load_word_tokenizer("eng")
        splitter.word_tokenize("It runs.")
    except Exception:  # spaCy missing, or its parts: each raises its own kind
        return None
    return splitter
