"""Laws of the sketches: shingles, signatures (datasketch is the oracle), exact keys and the band curve."""

from __future__ import annotations

import datasketch
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.dedup.bands import candidate_probability
from curate.dedup.candidates import band_keys
from curate.dedup.exact import exact_keys
from curate.dedup.minhash import SCHEME, least_agreement, parameters, permuted_minima, signatures
from curate.dedup.shingles import ShingleRecipe, shingle_sets, shingles
from curate.dedup.verify import jaccards
from curate.text import TextBatch

TEXTS = [
    "The patient was given 5 mg of bisoprolol daily, and the fever of 39.5 °C fell within two days of admission.",
    "Too short",
    "",
    "— … —",
    "発熱と咳が三日間続いている患者が来院した。",
    "one two three four five",
    "one two three four five six " * 40,
]


@pytest.mark.parametrize(("words", "permutations", "seed"), [(5, 112, 1), (5, 128, 7), (1, 4, 1), (13, 33, 2**32 - 1)])
def test_signatures_are_datasketchs_bit_for_bit(words: int, permutations: int, seed: int) -> None:
    batch = TextBatch.of(TEXTS)
    ours = signatures(batch, ShingleRecipe("words", words), permutations, seed)
    offsets, hashes = shingles(batch, words)
    assert ours.dtype == np.uint32
    assert ours.shape == (len(TEXTS), permutations)
    for i, row in enumerate(ours):
        low = (hashes[offsets[i] : offsets[i + 1]] & np.uint64(0xFFFFFFFF)).tolist()
        oracle = datasketch.MinHash(permutations, seed=seed, hashfunc=int, scheme="affine32")
        oracle.update_batch(low)
        np.testing.assert_array_equal(row, oracle.hashvalues)
        lean = datasketch.LeanMinHash(seed=seed, hashvalues=row, scheme=SCHEME)
        assert lean.jaccard(oracle) == 1.0


def test_signatures_live_in_a_datasketch_lsh() -> None:
    near = TEXTS[0].replace("two", "three") * 3
    ours = signatures(TextBatch.of([TEXTS[0] * 3, near, TEXTS[4]]), ShingleRecipe("words", 1), 128, 1)
    lean = [datasketch.LeanMinHash(seed=1, hashvalues=row, scheme=SCHEME) for row in ours]
    lsh = datasketch.MinHashLSH(threshold=0.7, num_perm=128)
    for name, sketch in zip("abc", lean, strict=True):
        lsh.insert(name, sketch)
    assert set(lsh.query(lean[0])) == {"a", "b"}


def test_every_document_length_has_its_shingles() -> None:
    batch = TextBatch.of(["", "a", "a b", "a b c", "a b c d", "a b c a b c"])
    offsets, hashes = shingles(batch, 3)
    assert np.diff(offsets).tolist() == [0, 1, 1, 1, 2, 4]
    assert hashes[offsets[3]] == hashes[offsets[4]]  # a b c
    assert len(set(hashes[:3].tolist())) == 3  # a, a b, a b c: length counts
    distinct, values = shingle_sets(batch, 3)
    assert np.diff(distinct).tolist() == [0, 1, 1, 1, 2, 3]
    assert all((np.diff(values[distinct[i] : distinct[i + 1]].astype(object)) > 0).all() for i in range(6))


@given(st.lists(st.sampled_from("abcd"), max_size=30), st.integers(1, 8))
@settings(max_examples=100, deadline=None)
def test_shingles_are_equal_where_words_are_equal_in_order(words: list[str], length: int) -> None:
    _, hashes = shingles(TextBatch.of([" ".join(words)]), length)
    length = min(length, len(words))
    runs = [tuple(words[i : i + length]) for i in range(len(words) - length + 1)] if words else []
    assert len(hashes) == len(runs)
    assert len(set(hashes.tolist())) == len(set(runs))
    assert len(set(zip(hashes.tolist(), runs, strict=True))) == len(set(runs))


def test_exact_keys_ignore_case_punctuation_and_spacing_and_nothing_else() -> None:
    same = ["Fever, then cough.", "fever then\n\n cough", "FEVER -- (THEN) COUGH!"]
    other = ["fever cough then", "fever then", "fever then cough cough", "feverthen cough", "", " ", "!", "…", "! !"]
    keys = exact_keys(TextBatch.of(same + other))
    names = [tuple(key) for key in keys.tolist()]
    assert names[0] == names[1] == names[2]
    assert len(set(names)) == 1 + len(other)


