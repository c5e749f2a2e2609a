"""Gopher's repetition measures equal datatrove's filter given the same words; every disagreement is meant."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path

import datatrove.pipeline.filters.gopher_repetition_filter as theirs
import numpy as np
import plain
import pytest
from datatrove.data import Document
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.measures import _repeated_n_grams as grams
from curate.measures.gopher_repetition import DUPLICATE, TOP, GopherRepetition
from curate.text import TextBatch

SENTENCE = "The quick brown fox jumps over the lazy dog and runs into the dark green wood"
SEPARATOR = "meant: n-grams are compared word by word, not joined"
NO_REPETITION = "meant: a top n-gram has to repeat"
EMPTY_ENDS = "meant: nothing before the first and after the last newline is no line"

TEXTS = [
    "a b c d e. a b c d e.",
    "\n".join([SENTENCE] * 4),
    "\n\n".join([SENTENCE, "Other.", SENTENCE, "Other.", "", SENTENCE]),
    "a " * 40,
    "é è é è é è 漢字漢字漢字 é è é",
    "one\n\none\n \none\n\n\n\ntwo\r\ntwo\r\n",
    "x y z " * 3 + "u v " * 3 + SENTENCE,
    "internationalisation of internationalisations " * 12,
    " \n\n lead\n\nlead \n\nlead\n\n ",
]
PIECES = [
    "a ",
    "b ",
    "c ",
    "d ",
    "ab ",
    "é",
    "漢",
    "\n",
    "\n\n",
    " ",
    ".",
    "longerthaneight ",
    "longerthaneighty ",
    "\u3000",
    "a b c d e ",
]


def measure(texts: list[str]) -> list[dict[str, float]]:
    columns = GopherRepetition()(TextBatch.of(texts))
    return [{name: float(column[i]) for name, column in columns.items()} for i in range(len(texts))]


def test_every_measure_is_described_and_taken() -> None:
    columns = GopherRepetition()(TextBatch.of(TEXTS))
    assert list(columns) == [m.name for m in GopherRepetition.measures]
    assert len(columns) == 4 + len(TOP) + len(DUPLICATE)
    for name, column in columns.items():
        assert len(column) == len(TEXTS)
        assert column.max() > 0, f"no text repeats anything for {name}"


@settings(deadline=None, max_examples=300)
@given(st.lists(st.lists(st.sampled_from(PIECES) | st.text(max_size=2), max_size=60).map("".join), max_size=4))
def test_measures_are_those_of_the_plain_definition(texts: list[str]) -> None:
    assert measure(texts) == [plain.repetition(text) for text in texts]


def test_measures_are_those_of_the_plain_definition_on_long_repetitive_text() -> None:
    # few words in random order: thousands of n-grams that repeat, so tables fill and runs overlap
    draw = np.random.default_rng(7)
    texts = [" ".join(draw.choice(list("abcdefgh")[:k], 1500)) for k in (1, 2, 3, 5, 8)]
    expected = [plain.repetition(text) for text in texts]
    assert measure(texts) == expected
    assert expected[4]["duplicate_5_gram_character_share"] > 0
    assert expected[1]["duplicate_10_gram_character_share"] > expected[2]["duplicate_10_gram_character_share"] > 0


def test_the_most_frequent_n_gram_is_found_though_others_share_its_tally() -> None:
    draw = np.random.default_rng(8)
    texts = [" ".join(f"w{word}" for word in draw.zipf(1.5, 600) % 900) for _ in range(40)]
    batch = TextBatch.of(texts)
    assert measure(texts) == [plain.repetition(text) for text in texts]
    shared = 0
    for first, stop in pairwise(batch.words.first):
        places, hashes, tallies = np.empty(600, np.int32), np.empty(600, np.uint64), np.empty(1 << 14, np.uint8)
        left = grams._pairs(batch.words.spelled[first:stop], places, hashes)
        shift = np.uint64(grams._tally(left, hashes, tallies))
        left, most, highest = grams._keep_repeated(left, places, hashes, tallies, shift)
        shared += highest != (hashes[:left] == hashes[most]).sum()
    assert shared, "no tally was shared"


def test_a_document_measures_the_same_in_any_batch() -> None:
    # tables are shared between the documents of a batch, and nothing may leak from one to the next
    alone = [measure([text])[0] for text in TEXTS]
    assert measure(TEXTS) == alone
    assert measure(TEXTS[::-1]) == alone[::-1]
    assert measure(["", *TEXTS, "", *TEXTS])[1 : 1 + len(TEXTS)] == alone


def test_nothing_repeats_in_nothing() -> None:
    for text in ("", "\n\n ", "one", SENTENCE):
        values = measure([text])[0]
        assert {name: v for name, v in values.items() if v} == {}


def disagreements_with_datatrove(texts: list[str], monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Holds every measure of every text against datatrove's filter, split into our words, and counts kinds of answer.

    The filter tells only pass or fail: its bound is set to our value, which must pass, and to the next number below,
    which must fail. Each disagreement is shown to be of a kind that is meant, or the test fails.
    """
    monkeypatch.setattr(theirs, "split_into_words", lambda text, language: words(text))
    found: Counter[str] = Counter()
    for text, values in zip(texts, measure(texts), strict=True):
        for name, value in values.items():
            found["none" if agrees(name, value, text) else kind_of_disagreement(name, text)] += 1
    return found


