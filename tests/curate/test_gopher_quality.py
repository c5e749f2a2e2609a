"""Gopher's quality measures equal datatrove's filter given the same words, wherever that filter is defined."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import cache
from pathlib import Path

import datatrove.pipeline.filters.gopher_quality_filter as theirs
import numpy as np
import plain
import pytest
from datatrove.data import Document
from datatrove.utils.text import PUNCTUATION_SET
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.measures.gopher_quality import STOP_WORDS, GopherQuality, stop_word_table
from curate.text import TextBatch

# measure -> the filter's argument, and whether that is the least or the most it lets pass
ARGUMENT = {
    "words": ("min_doc_words", "least"),
    "mean_word_length": ("min_avg_word_length", "least"),
    "hash_word_ratio": ("max_symbol_word_ratio", "most"),
    "ellipsis_word_ratio": ("max_symbol_word_ratio", "most"),
    "bullet_line_share": ("max_bullet_lines_ratio", "most"),
    "ellipsis_line_share": ("max_ellipsis_lines_ratio", "most"),
    "alphabetic_word_share": ("max_non_alpha_words_ratio", "least"),  # the name means the opposite
    "stop_words": ("min_stop_words", "least"),
}

TEXTS = [
    "# Menu\n- Home...\n- With you",
    "The patient was to be seen with the result that we have.\n\n  • fever …\r\n\t- cough. . .\n-\n....\n......",
    "a\u2028- b\u2029…\x85- c\x1c•d\x0b-e\x0c\u00a0- f…\u3000",
    "___ __init__ 3 4 5 x²  ½ ٣ é ÉTÉ ﬁ don't 12a",
    "발열이 있다. 発熱があります。ไข้สูง हिन्दी में बुखार",
    "the The THE be BE to of and that have with withs thee",
    "the" + " x" * 30 + " supercalifragilistic" * 3 + " of",
    "word\r\nword\rword\n\rword...\r\n",
    "#" * 50 + " one",
    "\n\n\n a \n\n",
]
PIECES = [
    "the ",
    "of",
    " ",
    "\n",
    "\r",
    "\r\n",
    "...",
    ".",
    "…",
    "#",
    "-",
    "•",
    "_",
    "é",
    "漢",
    "12",
    "\u2028",
    "\u00a0",
    "\x1c",
    "Word",
]


def measure(texts: list[str]) -> list[dict[str, float]]:
    columns = GopherQuality()(TextBatch.of(texts))
    return [{name: float(column[i]) for name, column in columns.items()} for i in range(len(texts))]


def test_every_measure_is_described_and_taken() -> None:
    columns = GopherQuality()(TextBatch.of(TEXTS))
    assert list(columns) == [m.name for m in GopherQuality.measures]
    assert {len(column) for column in columns.values()} == {len(TEXTS)}


def test_the_example_of_the_docstring() -> None:
    values = measure(["# Menu\n- Home...\n- With you"])[0]
    assert list(values.values()) == [4, 3.75, 1 / 4, 1 / 4, 2 / 3, 1 / 3, 1, 0]


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=25).map("".join), max_size=5))
def test_measures_are_those_of_the_plain_definition(texts: list[str]) -> None:
    assert measure(texts) == [plain.quality(text) for text in texts]


def test_a_document_without_words_or_lines_measures_zero() -> None:
    assert set(measure([""])[0].values()) == {0.0}
    values = measure(["###"])[0]
    assert values["words"] == 0
    assert values["hash_word_ratio"] == 3  # per word, and at least one: no division by zero, and still conspicuous


def test_only_underscores_are_no_word_but_count_as_one_to_divide_by() -> None:
    values = measure(["___ a #"])[0]
    assert (values["words"], values["hash_word_ratio"], values["alphabetic_word_share"]) == (1, 0.5, 0.5)


def test_stop_words_fill_slots_of_their_own() -> None:
    table = stop_word_table()
    assert sorted(v for v in table.tolist() if v != 2**64 - 1) == sorted(
        int.from_bytes(word.encode(), "little") for word in STOP_WORDS
    )
    for word in STOP_WORDS:
        assert measure([f"x {word} y"])[0]["stop_words"] == 1
        assert measure([f"x {word.upper()} {word}s"])[0]["stop_words"] == 0


def disagreements_with_datatrove(texts: list[str], monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Holds every measure of every text against datatrove's filter, split into our words, and counts kinds of answer.

    The filter tells only pass or fail, so its bound is set to our value, which must pass, and to the next number
    beyond, which must fail: then its value is ours to the last bit.
    """
    monkeypatch.setattr(theirs, "split_into_words", lambda text, language: words(text))
    found: Counter[str] = Counter()
    for text, values in zip(texts, measure(texts), strict=True):
        for name, value in values.items():
            if not words(text):
                found["meant: it divides by zero words"] += 1
            elif agrees(name, value, text):
                found["none"] += 1
            else:
                assert name in ("words", "mean_word_length"), (name, value, text)
                assert [w for w in words(text) if is_symbol(w) != all(unicodedata.category(c) == "Pc" for c in w)]
                found["meant: it takes a digit for punctuation, or a connector for a letter"] += 1
    return found


@cache
def words(text: str) -> list[str]:
    return plain.words_of(TextBatch.of([text]))[0]


def is_symbol(word: str) -> bool:
    return all(character in PUNCTUATION_SET for character in word)


def agrees(name: str, value: float, text: str) -> bool:
    argument, side = ARGUMENT[name]
    if side == "least":
        return (not value or passes(argument, value, name, text)) and not passes(
            argument, np.nextafter(value, np.inf), name, text
        )
    if not value:
        return passes(argument, 5e-324, name, text)  # a bound of 0 would switch the rule off
    return passes(argument, value, name, text) and not passes(argument, np.nextafter(value, 0), name, text)


def passes(argument: str, bound: float, name: str, text: str) -> bool:
    arguments = {a: None for a, _ in ARGUMENT.values()} | {"max_doc_words": None, "max_avg_word_length": None}
    given = theirs.GopherQualityFilter(**(arguments | {argument: bound})).filter(Document(text=text, id="0"))
    reason = "" if given is True else given[1]
    if argument == "max_symbol_word_ratio":  # one argument, two rules: hashes are judged first
        if name == "ellipsis_word_ratio" and reason == "gopher_too_many_hashes":
            return passes(argument, bound, name, text.replace("#", " "))
        return not (reason.endswith("hashes") if name == "hash_word_ratio" else reason.endswith("ellipsis"))
    return not reason


def test_datatrove_measures_the_same_on_texts_made_to_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [*TEXTS, "one １ two", "one ‿ two", "# ... !"]
    assert disagreements_with_datatrove(texts, monkeypatch) == {
        "none": 8 * len(TEXTS) + 2 * 6,
        "meant: it takes a digit for punctuation, or a connector for a letter": 2 * 2,
        "meant: it divides by zero words": 8,
    }


@pytest.mark.real
def test_datatrove_measures_the_same_on_real_text_of_many_languages(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = sorted(set(plain.real_texts(shared_data)))
    for name, column in GopherQuality()(TextBatch.of(texts)).items():
        assert len(np.unique(column)) > 3, f"{name} says nothing about these texts"
    assert disagreements_with_datatrove(texts, monkeypatch) == {"none": 8 * len(texts)}
