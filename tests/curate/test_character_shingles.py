"""Laws of character shingles: what is a character, what does not count, and what they find that words do not."""

from __future__ import annotations

import gzip
import json
import unicodedata
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import datasketch
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_dedup import Held

from curate.dedup.minhash import signatures
from curate.dedup.resolve import NEAR, resolve
from curate.dedup.shingles import ShingleRecipe, shingle_sets, shingles
from curate.dedup.verify import jaccards
from curate.settings import Duplicates
from curate.text import TextBatch

TEXTS = [
    "患者因发热、咳嗽三天入院。体温39.5度,给予比索洛尔5mg每日一次。",
    "患者因发热咳嗽三天入院体温３９.５度 给予 比索洛尔 5MG 每日一次",
    "The fever fell.",
    "café",
    "短",
    "",
    "— … !",
    "a b c d e f g a b c d e f g " * 9,
]


def characters_of(text: str) -> list[str]:
    """What Unicode says, one character at a time: the oracle."""
    return [_fold(c) for c in text if unicodedata.category(c)[0] in "LMN" or unicodedata.category(c) == "Pc"]


def _fold(character: str) -> str:
    form = unicodedata.normalize("NFKC", character.casefold()).casefold()
    return form if len(form) == 1 else character


def runs_of(text: str, length: int) -> list[tuple[str, ...]]:
    characters = characters_of(text)
    length = min(length, len(characters))
    return [tuple(characters[i : i + length]) for i in range(len(characters) - length + 1)] if characters else []


@given(st.lists(st.text("aAé\u0301漢字カｶ1１_ßﬁ .,\n—𝒜😀", max_size=24), min_size=1, max_size=4), st.integers(2, 7))
@example(TEXTS, 5)
@settings(max_examples=150, deadline=None)
def test_shingles_are_equal_where_runs_of_characters_are(texts: list[str], length: int) -> None:
    offsets, hashes = ShingleRecipe("characters", length).shingles(TextBatch.of(texts))
    runs = [run for text in texts for run in runs_of(text, length)]
    assert np.diff(offsets).tolist() == [len(runs_of(text, length)) for text in texts]
    assert len(set(hashes.tolist())) == len(set(runs)) == len(set(zip(hashes.tolist(), runs, strict=True)))


def test_sets_have_the_jaccard_of_sets_of_runs() -> None:
    recipe = ShingleRecipe("characters", 4)
    pairs = [(i, j) for i in range(len(TEXTS)) for j in range(i)]
    found = jaccards(*recipe.sets(TextBatch.of(TEXTS)), *np.array(pairs).T)
    sets = [set(runs_of(text, 4)) for text in TEXTS]
    wanted = [len(sets[i] & sets[j]) / max(1, len(sets[i] | sets[j])) for i, j in pairs]
    assert found.tolist() == pytest.approx(wanted)
    assert 0 < max(wanted) <= 1


def test_signatures_are_datasketchs_bit_for_bit() -> None:
    recipe, batch = ShingleRecipe("characters", 5), TextBatch.of(TEXTS)
    offsets, hashes = recipe.shingles(batch)
    for i, row in enumerate(signatures(batch, recipe, 112, 7)):
        oracle = datasketch.MinHash(112, seed=7, hashfunc=int, scheme="affine32")
        oracle.update_batch((hashes[offsets[i] : offsets[i + 1]] & np.uint64(0xFFFFFFFF)).tolist())
        np.testing.assert_array_equal(row, oracle.hashvalues)


def test_wrapping_case_width_and_punctuation_do_not_count() -> None:
    text = TEXTS[0]
    wrapped = "\n".join(text[i : i + 7] for i in range(0, len(text), 7))
    same = [text, wrapped, text.upper(), unicodedata.normalize("NFKC", text), TEXTS[1], f"「{text}」", text + "\u3000"]
    other = [text.replace("热", "寒"), text[::-1], text[1:]]
    offsets, hashes = ShingleRecipe("characters", 5).shingles(TextBatch.of([*same, *other]))
    told = [tuple(hashes[a:b].tolist()) for a, b in pairwise(offsets)]
    assert len(set(told[: len(same)])) == 1
    assert len(set(told)) == 1 + len(other)


