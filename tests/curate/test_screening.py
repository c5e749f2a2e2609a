"""The screen finds every text that a cleaner's expression finds, and tells few others from them."""

from __future__ import annotations

import itertools
import random
import re
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.cleaning import clean, load
from curate.inputs import list_files, read
from curate.screening import needed, screen_of
from curate.settings import Source
from curate.text import TextBatch

CLEANERS = load(["encoding", "line_endings", "invisible"])
EXPRESSIONS = tuple(cleaner.suspect for cleaner in CLEANERS.values())  # type: ignore[attr-defined]
# every character that some expression names, and some that none does
NAMED = sorted({mark for expression in EXPRESSIONS for mark in expression if ord(mark) > 127})
MARKS = [
    *NAMED,
    *"aZ09 .-\n\t\r\f\v\0\x07\x7f\x85\x93\xa0\xad\u200b\u200c\u200d\u200e\u2028\ufeff\u180e字ب\U000e0067👩ÅÆ",
]


def screened(texts: list[str]) -> np.ndarray:
    """(cleaners, texts) what the screen says."""
    bits = screen_of(EXPRESSIONS).suspects(TextBatch.of(texts))
    return np.array([(bits >> bit) & 1 for bit in range(len(EXPRESSIONS))], bool)


def searched(texts: list[str]) -> np.ndarray:
    """(cleaners, texts) what RE2 says."""
    array = pa.array(texts, pa.large_string())
    return np.array([pc.match_substring_regex(array, one).to_numpy(zero_copy_only=False) for one in EXPRESSIONS], bool)


def require_necessary(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    could, does = screened(texts), searched(texts)
    missed = np.argwhere(does & ~could)
    assert not len(missed), [(list(CLEANERS)[row], texts[column]) for row, column in missed[:5]]
    for row in range(len(EXPRESSIONS)):
        if screen_of(EXPRESSIONS).exact >> row & 1:
            assert (could[row] == does[row]).all()
    return could, does


def test_every_pair_of_named_characters_that_the_search_finds_is_found() -> None:
    texts = ["".join(pair) for pair in itertools.product(MARKS, MARKS)]
    texts += [f"x {text} y" for text in texts[::7]]
    could, does = require_necessary(texts)
    assert does[0].sum() > 10_000
    assert could[0].sum() < 1.2 * does[0].sum()
    assert does[1].sum() > 100
    assert does[2].sum() > 100


def test_random_strings_of_named_characters_that_the_search_finds_are_found() -> None:
    draw = random.Random(3)
    texts = ["".join(draw.choices(MARKS, k=draw.randint(1, 12))) for _ in range(20_000)]
    # and rare matches: few such characters among plain ones, on both sides of the eight bytes looked at together
    plain = "abcdefgh ijklm\nnop" * 2
    texts += [plain[: draw.randint(0, 20)] + "".join(draw.choices(MARKS, k=3)) + plain[:9] for _ in range(20_000)]
    _, does = require_necessary(texts)
    assert 100 < does[0].sum() < len(texts) - 100


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.text(st.sampled_from(MARKS), max_size=30), st.text(max_size=30)), max_size=5))
def test_any_text_that_the_search_finds_is_found(texts: list[str]) -> None:
    require_necessary([text.encode("utf-8", "ignore").decode() for text in texts])


def test_every_character_alone_and_among_letters() -> None:
    every = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    require_necessary(every[:0x3100] + every[0xE000 - 0x800 : 0xF800] + every[0xE0000 - 0x800 : 0xE0200 - 0x800])
    require_necessary([f"plain text {mark}and more" for mark in every[:0x2200]])


def test_plain_english_is_searched_for_nothing() -> None:
    text = 'A note on fever, cough & co:\n\t- it\'s "over" [1], (50%) {x} ~ ^ _ | \\ / @ # $ * + = < > ; ? !\n' * 50
    assert not screened([text, "", "x"]).any()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("[é]", True),
        ("é|[à-ü]x", True),
        (r"\x{e9}\s?è", True),
        ("(é)", False),
        ("abc", False),  # letters only: met everywhere
        ("é|abc", False),
        (r"é\b", False),
        ("é*", False),
        ("[[:alpha:]]é", False),
    ],
)
def test_an_expression_beyond_the_screen_is_searched_everywhere(expression: str, expected: bool) -> None:
    assert (needed(expression) is not None) == expected
    assert screen_of((expression, None)).always == (0b10 if expected else 0b11)


def test_a_table_answers_for_what_it_was_made_of() -> None:
    """An expression of every kind of atom, against Python's own engine."""
    expression = r"[α-ω]\x{e9}|x?[ÀÂ][^a-z]|^[Øø].|\t[\x80-\x9f]"
    python = re.compile(expression.replace(r"\x{e9}", "é"), re.MULTILINE | re.DOTALL)
    draw = random.Random(4)
    texts = ["".join(draw.choices("αωéÀÂØøax\t\n\x85\x9f Z", k=draw.randint(1, 5))) for _ in range(5000)]
    could = screen_of((expression,)).suspects(TextBatch.of(texts)).astype(bool)
    does = np.array([bool(python.search(text)) for text in texts])
    assert not (does & ~could).any()
    assert (could & ~does).sum() < 0.3 * len(texts)
    assert 500 < does.sum() < 4500


@pytest.mark.real
def test_real_text_in_many_languages_is_cleaned_as_if_all_of_it_were_searched(shared_data) -> None:
    source = Source(name="s", path=["multilingual/*.jsonl.gz", "legal/scotus*", "general/novels"], id="id")
    seen = changed = 0
    for file in list_files(source, shared_data):
        for raw in read(file, source):
            texts = raw["text"].filter(raw["text"].is_valid())
            could, does = require_necessary(texts.to_pylist())
            assert could[0].mean() < does[0].mean() + 0.3
            seen += len(texts)
            changed += int(np.count_nonzero(sum(np.abs(taken) for taken in clean(texts, CLEANERS)[1].values())))
    assert seen > 3000
    assert changed > 100
