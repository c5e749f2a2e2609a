"""The words that everything rests on, held against the same definitions written plainly in Python."""

from __future__ import annotations

import unicodedata

import numpy as np
import plain
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import words_of

from curate.characters import CODE_POINTS, CONNECTOR, LETTER, MARK, NUMBER, SPACE, WORD, classes, folded
from curate.text import TextBatch, _words_at_most, characters_between, continuations, eight_bytes

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
    table = classes()
    for code in range(0, CODE_POINTS, 7):  # every seventh: primes visit every block
        category, bits = unicodedata.category(chr(code)), int(table[code])
        assert bool(bits & LETTER) == chr(code).isalpha()
        assert bool(bits & MARK) == (category[0] == "M")
        assert bool(bits & NUMBER) == (category[0] == "N")
        assert bool(bits & CONNECTOR) == (category == "Pc")
    assert [c for c in range(CODE_POINTS) if table[c] & SPACE] == [c for c in range(CODE_POINTS) if chr(c).isspace()]


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
    batch = TextBatch.of(some)
    room = _words_at_most(batch.data[batch.offsets[0] : batch.offsets[-1]]) + len(batch)
    assert room >= sum(len(plain.words(text)) for text in some)
    ascii_only = TextBatch.of([" ".join(["word"] * 1000)])
    assert _words_at_most(ascii_only.data) <= 1000 + 8
