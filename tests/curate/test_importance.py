"""DSIR's weights and scores are what plain counting gives; two scores' agreement is what the textbooks say."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from math import log

import numpy as np
import pyarrow as pa
import pytest

from curate.classify.importance import BUCKETS, agreement, learn_weights, scores
from curate.text import TextBatch
from tests.curate import plain
from tests.curate.classified import MEDICINE, SEA, text

SIXTY_FOUR = 2**64 - 1
DOMAIN = [text(MEDICINE, i) for i in range(40)] + ["Fever of 39.5 °C, 発熱。", ""]
OTHER = [text(SEA, i) for i in range(30)] + ["— …", "Sail\nhome!"]


def of(some: list[str]) -> pa.LargeStringArray:
    return pa.array(some, pa.large_string())


def mixed(value: int) -> int:
    """Murmur3's finaliser, in whole numbers."""
    for shift, factor in ((33, 0xFF51AFD7ED558CCD), (33, 0xC4CEB9FE1A85EC53), (33, 1)):
        value ^= value >> shift
        value = value * factor & SIXTY_FOUR
    return value


def buckets(document: str) -> list[int]:
    """Of every word and pair of neighbours. The hash of a word is the kernel's; all else is counted anew."""
    hashes = [int(TextBatch.of([word]).words.hash[0]) for word in plain.words(document)]
    pairs = pairwise(hashes)
    singles = [mixed(one) % BUCKETS for one in hashes]
    return singles + [mixed((one * 0x9E3779B97F4A7C15 + after) & SIXTY_FOUR) % BUCKETS for one, after in pairs]


def plain_weights() -> dict[int, float]:
    domain, other = (Counter(b for one in side for b in buckets(one)) for side in (DOMAIN, OTHER))
    n_domain, n_other = domain.total() + BUCKETS, other.total() + BUCKETS
    return {b: log((domain[b] + 1) / n_domain) - log((other[b] + 1) / n_other) for b in {*domain, *other}}


def test_weights_and_scores_are_those_of_plain_counting() -> None:
    weights = learn_weights([of(DOMAIN[:20]), of(DOMAIN[20:])], [of(OTHER)])
    expected = plain_weights()
    assert len(expected) > 100
    for bucket, weight in expected.items():
        assert weights[bucket] == pytest.approx(weight)
    unseen = np.setdiff1d(np.arange(BUCKETS), list(expected))
    assert np.ptp(weights[unseen]) == 0  # all alike, and little: only the lengths of the two sides
    tried = [*DOMAIN[:5], *OTHER[:5], "", "—", "one"]
    for document, score in zip(tried, scores(of(tried), weights), strict=True):
        found = buckets(document)
        every = sum(weights[b] for b in found) / max(1, len(plain.words(document)))
        assert score == pytest.approx(every)


def test_text_of_the_domain_scores_above_other_text_whatever_its_length() -> None:
    weights = learn_weights([of(DOMAIN)], [of(OTHER)])
    new = scores(of([text(MEDICINE, "n", words) for words in (30, 3000)] + [text(SEA, "n", 30)]), weights)
    assert min(new[:2]) > 0 > new[2]
    assert new[0] == pytest.approx(new[1], rel=0.5)


def test_a_pair_has_a_direction() -> None:
    weights = learn_weights([of(["renal failure"] * 50)], [of(["failure renal"] * 50)])
    forward, backward = scores(of(["renal failure", "failure renal"]), weights)
    assert forward > 0 > backward


def test_agreement_of_a_score_with_itself_is_whole_and_with_its_opposite_none() -> None:
    one = np.linspace(0, 1, 40)
    same, opposite = agreement(one, one**3, 0.5), agreement(one, -one, 0.5)
    assert (same["kappa"], same["spearman"]) == (pytest.approx(1), pytest.approx(1))
    assert (opposite["kappa"], opposite["spearman"]) == (pytest.approx(-1), pytest.approx(-1))
    assert same["taken"] == opposite["taken"] == 20


def test_kappa_and_the_disagreements_are_those_of_a_table_done_by_hand() -> None:
    # of ten documents, five taken by each, four by both: agreement 0.8, chance 0.5
    classifier = np.array([0.9, 0.8, 0.7, 0.6, 0.55, 0.4, 0.3, 0.2, 0.1, 0.05])
    importance = np.array([9.0, 8, 7, 6, 0, 5, 4, 3, 2, 1])
    found = agreement(classifier, importance, 0.5, [f"d{i}" for i in range(10)])
    assert found["kappa"] == pytest.approx((0.8 - 0.5) / 0.5)
    assert (found["only_classifier_ids"], found["only_importance_ids"]) == (["d4"], ["d5"])


def test_what_cannot_be_said_is_null() -> None:
    nothing = agreement(np.zeros(0), np.zeros(0), 0.5)
    assert (nothing["kappa"], nothing["spearman"]) == (None, None)
    all_alike = agreement(np.ones(5), np.arange(5.0), 0.5)
    assert (all_alike["kappa"], all_alike["spearman"]) == (None, None)