def _pair_of_sets(jaccard: float, size: int, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of random 32-bit hashes that share `jaccard` of their union."""
    union = draw.integers(0, 2**32, size, dtype=np.uint64)
    shared = round(jaccard * size)
    half = shared + (size - shared) // 2
    return union[:half], np.concatenate((union[:shared], union[half:]))


@pytest.mark.parametrize("jaccard", [0.5, 0.6, 0.7, 0.8, 0.9])
@pytest.mark.parametrize(("bands", "rows"), [(14, 8), (25, 5)])
def test_candidate_rate_follows_the_curve(jaccard: float, bands: int, rows: int) -> None:
    pairs, size, draw = 10_000, 100, np.random.default_rng(round(jaccard * 100) + bands)
    sets = [part for _ in range(pairs) for part in _pair_of_sets(jaccard, size, draw)]
    offsets = np.concatenate(([0], np.cumsum([len(part) for part in sets])))
    rows_of = permuted_minima(offsets, np.concatenate(sets), *parameters(bands * rows, 1))
    keys = band_keys(rows_of, bands)
    share = (keys[0::2] == keys[1::2]).any(axis=1)
    assert abs(share.mean() - candidate_probability(jaccard, bands, rows)) < 0.02
    estimate = (rows_of[0::2] == rows_of[1::2]).mean(axis=1)
    assert abs(estimate.mean() - jaccard) < 0.005
    assert (estimate * bands * rows >= least_agreement(bands * rows, jaccard)).all()


def test_the_published_curve() -> None:
    # FineWeb's 14 x 8; closed form
    values = [round(candidate_probability(s, 14, 8), 3) for s in (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9)]
    assert values == [0.053, 0.211, 0.565, 0.772, 0.924, 0.988, 1.0]


def test_least_agreement_bounds_what_is_lost() -> None:
    assert least_agreement(4, 0.8) == 0  # too few permutations to dismiss anything
    assert least_agreement(112, 1.0) == 112
    assert least_agreement(112, 0.0) == 0
    draw = np.random.default_rng(1).binomial(112, 0.8, 100_000)
    assert (draw < least_agreement(112, 0.8)).sum() <= 2
    assert least_agreement(112, 0.8) > 112 * 0.5  # and yet dismisses half-alike templates


def _hash_sets(documents: list[set[str]]) -> tuple[np.ndarray, np.ndarray]:
    parts = [np.sort(exact_keys(TextBatch.of(sorted(document)))[:, 0]) for document in documents]
    return np.concatenate(([0], np.cumsum([len(part) for part in parts]))), np.concatenate(parts)


def test_the_worked_example_of_the_hugging_face_dedup_article() -> None:
    # https://huggingface.co/blog/dedup: its table of 3-gram shingles, from which it computes J(0, 1) = 3/4
    offsets, hashes = _hash_sets([
        {"Deduplication is so", "is so much", "so much fun"},
        {"so much fun", "fun and easy", "Deduplication is so", "is so much"},
        {"dog is a", "is a thing", "wish spider dog", "spider dog is", "I wish spider"},
    ])  # fmt: skip
    answers = jaccards(offsets, hashes, np.array([0, 0, 1]), np.array([1, 2, 2]))
    assert answers.tolist() == [3 / 4, 0, 0]
    # two bands of two rows: (0, 1) is the one candidate pair, in 81 % of draws of the permutations
    found = []
    for seed in range(1000):
        sketches = permuted_minima(offsets, hashes, *parameters(4, seed))
        keys = band_keys(sketches, 2)
        found += [(i, j) for i, j in ((0, 1), (0, 2), (1, 2)) if (keys[i] == keys[j]).any()]
    assert set(found) == {(0, 1)}
    assert abs(len(found) / 1000 - candidate_probability(3 / 4, 2, 2)) < 0.05


def test_the_articles_sentences_have_a_shingle_its_table_leaves_out() -> None:
    texts = ["Deduplication is so much fun!", "Deduplication is so much fun and easy!", "I wish spider dog is a thing."]
    sets = shingle_sets(TextBatch.of(texts), 3)
    one, two = np.array([0, 0, 1]), np.array([1, 2, 2])
    answers = jaccards(*sets, one, two)
    assert answers.tolist() == [3 / 5, 0, 0]  # "much fun and" is the fifth