def test_short_documents_have_one_shingle_and_those_without_characters_none() -> None:
    texts = ["", "!", "短", "短文", "短文字", "短文字列", "短 文,字"]
    offsets, hashes = ShingleRecipe("characters", 3).shingles(TextBatch.of(texts))
    assert np.diff(offsets).tolist() == [0, 0, 1, 1, 1, 2, 1]
    assert len(set(hashes[:2].tolist())) == 2  # 短, 短文: length counts
    assert hashes[2] == hashes[3] == hashes[5]


def test_words_are_cut_as_they_were_before_there_was_a_choice() -> None:
    batch = TextBatch.of(TEXTS)
    recipe = ShingleRecipe.of(Duplicates(shingle_words=3))
    assert recipe == ShingleRecipe("words", 3)
    for ours, theirs in ((recipe.shingles(batch), shingles(batch, 3)), (recipe.sets(batch), shingle_sets(batch, 3))):
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert ShingleRecipe.of(Duplicates(shingle_words=3, shingle_characters=7)) == ShingleRecipe("characters", 7)


# -- on real text

EDITED = 0.02  # share of the characters


def _paragraphs(data: Path, language: str) -> list[str]:
    with gzip.open(data / "multilingual" / "xquad_paragraphs.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = map(json.loads, lines)
        return [row["text"] for row in rows if row["lang"] == language]


def _misread(text: str, draw: np.random.Generator) -> str:
    """Letters taken for others of the same text, as OCR does; a line break here and there."""
    characters = list(text)
    letters = [i for i, c in enumerate(characters) if c.isalpha()]
    for i in draw.choice(letters, max(1, round(EDITED * len(letters))), replace=False).tolist():
        characters[i] = characters[int(draw.choice(letters))]
    for i in draw.integers(0, len(characters), 3).tolist():
        characters[i] += "\n" if characters[i] == " " or not characters[i].isascii() else ""
    return "".join(characters)


def _found(texts: list[str], copies: list[str], given: Duplicates) -> float:
    """Share of the copies that leave for the text they were made from."""
    documents = {f"a{i:03d}": text for i, text in enumerate(texts)} | {f"b{i:03d}": t for i, t in enumerate(copies)}
    with TemporaryDirectory() as scratch:
        told = resolve(Held(documents, given), np.ones(len(documents), np.bool_), given, Path(scratch))
    near = told.level == NEAR
    assert (told.record[near] == told.duplicate_of[near] + len(texts)).all(), "nothing leaves for a stranger"
    return float(near.sum()) / len(copies)


@pytest.mark.real
def test_in_chinese_words_of_one_character_find_as_much_and_in_spaced_scripts_characters_find_more(
    shared_data: Path,
) -> None:
    """2 % of the letters misread. Chinese: 5 words are 5 characters. German: a misread letter spoils 5 words."""
    found = {}
    for language in ("zh", "th", "de"):
        texts = _paragraphs(shared_data, language)
        draw = np.random.default_rng(5)
        copies = [_misread(text, draw) for text in texts]
        for unit in ("words", "characters"):
            given = Duplicates(keep="lowest_id", verify_at_least=0.7, bands=30, rows=5, **{f"shingle_{unit}": 5})
            found[language, unit] = _found(texts, copies, given)
    # of 240 paragraphs, words and characters: zh 0.996 and 1.0, th 0.996 and 1.0, de 0.0 and 1.0
    assert found["zh", "characters"] > 0.95
    assert abs(found["zh", "words"] - found["zh", "characters"]) < 0.05
    assert found["de", "characters"] > 0.95 > 0.2 > found["de", "words"]
