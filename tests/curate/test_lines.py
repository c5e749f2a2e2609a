"""The table of lines is what str.split and the str methods say, whatever the text and wherever it stands in a batch."""

from __future__ import annotations

from pathlib import Path

import plain
import pyarrow as pa
import pytest
from datatrove.utils.text import TERMINAL_PUNCTUATION
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.lines import BLOCK
from curate.text import TextBatch
from curate.traits import DECIMAL, DIGIT, FORMULA, GREEK, LETTER, LOWER, SPACE, TERMINAL, UPPER, WANTED, traits

MARKS = set("\t!(+.<=>?[\\^{|")
PIECES = [
    "\n", "\n\n", " ", "\t", "\r\n", "\u3000", "\u2028", "word", "WORD", "7", "x²", "é", "É", "漢。", "٣", "[1]", "(a)",
    "a|b", "{", "…", "𝒳", "α", "\ufffd",
]  # fmt: skip


def expected(text: str) -> list[tuple[str, int, int, int, int, list[str]]]:
    """(line, newlines before it, letters, upper, digits, marks) by Python's own methods."""
    found, breaks = [], 0
    for piece in text.split("\n"):
        line = piece.strip()
        if line:
            marks = [c for c in line if c in MARKS or (c >= "\x80" and traits()[ord(c)] & WANTED)]
            letters = sum(map(str.isalpha, line))
            found.append((line, breaks, letters, sum(map(str.isupper, line)), sum(map(str.isdigit, line)), marks))
            breaks = 0
        breaks += 1
    return found


def lines(batch: TextBatch) -> list[list[tuple[str, int, int, int, int, list[str]]]]:
    raw, table = batch.data.tobytes(), batch.lines
    spelled = []
    for k in range(len(table.start)):
        line = raw[table.start[k] : table.end[k]].decode()
        assert table.characters[k] == len(line)
        places = table.mark[table.first_mark[k] : table.first_mark[k + 1]].tolist()
        marks = [raw[a : a + 4].decode(errors="ignore")[0] for a in places]
        counts = (int(table.letters[k]), int(table.upper[k]), int(table.digits[k]))
        spelled.append((line, int(table.breaks[k]), *counts, marks))
    return [spelled[a:b] for a, b in zip(table.first.tolist(), table.first.tolist()[1:], strict=False)]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=30).map("".join), max_size=5))
def test_lines_are_what_python_says(texts: list[str]) -> None:
    batch = TextBatch.of(texts)
    assert lines(batch) == [expected(text) for text in texts]
    assert batch.lines.newlines.tolist() == [text.count("\n") for text in texts]


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=30).map("".join), max_size=5))
def test_each_word_stands_in_its_line(texts: list[str]) -> None:
    batch = TextBatch.of(texts)
    table, spelled = batch.lines, [word for of_one in plain.words_of(batch) for word in of_one]
    raw = batch.data.tobytes()
    for k in range(len(table.start)):
        line = raw[table.start[k] : table.end[k]].decode()
        assert spelled[table.first_word[k] : table.first_word[k + 1]] == plain.words(line)
    assert table.first_word[-1] == len(spelled)


@pytest.mark.parametrize("length", [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_lines_longer_than_a_block_are_whole(length: int) -> None:
    text = f"{'Ab1.' * length}\n{'é' * length}\n\n.{' ' * length}."
    assert lines(TextBatch.of([text, "x", text])) == [expected(text), expected("x"), expected(text)]


def test_a_slice_of_a_batch_measures_as_if_alone() -> None:
    texts = ["One.\nTwo", "", "\n\n", "  Drei [3]\n4", "五。\n"]
    whole = pa.array(texts, pa.large_string())
    for first in range(len(texts)):
        batch = TextBatch(whole.slice(first, 2))
        assert lines(batch) == [expected(text) for text in texts[first : first + 2]]
        assert batch.lines.first_word[-1] == len(batch.words.start)
    assert lines(TextBatch(whole.slice(0, 0))) == []


def test_traits_are_those_of_str() -> None:
    table = traits()
    for bit, has in (
        (UPPER, str.isupper), (LOWER, str.islower), (LETTER, str.isalpha), (DIGIT, str.isdigit),
        (DECIMAL, str.isdecimal), (SPACE, str.isspace),
    ):  # fmt: skip
        assert [c for c in range(0x110000) if bool(table[c] & bit) != has(chr(c))] == []
    assert all(table[ord(c)] & FORMULA for c in "+=<>±×÷≤∑²³¹₂⁻ⁿ𝒳")
    assert not any(table[ord(c)] & FORMULA for c in "|~-ªa1")
    assert all(table[ord(c)] & GREEK for c in "αΩμ")


def test_sentences_end_in_every_mark_that_datatrove_knows_and_in_newer_ones() -> None:
    ours = {chr(c) for c in range(0x110000) if traits()[c] & TERMINAL}
    assert ours >= TERMINAL_PUNCTUATION
    # of Unicode's Sentence_Terminal, left out of datatrove's list or younger than it
    newer = "1b4e 1b4f 1b7f 2024 2cf9 2cfa 2cfb 2e60 2e61 fe12 fe15 fe16 113d4 113d5 16d6e 16d6f"
    assert sorted(ours - TERMINAL_PUNCTUATION) == sorted(chr(int(code, 16)) for code in newer.split())


@pytest.mark.real
def test_lines_of_real_text_of_many_languages_are_what_python_says(shared_data: Path) -> None:
    texts = list(plain.real_texts(shared_data))
    batch = TextBatch.of(texts)
    assert lines(batch) == [expected(text) for text in texts]
    assert len(batch.lines.mark) > 10_000
