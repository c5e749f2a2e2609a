"""The words that everything rests on, held against the same definitions written plainly in Python."""

from __future__ import annotations

import unicodedata
from functools import reduce
from operator import or_

import numpy as np
import plain
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit
from plain import words_of

from curate.characters import (
    ALONE,
    CODE_POINTS,
    CONNECTOR,
    LETTER,
    MARK,
    NUMBER,
    PUNCTUATION,
    SPACE,
    SYMBOL,
    WORD,
    classes,
    folded,
)
from curate.lanes import between, characters_between, continuations, eight_bytes, equal, gathered, lower, lowest, ones
from curate.text import TextBatch
from curate.words import _word_bytes, _words_at_most

TROUBLE = "aZ_9 \n\t\r.,-—…'éßİµﬀ１‿漢字かナーกำไทยພາສာက្ខहिन्दीعربي"
TROUBLE += "\u0301\u0308\u200d\u2028\u00a0\U0001f600\U00020000\U0001d400"
texts = st.lists(st.text(st.sampled_from(TROUBLE) | st.characters(exclude_categories=["Cs"]), max_size=60), max_size=6)


@settings(deadline=None)
@given(texts)
def test_words_are_those_of_the_plain_definition(some: list[str]) -> None:
    assert words_of(TextBatch.of(some)) == [plain.words(text) for text in some]


@settings(deadline=None)
@given(texts)
def test_characters_are_code_points(some: list[str]) -> None:
    batch = TextBatch.of(some)
    assert batch.n_chars.tolist() == [len(text) for text in some]
    assert batch.n_bytes.tolist() == [len(text.encode()) for text in some]


@settings(deadline=None)
@given(texts)
def test_equal_folded_words_have_equal_hashes_and_only_they(some: list[str]) -> None:
    batch = TextBatch.of(some)
    flat = [word for words in words_of(batch) for word in words]
    by_word = {"".join(chr(folded()[ord(c)]) for c in word): h for word, h in zip(flat, batch.words.hash, strict=True)}
    for word, digest in zip(flat, batch.words.hash, strict=True):
        assert by_word["".join(chr(folded()[ord(c)]) for c in word)] == digest
    assert len(set(by_word.values())) == len(by_word)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Fever of 39.5°C.", ["Fever", "of", "39", "5", "C"]),
        ("don't snake_case", ["don", "t", "snake_case"]),
        ("naïve na\u0131\u0308ve", ["naïve", "na\u0131\u0308ve"]),  # a combining mark belongs to its word
        ("हिन्दी में", ["हिन्दी", "में"]),  # vowel signs and virama too
        ("発熱ABC", ["発", "熱", "ABC"]),
        ("ABC発熱", ["ABC", "発", "熱"]),
        ("が\u304b\u3099", ["が", "\u304b\u3099"]),  # a mark joins even a character that stands alone
        ("", []),
        ("… — !", []),
    ],
)
def test_words_of_many_scripts(text: str, words: list[str]) -> None:
    assert words_of(TextBatch.of([text])) == [words]


def test_case_and_compatibility_forms_fold_for_matching_only() -> None:
    batch = TextBatch.of(["Fever FEVER fever ＦＥＶＥＲ \u00b5g \u03bcg \u212aelvin kelvin"])
    hashes = batch.words.hash.tolist()
    assert len(set(hashes[:4])) == 1
    assert hashes[4] == hashes[5]
    assert hashes[6] == hashes[7]
    assert batch.array[0].as_py().startswith("Fever FEVER")


def test_hashes_are_of_the_folded_words_utf8_eight_bytes_at_a_time() -> None:
    # they live in run folders, so a change of the hash has to be seen
    text = "Fever ß 発 internationalISATION ÉTÉ été 12345678 abcdefgÄ abcdéfgh \U0001d7d8 eightchr sixteencharacter"
    expected = []
    for word in plain.words(text):
        state, raw = 0xCBF29CE484222325, "".join(chr(folded()[ord(c)]) for c in word).encode()
        for at in range(0, len(raw), 8):
            state = plain_mix(state ^ int.from_bytes(raw[at : at + 8], "little"))
        expected.append(state)
    assert TextBatch.of([text]).words.hash.tolist() == expected
    assert TextBatch.of([text + " " * 8]).words.hash.tolist() == expected  # read another way at the end of the buffer


def plain_mix(value: int) -> int:
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value = (value ^ value >> 33) * factor % 2**64
    return value ^ value >> 33


@pytest.mark.parametrize("some", [[], [""], ["", "a", ""], ["a"] * 9])
def test_empty_documents_and_batches_have_empty_words(some: list[str]) -> None:
    batch = TextBatch.of(some)
    assert words_of(batch) == [plain.words(text) for text in some]
    assert len(batch.words.first) == len(some) + 1


def test_a_slice_of_an_array_sees_only_its_own_documents() -> None:
    array = pa.array(["one two", "drei vier fünf", "six"], pa.large_string())
    batch = TextBatch(array.slice(1, 1))
    assert words_of(batch) == [["drei", "vier", "fünf"]]
    assert batch.n_chars.tolist() == [14]
    assert words_of(TextBatch(pa.chunked_array([array.slice(0, 1), array.slice(2)]))) == [["one", "two"], ["six"]]
    assert words_of(TextBatch(pa.array(["ordinary string"]))) == [["ordinary", "string"]]