@cache
def words(text: str) -> list[str]:
    return plain.words_of(TextBatch.of([text]))[0]


def agrees(name: str, value: float, text: str) -> bool:
    if not value:
        return passes(name, 5e-324, text)  # a bound of 0 would switch the rule off
    return passes(name, value, text) and not passes(name, float(np.nextafter(value, 0)), text)


def passes(name: str, bound: float, text: str) -> bool:
    arguments: dict[str, object] = dict.fromkeys(
        ("dup_line_frac", "dup_para_frac", "dup_line_char_frac", "dup_para_char_frac")
    )
    arguments |= {"top_n_grams": (), "dup_n_grams": ()}
    if found := re.fullmatch(r"(top|duplicate)_(\d+)_gram_character_share", name):
        arguments["top_n_grams" if found[1] == "top" else "dup_n_grams"] = ((int(found[2]), bound),)
    else:
        piece = "para" if "paragraph" in name else "line"
        arguments[f"dup_{piece}_{'char_' if 'character' in name else ''}frac"] = bound
    return theirs.GopherRepetitionFilter(**arguments).filter(Document(text=text, id="0")) is True


def kind_of_disagreement(name: str, text: str) -> str:
    if "line" in name:
        assert text.startswith("\n") or text.endswith("\n"), (name, text)
        assert agrees(name, measure([text.strip("\n")])[0][name], text.strip("\n")), (name, text)
        return EMPTY_ENDS
    n = int(name.split("_")[1])
    grams = [tuple(words(text)[i : i + n]) for i in range(len(words(text)) - n + 1)]
    if name.startswith("top"):
        assert len(set(grams)) == len(grams), (name, text)
        return NO_REPETITION
    assert len({"".join(gram) for gram in grams}) < len(set(grams)), (name, text)
    return SEPARATOR


def test_datatrove_measures_the_same_on_texts_made_to_repeat(monkeypatch: pytest.MonkeyPatch) -> None:
    found = disagreements_with_datatrove([t for t in TEXTS if t.strip("\n") == t], monkeypatch)
    assert found["none"] > 100
    assert set(found) <= {"none", NO_REPETITION}


def test_each_disagreement_with_datatrove_that_is_meant_occurs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert disagreements_with_datatrove([SENTENCE], monkeypatch) == {"none": 10, NO_REPETITION: 3}
    assert disagreements_with_datatrove([f"\n{SENTENCE}\n"], monkeypatch)[EMPTY_ENDS] == 1
    assert disagreements_with_datatrove(["ab c d e f g . a bc d e f g"], monkeypatch)[SEPARATOR] == 2  # 5 and 6 words


@pytest.mark.real
def test_datatrove_measures_the_same_on_real_text_of_many_languages(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = sorted(set(plain.real_texts(shared_data)))
    found = disagreements_with_datatrove(texts, monkeypatch)
    for name, column in GopherRepetition()(TextBatch.of(texts)).items():
        assert len(np.unique(column)) > 3, f"{name} says nothing about these texts"
    assert set(found) == {"none", NO_REPETITION, EMPTY_ENDS}
    assert found[NO_REPETITION] < 0.06 * found.total()
