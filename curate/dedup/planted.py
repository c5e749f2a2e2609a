"""What deduplication finds of copies whose likeness is known, planted in text of the corpus and sought on its own path.

    originals ─edit▶ copies ─shingles, signatures, bands, verification▶ clusters
        └──────── exact Jaccard of each pair ─┴─▶ by Jaccard: share a band? in one cluster?

The curve 1 - (1 - s^rows)^bands holds for a random pair of a random corpus; what a recipe finds in its own text is
measured. Each round plants one copy of every original, so that a pair is found on its own merit and never through a
third document. A copy is edited as near copies are: words of the corpus replaced, dropped or put in, scattered or in
one run. How many follows from the Jaccard wanted, and Jaccards are spread evenly from `LOWEST` to 1: a planted pair is
counted by the exact one it has. All the other pairs of a round are of different documents, so they show what is found
that should not be.

Legend: n originals, copy i has place n + i; w words of a batch; k permutations; p planted pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.classify.held_out import wilson
from curate.dedup.bands import candidate_probability
from curate.dedup.candidates import band_keys
from curate.dedup.minhash import UInt32s, signatures
from curate.dedup.near import Bools, near_copies
from curate.dedup.shingles import ShingleRecipe
from curate.dedup.verify import Float64s, jaccards
from curate.settings import Duplicates
from curate.text import Int64s, TextBatch, UInt64s

FEWEST_WORDS = 60  # of an original: in a shorter one a single edit already halves the Jaccard
MOST_WORDS = 400  # of an original, from its beginning: more would cost time and make no Jaccard finer than a bin
FEWEST_ORIGINALS = 20
MOST_ORIGINALS = 400
FEWEST_ROUNDS, MOST_ROUNDS, PAIRS = 12, 48, 4800  # as many rounds as give these pairs
LOWEST = 0.3
BIN = 0.05

_REPLACED, _DROPPED, _PUT_IN = 0, -1, 1  # what an edit adds to the words of a copy
_EDITS = tuple((change, in_run) for in_run in (False, True) for change in (_REPLACED, _DROPPED, _PUT_IN))


def measure(texts: pa.Array, settings: Duplicates, seed: int, scratch: Path) -> dict[str, Any]:
    """What of the planted pairs is found, JSON-ready. `texts`: of documents drawn at random; the first `MOST_ORIGINALS`
    that have enough words are taken. `scratch`: an empty folder."""
    originals = fit(TextBatch(texts))
    about = {"documents": len(originals), "fewest_words": FEWEST_WORDS, "fewest_documents": FEWEST_ORIGINALS}
    if len(originals) < FEWEST_ORIGINALS:
        return about | {"pairs": 0}
    found = _Found(len(originals))
    sketched = _Sketched.of(originals, settings, seed)
    rounds = min(MOST_ROUNDS, max(FEWEST_ROUNDS, -(-PAIRS // len(originals))))
    for number in range(rounds):
        copies = edited(originals, number, rounds, settings, np.random.default_rng([seed, number]))
        folder = scratch / f"round-{number}"
        folder.mkdir()
        found.add(sketched.beside(_Sketched.of(copies, settings, seed)), settings, folder)
    return about | found.numbers(settings)


def fit(batch: TextBatch) -> TextBatch:
    """The first words of the first documents that have enough."""
    first, count = batch.words.first, np.diff(batch.words.first)
    enough = np.flatnonzero(count >= FEWEST_WORDS)[:MOST_ORIGINALS]
    return _written(batch, [np.arange(first[i], first[i] + min(MOST_WORDS, count[i])) for i in enough])


# -- copies


def edited(
    originals: TextBatch, number: int, rounds: int, settings: Duplicates, draw: np.random.Generator
) -> TextBatch:
    """One copy of each original: in a round all ways to edit occur, over the rounds all Jaccards."""
    first = originals.words.first.tolist()
    donors = np.delete(np.arange(first[-1]), np.array(first[1:]) - 1)  # the last word of a text has nothing behind it
    spoils = _words_of_a_shingle(originals, settings)
    copies = []
    for i in range(len(originals)):
        change, in_run = _EDITS[(i + number) % len(_EDITS)]
        place = (number + i * 0.618034 % 1) / rounds  # the golden section leaves no gap
        wanted = LOWEST + (1 - LOWEST) * place
        words = np.arange(first[i], first[i + 1])
        edits = _edits_for(wanted, change, in_run, len(words), spoils)
        copies.append(_edited(words, edits, change, in_run, donors, draw))
    return _written(originals, copies)


def _words_of_a_shingle(batch: TextBatch, settings: Duplicates) -> float:
    """How many shingles an edited word spoils, in words."""
    if settings.shingle_characters is None:
        return settings.shingle_words
    characters = batch.n_chars.sum() / max(1, len(batch.words.start))
    return float(1 + (settings.shingle_characters - 1) / characters)


def _edits_for(wanted: float, change: int, in_run: bool, words: int, spoils: float) -> int:
    """How many words to edit so that the Jaccard is about the one wanted."""
    edits = np.arange(1, 3 * words if change == _PUT_IN else words // 2 + words // 4)
    shingles = max(1, words - spoils + 1)
    if in_run:
        kept = shingles - (spoils - 1) - (edits if change != _PUT_IN else 0)
    else:
        kept = shingles * (1 - 1 / words) ** (edits * (spoils if change != _PUT_IN else spoils - 1))
    kept = np.maximum(kept, 0)
    jaccard = kept / np.maximum(2 * shingles + change * edits - kept, 1)
    return int(edits[np.abs(jaccard - wanted).argmin()])


def _edited(words: Int64s, edits: int, change: int, in_run: bool, donors: Int64s, draw: np.random.Generator) -> Int64s:
    """Places of words, with others among them or instead of them."""
    taken = donors[draw.integers(0, len(donors), edits)]
    if change == _PUT_IN:
        at = np.full(edits, draw.integers(1, len(words))) if in_run else draw.integers(1, len(words), edits)
        return np.insert(words, at, taken)
    begin = int(draw.integers(0, len(words) - edits + 1))
    where = np.arange(begin, begin + edits) if in_run else draw.permutation(len(words))[:edits]
    if change == _DROPPED:
        return np.delete(words, where)
    copy = words.copy()
    copy[where] = taken
    return copy


def _written(batch: TextBatch, texts: list[Int64s]) -> TextBatch:
    """Texts made of words of a batch, each with what stands between it and the next word of its document."""
    words, first = batch.words, batch.words.first
    end = np.append(words.start[1:], 0)
    ends_a_text = first[1:][np.diff(first) > 0] - 1
    end[ends_a_text] = batch.offsets[1:][np.diff(first) > 0]
    places = np.concatenate([np.zeros(0, np.int64), *texts])
    size = end[places] - words.start[places]
    after = np.concatenate(([0], np.cumsum(size)))
    taken = batch.data[np.arange(after[-1]) + np.repeat(words.start[places] - after[:-1], size)]
    offsets = after[np.concatenate(([0], np.cumsum([len(text) for text in texts], dtype=np.int64)))]
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(taken)]
    return TextBatch(pa.Array.from_buffers(pa.large_string(), len(texts), buffers))


# -- what is found of them


@dataclass(frozen=True, slots=True)
class _Sketched:
    """Sketches in memory, as curate.dedup.near.NearSketches asks for them."""

    values: UInt32s  # (n, k)
    offsets: Int64s  # (n + 1,)
    hashes: UInt64s

    @classmethod
    def of(cls, batch: TextBatch, settings: Duplicates, seed: int) -> _Sketched:
        recipe = ShingleRecipe.of(settings)
        values = signatures(batch, recipe, settings.bands * settings.rows, seed)
        return cls(values, *recipe.sets(batch))

    def beside(self, other: _Sketched) -> _Sketched:
        offsets = np.concatenate((self.offsets, self.offsets[-1] + other.offsets[1:]))
        return _Sketched(np.vstack((self.values, other.values)), offsets, np.concatenate((self.hashes, other.hashes)))

    def signatures(self, wanted: Bools) -> Iterator[tuple[Int64s, UInt32s]]:
        yield np.flatnonzero(wanted), self.values[wanted]

    def shingle_sets(self, records: Int64s) -> Iterator[tuple[Int64s, Int64s, UInt64s]]:
        sets = [self.hashes[self.offsets[i] : self.offsets[i + 1]] for i in records.tolist()]
        yield records, np.concatenate(([0], np.cumsum([len(one) for one in sets]))), np.concatenate(sets)


@dataclass(slots=True)
class _Found:
    """What became of the pairs, round by round."""

    originals: int
    jaccard: list[Float64s] = field(default_factory=list)
    shared: list[Bools] = field(default_factory=list)
    """Shares a band."""
    joined: list[Bools] = field(default_factory=list)
    """Stands in one cluster."""
    called: list[Float64s] = field(default_factory=list)
    """Exact Jaccards of the pairs that were taken for near copies, planted or not."""
    strangers: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    """Pairs of a copy and another document: all, those that share a band, that stand in one cluster, and of the latter
    those that reach the bound themselves."""

    def add(self, sketched: _Sketched, settings: Duplicates, scratch: Path) -> None:
        n = self.originals
        one, two = np.arange(n), np.arange(n, 2 * n)
        self.jaccard.append(jaccards(sketched.offsets, sketched.hashes, one, two))
        shared = _share_a_band(band_keys(sketched.values, settings.bands))
        with near_copies(sketched, np.ones(2 * n, np.bool_), settings, scratch) as near:
            cluster = np.arange(2 * n)
            cluster[near.items] = near.items[near.cluster]
            pairs = near.items[near.verified]
        joined = cluster[:n, None] == cluster[None, n:]
        self.called.append(jaccards(sketched.offsets, sketched.hashes, pairs[:, 0].copy(), pairs[:, 1].copy()))
        self.shared.append(shared.diagonal())
        self.joined.append(joined.diagonal())
        apart = ~np.eye(n, dtype=np.bool_)
        left, right = np.nonzero(joined & apart)
        alike = jaccards(sketched.offsets, sketched.hashes, left, n + right) >= settings.verify_at_least
        counts = (n * (n - 1), (shared & apart).sum(), len(left), alike.sum())
        self.strangers = [total + int(more) for total, more in zip(self.strangers, counts, strict=True)]

    def numbers(self, settings: Duplicates) -> dict[str, Any]:
        jaccard, shared, joined = np.concatenate(self.jaccard), np.concatenate(self.shared), np.concatenate(self.joined)
        bands, rows, at_least = settings.bands, settings.rows, settings.verify_at_least
        near, called = jaccard >= at_least, np.concatenate(self.called)
        expected = np.array([candidate_probability(s, bands, rows) for s in jaccard.tolist()])
        return {
            "pairs": len(jaccard),
            "bands": bands,
            "rows": rows,
            "verify_at_least": at_least,
            "bins": _bins(jaccard, expected, shared, joined),
            "near": _measured(near, jaccard, expected, shared, joined),
            "precision": _share(int((called >= at_least).sum()), len(called)),
            "strangers": dict(zip(("pairs", "share_a_band", "found", "alike"), self.strangers, strict=True)),
        }


def _share_a_band(keys: UInt64s) -> Bools:
    """(n, n): original by copy. keys: (2n, bands)."""
    n = len(keys) // 2
    shared = np.zeros((n, n), np.bool_)
    for band in range(keys.shape[1]):
        shared |= keys[:n, band, None] == keys[None, n:, band]
    return shared


def _bins(jaccard: Float64s, expected: Float64s, shared: Bools, joined: Bools) -> list[dict[str, Any]]:
    """By Jaccard, the last bin with 1 itself; bins without a pair are left out."""
    place = np.minimum(np.floor(jaccard / BIN + 1e-9), round(1 / BIN) - 1).astype(np.int64)
    return [
        {"from": round(at * BIN, 2), "to": round((at + 1) * BIN, 2)}
        | _measured(place == at, jaccard, expected, shared, joined)
        for at in np.unique(place).tolist()
    ]


def _measured(here: Bools, jaccard: Float64s, expected: Float64s, shared: Bools, joined: Bools) -> dict[str, Any]:
    """Of some pairs: how many share a band, by the curve and in fact, and how many are found."""
    pairs = int(here.sum())
    return {
        "pairs": pairs,
        "jaccard": float(jaccard[here].mean()) if pairs else None,
        "expected": float(expected[here].mean()) if pairs else None,
        "share_a_band": _share(int(shared[here].sum()), pairs),
        "found": _share(int(joined[here].sum()), pairs),
    }


def _share(hits: int, of: int) -> dict[str, Any]:
    """A share that was counted, with Wilson's interval at 95 %."""
    low, high = wilson(hits, of)
    return {"hits": hits, "of": of, "share": hits / of if of else None, "low": low, "high": high}