def test_nulls_are_refused() -> None:
    with pytest.raises(ValueError, match="nulls"):
        TextBatch(pa.array(["a", None]))


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=40), st.data())
def test_eight_bytes_read_no_further_than_their_end(raw: bytes, draw: st.DataObject) -> None:
    data = np.frombuffer(raw, np.uint8)
    at = draw.draw(st.integers(0, len(raw) - 1))
    end = draw.draw(st.integers(at + 1, len(raw)))
    head = raw[at : min(end, at + 8)]
    assert int(eight_bytes(data, at, end)) == int.from_bytes(head, "little")
    assert continuations(np.uint64(int.from_bytes(head, "little"))) == sum(b & 0xC0 == 0x80 for b in head)
    assert characters_between(data, at, end) == sum(b & 0xC0 != 0x80 for b in raw[at:end])


def test_classes_are_those_of_unicodedata() -> None:
    bits = {"L": LETTER, "M": MARK, "N": NUMBER, "P": PUNCTUATION, "S": SYMBOL}
    slowly = np.zeros(CODE_POINTS, np.uint8)
    for code in range(CODE_POINTS):
        category = unicodedata.category(chr(code))
        slowly[code] = bits.get(category[0], 0) | (CONNECTOR if category == "Pc" else 0)
    table = classes()
    assert np.flatnonzero((table & (0xFF ^ ALONE ^ SPACE)) != slowly).tolist() == []
    assert [c for c in range(CODE_POINTS) if table[c] & SPACE] == [c for c in range(CODE_POINTS) if chr(c).isspace()]
    assert (table[(table & ALONE) != 0] & LETTER).all()


def test_characters_fold_as_one_by_one() -> None:
    for code in (*range(0x1, 0xD800), *range(0xE000, 0x30000), *range(0xE0000, 0xE0200)):  # nothing is assigned beyond
        form = unicodedata.normalize("NFKC", chr(code).casefold()).casefold()
        assert folded()[code] == (ord(form) if len(form) == 1 else code), hex(code)


def test_ascii_is_read_eight_bytes_at_a_time_as_the_tables_say() -> None:
    for code in range(0x80):
        assert bool(classes()[code] & WORD) == (chr(code).isalnum() or chr(code) == "_")
        assert folded()[code] == ord(chr(code).lower())
        around = f"aB{chr(code)}c1" + "." * 8
        assert words_of(TextBatch.of([around])) == [plain.words(around)]


def test_folding_never_changes_whether_a_character_is_a_word() -> None:
    table, bits = folded(), classes()
    letters = np.flatnonzero(bits & LETTER)
    assert (bits[table[letters]] & WORD != 0).all()
    assert (table[table[letters]] == table[letters]).mean() > 0.999


@settings(deadline=None)
@given(texts)
def test_there_is_room_for_every_word(some: list[str]) -> None:
    # the kernel writes into arrays of this size and, compiled, would not notice their end
    assert room_in(some) + len(some) >= sum(len(plain.words(text)) for text in some)
    assert room_in([" ".join(["word"] * 1000)]) == 1000


def room_in(some: list[str]) -> int:
    batch = TextBatch.of(some)
    of_ascii, _, n_beyond = _word_bytes(batch.data, batch.offsets[0], batch.offsets[-1])
    return int(_words_at_most(of_ascii, n_beyond))


@settings(deadline=None)
@given(texts)
def test_each_word_knows_its_characters_and_their_kinds(some: list[str]) -> None:
    batch = TextBatch.of(some)
    flat = [word for words in words_of(batch) for word in words]
    assert batch.words.characters.tolist() == [len(word) for word in flat]
    kinds = [reduce(or_, (int(classes()[ord(c)]) & WORD for c in word)) for word in flat]
    assert batch.words.kinds.tolist() == kinds


@settings(deadline=None)
@given(texts)
def test_words_are_spelled_alike_where_they_are_written_alike(some: list[str]) -> None:
    some = [*some, "Word word wOrd don’twordwordword wordwordword", "wordwordword’word"]  # alone, and beside others
    batch = TextBatch.of(some)
    flat = [word for words in words_of(batch) for word in words]
    pairs = set(zip(flat, batch.words.spelled.tolist(), strict=True))
    assert len(pairs) == len(set(flat)) == len({number for _, number in pairs})
    for word, number in pairs:
        if len(word.encode()) <= 8:
            assert number == int.from_bytes(word.encode(), "little")


@pytest.mark.parametrize("before", [0, 1, 7, 63, 64, 65, 2047, 2048, 8200])
@pytest.mark.parametrize("word", ["a", "eightchr", "ninechars", "x" * 63, "x" * 64, "x" * 130, "é" * 40, "漢" * 3])
def test_words_are_found_wherever_blocks_begin_and_end(before: int, word: str) -> None:
    texts = [". " * (before // 2) + "-" * (before % 2) + f"{word} {word}", word, f"{word}é", "a " * 3000 + word]
    assert words_of(TextBatch.of(texts)) == [plain.words(text) for text in texts]
    assert words_of(TextBatch.of(texts[::-1])) == [plain.words(text) for text in texts[::-1]]


@njit
def asked(eight, low, high):  # type: ignore[no-untyped-def]
    """An intrinsic can only be called in a kernel."""
    return gathered(equal(eight, low)), gathered(between(eight, low, high)), lower(eight), ones(eight), lowest(eight)


@settings(deadline=None)
@given(st.binary(min_size=8, max_size=8), st.integers(0, 0x7F), st.integers(0, 0x7F))
def test_eight_bytes_are_asked_at_once_what_each_is_asked(raw: bytes, one: int, two: int) -> None:
    low, high, value = min(one, two), max(one, two), int.from_bytes(raw, "little")
    alike, within, lower_case, n_ones, lowest_bit = asked(np.uint64(value), low, high)
    assert alike == sum((byte == low) << k for k, byte in enumerate(raw))
    assert within == sum((low <= byte <= high) << k for k, byte in enumerate(raw))
    assert lower_case.to_bytes(8, "little") == raw.lower()
    assert n_ones == value.bit_count()
    assert not value or lowest_bit == (value & -value).bit_length() - 1
