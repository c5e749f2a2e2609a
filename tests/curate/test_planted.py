"""Laws of measured recall: the curve of bands and rows holds, and what planting copies measures is what is so."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sifted_units import Doc, sources, write_units

import curate.dedup.planted as planted
from curate.dedup.bands import candidate_probability
from curate.dedup.candidates import band_keys
from curate.dedup.minhash import parameters, permuted_minima
from curate.dedup.planted import FEWEST_ORIGINALS, MOST_WORDS, edited, fit, measure
from curate.passes.decide import Corpus
from curate.passes.plant import plant
from curate.settings import Duplicates
from curate.text import Int64s, TextBatch, UInt64s

SETTINGS = Duplicates()
PAIRS = 12_000  # of each Jaccard; the standard error of a share is at most 0.0046, so 0.02 is four of them and more
DOCUMENTS_A_SEED = 1_500  # pairs that share the permutations of a seed


# -- the curve


@pytest.mark.parametrize(("bands", "rows"), [(14, 8), (20, 5)])
@pytest.mark.parametrize(("shared", "of"), [(1, 2), (13, 20), (3, 4), (4, 5), (9, 10)])
def test_the_candidate_rate_follows_the_curve(bands: int, rows: int, shared: int, of: int) -> None:
    """Pairs of sets whose Jaccard is known exactly: made of hashes, `shared` in `of` of them in common."""
    found = pairs = 0
    for seed in range(PAIRS // DOCUMENTS_A_SEED):
        offsets, hashes = sets_in_pairs(DOCUMENTS_A_SEED, 10 * shared, 10 * of, seed)
        keys = band_keys(permuted_minima(offsets, hashes, *parameters(bands * rows, seed + 1)), bands)
        found += int((keys[0::2] == keys[1::2]).any(axis=1).sum())
        pairs += DOCUMENTS_A_SEED
    assert pairs == PAIRS >= 10_000
    expected = 1 - (1 - (shared / of) ** rows) ** bands
    assert abs(found / pairs - expected) < 0.02
    assert candidate_probability(shared / of, bands, rows) == pytest.approx(expected)
    # one row more or less would not pass for it, where the curve is steep
    if 0.2 < expected < 0.8:
        for other in (rows - 1, rows + 1):
            assert abs(found / pairs - candidate_probability(shared / of, bands, other)) > 0.04


def sets_in_pairs(pairs: int, shared: int, union: int, seed: int) -> tuple[Int64s, UInt64s]:
    """(offsets, hashes) of sets, two by two: what they don't share is parted evenly, the odd one to the second."""
    drawn = np.random.default_rng([7, seed]).integers(0, 2**64, (pairs, union), dtype=np.uint64)
    assert len(np.unique(drawn & np.uint64(0xFFFFFFFF), axis=0)) == pairs
    half = shared + (union - shared) // 2
    one, two = drawn[:, :half], np.hstack((drawn[:, :shared], drawn[:, half:]))
    offsets = np.concatenate(([0], np.cumsum(np.tile([one.shape[1], two.shape[1]], pairs))))
    return offsets, np.hstack((one, two)).ravel()


# -- planted copies


def prose(documents: int, words: int = 120, seed: int = 1) -> list[str]:
    draw = np.random.default_rng(seed)
    texts = ((f"w{i}" for i in draw.zipf(1.3, words) % 5000) for _ in range(documents))
    return [", ".join(text).replace(",", " -", 3) + "." for text in texts]


def shingled(text: str, unit: int = 5) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + unit]) for i in range(len(words) - unit + 1)}


def brute_jaccard(one: str, two: str, unit: int = 5) -> float:
    a, b = shingled(one, unit), shingled(two, unit)
    return len(a & b) / len(a | b)


def measured(texts: list[str], scratch: Path, settings: Duplicates = SETTINGS, seed: int = 1) -> dict[str, Any]:
    scratch.mkdir()
    return measure(pa.array(texts, pa.large_string()), settings, seed, scratch)


def test_what_is_measured_agrees_with_brute_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jaccards from the copies' own text; the pairs that verification lets through are those at the bound that meet."""
    rounds: list[list[str]] = []

    def remembered(*given: Any) -> TextBatch:
        rounds.append((copies := edited(*given)).array.to_pylist())
        return copies

    monkeypatch.setattr(planted, "edited", remembered)
    texts = prose(30)
    found = measured(texts, tmp_path / "scratch")
    truth = [brute_jaccard(text, copy) for copies in rounds for text, copy in zip(texts, copies, strict=True)]
    assert found["pairs"] == len(truth) == 30 * planted.MOST_ROUNDS
    for one in found["bins"]:
        inside = [s for s in truth if one["from"] - 1e-9 <= s < one["to"] - 1e-9 or s == one["to"] == 1]
        assert one["pairs"] == len(inside)
        assert one["jaccard"] == pytest.approx(np.mean(inside))
        assert one["expected"] == pytest.approx(np.mean([1 - (1 - s**8) ** 14 for s in inside]))
    assert sum(one["pairs"] for one in found["bins"]) == len(truth)
    near = found["near"]
    assert near["pairs"] == sum(s >= 0.8 for s in truth) > 300
    assert near["found"]["hits"] == near["share_a_band"]["hits"] < near["pairs"]  # and some are missed
    assert near["found"]["low"] < near["expected"] < near["found"]["high"]
    # nothing below the bound is found, and nothing but planted pairs is near
    assert all(not one["found"]["hits"] for one in found["bins"] if one["to"] <= 0.8)
    assert any(one["share_a_band"]["hits"] for one in found["bins"] if one["to"] <= 0.8)
    assert found["precision"]["share"] == 1
    assert found["precision"]["of"] == near["found"]["hits"]
    strangers = [brute_jaccard(a, b) for copies in rounds[:2] for a, b in product(texts, copies)]
    assert sum(s >= 0.8 for s in strangers) == sum(s >= 0.8 for s in truth[:60])
    assert found["strangers"]["pairs"] == 30 * 29 * planted.MOST_ROUNDS
    assert found["strangers"]["found"] == 0


