"""How much likelier a text's words are in the domain than elsewhere: DSIR's importance weights (Xie et al. 2023).

    "fever of 39"    words and pairs of neighbours: fever, of, 39, fever of, of 39
                     each hashed to one of 10,000 buckets; a bucket's weight is log p_domain - log p_other
    score            the sum of the weights / number of words

A second opinion beside the classifier: it counts, and does not learn. Words are those of `curate.text`: folded, without
punctuation. Counts start at one, so that a bucket seen on one side only has a finite weight. DSIR samples by the sum;
per word, as here, long documents and short ones can be compared. A text without words scores 0: nothing speaks for
either side.

Legend: n documents, w words, B buckets.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from curate.classify.held_out import Float64s, ranks
from curate.text import TextBatch, mix

BUCKETS = 10_000  # as in the paper
PAIR = np.uint64(0x9E3779B97F4A7C15)  # odd: keeps "a b" from being "b a"
SAMPLES = 10  # ids of a kind of disagreement


def learn_weights(domain: Iterable[pa.LargeStringArray], other: Iterable[pa.LargeStringArray]) -> Float64s:
    """(B,) log p_domain - log p_other of every bucket."""
    counts = np.stack([_counted(domain), _counted(other)]).astype(np.float64) + 1  # (2, B)
    shares = np.log(counts / counts.sum(axis=1, keepdims=True))
    weights: Float64s = shares[0] - shares[1]
    return weights


def scores(texts: pa.LargeStringArray, weights: Float64s) -> Float64s:
    """(n,) mean weight per word."""
    words = TextBatch(texts).words
    return mean_weights(words.first, words.hash, weights)


def agreement(
    classifier: Float64s, importance: Float64s, threshold: float, ids: Iterable[str] | None = None
) -> dict[str, Any]:
    """How far two scores of the same documents say the same: of their order, and of who is taken.

    `threshold` is the classifier's; importance takes as many documents, its highest. Kappa is Cohen's (1960).
    """
    taken = classifier >= threshold
    also = np.zeros(len(taken), np.bool_)
    also[np.lexsort((np.arange(len(importance)), -importance))[: int(taken.sum())]] = True
    found: dict[str, Any] = {
        "documents": len(taken),
        "taken": int(taken.sum()),
        "spearman": _spearman(classifier, importance),
        "kappa": _kappa(taken, also),
        "only_classifier": int((taken & ~also).sum()),
        "only_importance": int((also & ~taken).sum()),
    }
    if ids is not None:
        names = np.array(list(ids), object)
        order = np.argsort(ranks(importance) - ranks(classifier), kind="stable")
        found["only_classifier_ids"] = names[[i for i in order if taken[i] and not also[i]][:SAMPLES]].tolist()
        found["only_importance_ids"] = names[[i for i in order[::-1] if also[i] and not taken[i]][:SAMPLES]].tolist()
    return found


def _counted(batches: Iterable[pa.LargeStringArray]) -> npt.NDArray[np.int64]:
    counts = np.zeros(BUCKETS, np.int64)
    for texts in batches:
        words = TextBatch(texts).words
        add_counts(words.first, words.hash, counts)
    return counts


@njit(cache=True, nogil=True, inline="always")
def _word_bucket(word, buckets):  # type: ignore[no-untyped-def]
    return np.int64(mix(word) % np.uint64(buckets))


@njit(cache=True, nogil=True, inline="always")
def _pair_bucket(word, after, buckets):  # type: ignore[no-untyped-def]
    return np.int64(mix(word * PAIR + after) % np.uint64(buckets))


@njit(cache=True, nogil=True)
def add_counts(first, hashes, counts):  # type: ignore[no-untyped-def]
    """Adds how often each bucket is met in all documents to counts: (B,) int64."""
    for i in range(len(first) - 1):
        for w in range(first[i], first[i + 1]):
            counts[_word_bucket(hashes[w], len(counts))] += 1
            if w + 1 < first[i + 1]:
                counts[_pair_bucket(hashes[w], hashes[w + 1], len(counts))] += 1


@njit(cache=True, nogil=True)
def mean_weights(first, hashes, weights):  # type: ignore[no-untyped-def]
    """(n,) sum of the weights of each document's words and pairs, per word."""
    means = np.zeros(len(first) - 1)
    for i in range(len(means)):
        total = 0.0
        for w in range(first[i], first[i + 1]):
            total += weights[_word_bucket(hashes[w], len(weights))]
            if w + 1 < first[i + 1]:
                total += weights[_pair_bucket(hashes[w], hashes[w + 1], len(weights))]
        means[i] = total / max(1, first[i + 1] - first[i])
    return means


def _spearman(one: Float64s, other: Float64s) -> float | None:
    """Correlation of the ranks; None where one of them says the same of all documents."""
    a, b = ranks(one), ranks(other)
    if len(a) < 2 or not a.std() or not b.std():
        return None
    return float(((a - a.mean()) * (b - b.mean())).mean() / (a.std() * b.std()))


def _kappa(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float | None:
    """Agreement beyond chance; None where both say the same of all documents."""
    if not len(one):
        return None
    chance = float(one.mean() * other.mean() + (1 - one.mean()) * (1 - other.mean()))
    return (float((one == other).mean()) - chance) / (1 - chance) if chance < 1 else None