@pytest.mark.parametrize("given", [Duplicates(), Duplicates(shingle_characters=9), Duplicates(bands=5, rows=3)])
def test_planted_jaccards_spread_over_the_whole_curve_and_the_points_lie_on_it(
    given: Duplicates, tmp_path: Path
) -> None:
    found = measured(prose(100, words=250), tmp_path / "scratch", given)
    bins = [one for one in found["bins"] if 0.3 <= one["from"] < 0.95]
    assert len(bins) == 13
    assert min(one["pairs"] for one in bins) > 100
    for one in bins:
        shared = one["share_a_band"]
        slack = 4 * (shared["high"] - shared["low"]) / 3.92  # four standard errors
        assert abs(shared["share"] - one["expected"]) < max(slack, 0.02)


@pytest.mark.parametrize(
    "given", [Duplicates(shingle_words=64), Duplicates(shingle_words=1, bands=1, rows=1), Duplicates(verify_at_least=1)]
)
def test_any_setting_is_measured(given: Duplicates, tmp_path: Path) -> None:
    found = measured(prose(25, words=80), tmp_path / "scratch", given)
    assert sum(one["pairs"] for one in found["bins"]) == found["pairs"] == 25 * planted.MOST_ROUNDS
    assert found["precision"]["hits"] == found["precision"]["of"]


def test_copies_that_stand_together_before_are_told_as_such(tmp_path: Path) -> None:
    texts = prose(40, words=200)
    found = measured([*texts, *(text + " tail" for text in texts[:5])], tmp_path / "scratch")
    assert found["strangers"]["found"] >= found["strangers"]["alike"] > 0
    assert found["precision"]["share"] == 1
    assert found["precision"]["of"] > found["near"]["found"]["hits"]


def test_the_same_texts_and_seed_give_the_same_numbers_and_another_seed_others(tmp_path: Path) -> None:
    texts = prose(25)
    once, again, other = (
        measured(texts, tmp_path / name, seed=seed) for name, seed in (("once", 1), ("again", 1), ("other", 2))
    )
    assert once == again != other


@pytest.mark.parametrize("texts", [[], [""] * 30, ["— …"] * 30, ["too short a text"] * 30, prose(FEWEST_ORIGINALS - 1)])
def test_a_corpus_without_enough_text_says_so(texts: list[str], tmp_path: Path) -> None:
    found = measured(texts, tmp_path / "scratch")
    assert found["pairs"] == 0
    assert found["documents"] == (len(texts) if len(texts) == FEWEST_ORIGINALS - 1 else 0)
    assert set(found) == {"documents", "fewest_words", "fewest_documents", "pairs"}


def test_text_without_spaces_is_cut_between_its_words(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    texts = ["".join(map(chr, draw.integers(0x4E00, 0x6000, 300))) + "。" for _ in range(25)]
    originals = fit(TextBatch.of(["x", *texts, "y"]))
    assert originals.array.to_pylist() == texts
    for copies in (edited(originals, number, 12, SETTINGS, np.random.default_rng(number)) for number in range(6)):
        assert all(copy.encode() != text.encode() for copy, text in zip(copies.array.to_pylist(), texts, strict=True))
    found = measured(texts, tmp_path / "scratch", Duplicates(shingle_characters=5))
    assert found["near"]["found"]["share"] > 0.9


def test_of_a_long_document_the_beginning_is_taken() -> None:
    long = " ".join(f"w{i}" for i in range(5 * MOST_WORDS))
    assert fit(TextBatch.of(["short", long])).array.to_pylist() == [long[: long.index(f"w{MOST_WORDS} ")]]


# -- in a corpus


def corpus(folder: Path, units: list[list[Doc]]) -> Corpus:
    sifted, judged = write_units(folder, [("notes", docs) for docs in units])
    made = Corpus.load(sifted, judged, sources(*["notes"] * len(units)))
    made.drop_duplicates(SETTINGS)
    return made


def test_the_sample_is_of_what_stays_whatever_the_order_of_the_input(tmp_path: Path) -> None:
    stays = [Doc(str(i), text, position=i) for i, text in enumerate(prose(50))]
    leaves = [Doc("r", prose(1, seed=9)[0], is_removed=True), Doc("copy", stays[0].text[:-1] + " !"), Doc("s", "short")]
    every = [*stays, *leaves]
    told = []
    for name, units in (("as-is", [every]), ("turned", [every[20:][::-1], every[:20]])):
        made = corpus(tmp_path / name, units)
        told.append(plant(made, SETTINGS, seed=1))
    assert told[0] == told[1]
    assert told[0]["documents"] == len(stays)
    assert told[0]["strangers"]["found"] == 0  # the copy had left before


def test_a_corpus_of_nothing_but_short_documents_says_so(tmp_path: Path) -> None:
    made = corpus(tmp_path / "made", [[Doc(str(i), f"note {i}", position=i) for i in range(30)]])
    assert plant(made, SETTINGS, seed=1)["pairs"] == 0
