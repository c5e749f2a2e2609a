"""Does training text stand in held-out or benchmark text? Word n-grams answer, by default of 13 words (GPT-3, lm-eval).

    held-out or benchmark documents ─build▶ NgramIndex ─scan (parallel by unit of training text)─▶ Hits
    Hits of all units ─resolve▶ leaks (training documents to remove, each with its evidence), common phrases

N-grams run over folded words, so re-wrapped lines, case, punctuation, full-width forms and spacing don't hide one.

- A document of fewer than n words but at least `SHORTEST` (8) is indexed by its whole word sequence, and training
  text is scanned for runs of that length too. Still shorter ones name nothing in particular: they are not indexed,
  and counted.
- An n-gram that stands in more than `common_in` training documents is a common phrase ("the views expressed in this
  article are those of the authors and do not"), counted and listed, and no leak: GPT-3, Brown et al. 2020, appendix
  C. The bound is the same for benchmarks: licence lines and task instructions are quoted everywhere. It rests on
  training text that is deduplicated already, else a much-copied leak would pass for a phrase.
- Every training document with a hit left is removed. Held-out and benchmark text have an index each, so that the reason
  (held_out_overlap, benchmark_overlap) follows from the index that was hit.

The scan asks a Bloom filter first: 16 bits per n-gram or more, three of them set within one word of 64, so that 99 of
100 strangers are turned away for one memory access. The rest are looked up in the sorted hashes, where a hash's value
tells its place but for a few steps, as hashes are spread evenly. Equal 64-bit hashes count as equal n-grams: with 10^8
n-grams indexed and 10^11 words of training text, one false hit is expected in two runs.

Legend: h indexed n-grams, o owners, f hits, d documents of a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numba import njit

from curate.dedup.shingles import rolled_on, run_hash, run_of, shingle_sets
from curate.lanes import inlined, step
from curate.text import Int64s, TextBatch, UInt64s

SHORTEST = 8  # words; the low end of the range GPT-3 used for short benchmark items
_BITS_PER_NGRAM = 16


@dataclass(frozen=True, slots=True)
class Hits:
    """Where indexed n-grams stand in training documents; each n-gram once per document, at its first word there."""

    document: Int64s  # (f,) number of the training document: inside its batch, or as `numbered` made it
    ngram: Int64s  # (f,) place in the index
    word: Int64s  # (f,) first word of the n-gram, counted from the document's own first word
    out_of: Int64s  # (f,) n-grams of that length that the document has: hits / out_of is the share of it that is known

    def __len__(self) -> int:
        return len(self.document)

    def numbered(self, documents: Int64s) -> Hits:
        """The same hits with document i of the batch called documents[i]."""
        return Hits(documents[self.document], self.ngram, self.word, self.out_of)

    @classmethod
    def joined(cls, parts: Iterable[Hits]) -> Hits:
        parts = list(parts)
        empty = np.zeros(0, np.int64)
        return cls(*(np.concatenate([empty, *(getattr(part, name.name) for part in parts)]) for name in fields(cls)))


@dataclass(frozen=True, slots=True)
class NgramIndex:
    owners: pa.LargeStringArray  # (o,) ids of the indexed documents, ascending
    hashes: UInt64s  # (h,) ascending
    owner: npt.NDArray[np.int32]  # (h,) the document of lowest id that holds the n-gram
    held_by: npt.NDArray[np.int32]  # (h,) how many documents hold it
    n_words: npt.NDArray[np.uint8]  # (h,) words of it: n, or fewer for a short document's whole sequence
    lengths: npt.NDArray[np.uint8]  # the distinct values of n_words: the lengths that a scan runs over
    bitmap: UInt64s  # Bloom filter, a power of two of bits: every hash sets three in the word that its top bits name
    too_short: int  # documents of fewer than SHORTEST words: not indexed
    filters: tuple[UInt64s, ...] = field(init=False, repr=False)  # what a scan asks for each length

    def __post_init__(self) -> None:
        """The few n-grams of each shorter length get a small filter of their own, which stays near the processor."""
        longest = self.lengths[-1:]
        short = np.flatnonzero(self.n_words < longest) if len(longest) else np.zeros(0, np.int64)
        of, hashes = self.n_words[short], self.hashes[short]
        filters = [_bitmap(hashes[of == length]) for length in self.lengths[:-1]]
        object.__setattr__(self, "filters", (*filters, self.bitmap))

    @classmethod
    def build(cls, batches: Iterable[tuple[Sequence[str] | pa.Array, TextBatch]], words: int) -> NgramIndex:
        """Index the documents (ids, texts) of all batches. Their order does not matter."""
        ids = [pa.array([], pa.large_string())]
        grams = [_Grams(np.zeros(0, np.int32), np.zeros(0, np.uint64), np.zeros(0, np.uint8))]
        n_owners = too_short = 0
        for batch_ids, batch in batches:
            found = _indexable(batch, words)
            grams.append(replace(found, of=found.of + np.int32(n_owners)))
            ids.append(pa.array(batch_ids, pa.large_string()))
            n_owners += len(batch)
            too_short += int(np.sum(np.diff(batch.words.first) < min(SHORTEST, words)))
        joined = _Grams(*(np.concatenate([getattr(part, name.name) for part in grams]) for name in fields(_Grams)))
        return cls._of(pa.concat_arrays(ids), joined, too_short)

    @classmethod
    def _of(cls, ids: pa.Array, grams: _Grams, too_short: int) -> NgramIndex:
        order = pc.sort_indices(ids).to_numpy().astype(np.int64)
        rank = np.empty(len(order), np.int32)
        rank[order] = np.arange(len(order), dtype=np.int32)
        owner = rank[grams.of]
        by_hash = np.lexsort((owner, grams.hash))
        opens = np.flatnonzero(_differs(grams.hash[by_hash]))
        first = by_hash[opens]  # of each distinct n-gram: the entry of the lowest owner
        return cls(
            owners=ids.take(order),
            hashes=grams.hash[first],
            owner=owner[first],
            held_by=np.diff(opens, append=len(by_hash)).astype(np.int32),
            n_words=grams.n_words[first],
            lengths=np.unique(grams.n_words),
            bitmap=_bitmap(grams.hash[first]),
            too_short=too_short,
        )

    def __len__(self) -> int:
        return len(self.hashes)

    def owner_of(self, ngram: int) -> str:
        """The id of the lowest-named document that holds an n-gram."""
        return str(self.owners[int(self.owner[ngram])])

    def scan(self, batch: TextBatch) -> Hits:
        """Where the batch holds indexed n-grams."""
        first = batch.words.first
        parts = []
        for length, bitmap in zip(self.lengths.astype(np.int64), self.filters, strict=False):
            document, ngram, word = _look_up(
                first, batch.words.hash, length, bitmap, _shift(bitmap), self.hashes, self.n_words
            )
            parts.append(Hits(document, ngram, word, np.diff(first)[document] - length + 1))
        return _first_of_each(Hits.joined(parts))

    def save(self, folder: Path) -> None:
        """Write the arrays so that `load` maps them: all workers of a machine then share one copy."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name))
        table = pa.table({"owner": self.owners}, metadata={b"too_short": str(self.too_short).encode()})
        with pa.OSFile(str(folder / "owners.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)

    @classmethod
    def load(cls, folder: Path) -> NgramIndex:
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
        with pa.memory_map(str(folder / "owners.arrow")) as file:
            table = pa.ipc.open_file(file).read_all()
        owners = pa.concat_arrays([pa.array([], pa.large_string()), *table["owner"].chunks])
        return cls(owners=owners, too_short=int(table.schema.metadata[b"too_short"]), **arrays)


_ARRAYS = ("hashes", "owner", "held_by", "n_words", "lengths", "bitmap")


@dataclass(frozen=True, slots=True)
class _Grams:
    of: npt.NDArray[np.int32]  # (g,) number of the document
    hash: UInt64s  # (g,)
    n_words: npt.NDArray[np.uint8]  # (g,)


def _indexable(batch: TextBatch, words: int) -> _Grams:
    """Each document's distinct n-grams."""
    n_words = np.minimum(np.diff(batch.words.first), words)
    offsets, hashes = shingle_sets(batch, words)
    of = np.repeat(np.arange(len(batch), dtype=np.int32), np.diff(offsets))
    long_enough = n_words[of] >= min(SHORTEST, words)
    of = of[long_enough]
    return _Grams(of, hashes[long_enough], n_words[of].astype(np.uint8))


def _differs(values: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """True where a value differs from the one before it, and at the first."""
    return np.concatenate((np.ones(min(1, len(values)), np.bool_), values[1:] != values[:-1]))


def _bitmap(hashes: UInt64s) -> UInt64s:
    bits = max(len(hashes) * _BITS_PER_NGRAM - 1, (1 << 16) - 1).bit_length()
    return _set_bits(np.zeros(1 << (bits - 6), np.uint64), hashes, np.uint64(64 - bits))


def _shift(bitmap: UInt64s) -> np.uint64:
    """What leaves of a hash the number of a bit; without the lowest six, of a word."""
    return np.uint64(64 - (len(bitmap) * 64 - 1).bit_length())


@njit(cache=True, nogil=True)
def _set_bits(bitmap, hashes, shift):  # type: ignore[no-untyped-def]
    for value in hashes:
        bitmap[value >> shift >> np.uint64(6)] |= _three_bits(value)
    return bitmap


@inlined
def _three_bits(value):  # type: ignore[no-untyped-def]
    """Three bits of a word, by low bits of the hash: its top bits choose the word."""
    one, six = np.uint64(1), np.uint64(63)
    return one << (value & six) | one << (value >> np.uint64(6) & six) | one << (value >> np.uint64(12) & six)


@njit(cache=True, nogil=True)
def _look_up(first, word_hashes, length, bitmap, shift, hashes, n_words):  # type: ignore[no-untyped-def]
    """(document, place in the index, first word) of the indexed n-grams of `length` words; (f,) int64 each."""
    document, word = np.empty(len(word_hashes) + 1, np.int64), np.empty(len(word_hashes) + 1, np.int64)
    values, ngram = np.empty(len(word_hashes) + 1, np.uint64), np.empty(len(word_hashes) + 1, np.int64)
    passed = _pass_filter(first, word_hashes, length, bitmap, shift, document, word, values)
    found = _keep_indexed(passed, length, hashes, n_words, document, word, values, ngram)
    return document[:found].copy(), ngram[:found].copy(), word[:found].copy()


@step
def _pass_filter(first, word_hashes, length, bitmap, shift, document, word, values):  # type: ignore[no-untyped-def]
    """Writes the runs of `length` words inside a document that the filter lets pass: how many."""
    passed = np.uint64(0)
    for i in range(len(first) - 1):
        begin, stop = first[i], first[i + 1]
        if stop - begin < length:  # its one hash, of all its words, is found under its own length
            continue
        state, leaving = run_of(word_hashes, begin, length)
        for last in range(begin + length - 1, stop):
            if last >= begin + length:
                state = rolled_on(state, leaving, word_hashes[np.uint64(last)], word_hashes[np.uint64(last - length)])
            value = run_hash(state, length)
            # written always, counted if it passes: no branch to mispredict
            document[passed], word[passed], values[passed] = i, last - length + 1 - begin, value
            bits = _three_bits(value)
            passed += np.uint64(bitmap[value >> shift >> np.uint64(6)] & bits == bits)
    return np.int64(passed)


@step
def _keep_indexed(passed, length, hashes, n_words, document, word, values, ngram):  # type: ignore[no-untyped-def]
    """Drops what is not indexed under this length, and notes the place in the index of the rest: how many."""
    kept = 0
    for k in range(passed):
        place = _place_of(values[k], hashes)
        document[kept], word[kept], ngram[kept] = document[k], word[k], place
        kept += hashes[place] == values[k] and n_words[place] == length
    return kept


@step
def _place_of(value, hashes):  # type: ignore[no-untyped-def]
    """Where a hash is among the sorted hashes, of which there are some; any place if it is not.

    Even spread makes the first guess err by the root of their number, and each correction by the root of the error.
    """
    last = len(hashes) - 1
    per_place = 2.0**64 / len(hashes)
    place, ahead = np.int64(0), np.float64(value) / per_place
    for _ in range(4):
        place += np.int64(ahead)
        place = np.int64(0 if place < 0 else last if place > last else place)
        ahead = (np.float64(value) - np.float64(hashes[place])) / per_place
    while place < last and hashes[place] < value:
        place += 1
    while place > 0 and hashes[place] > value:
        place -= 1
    return place


def _first_of_each(hits: Hits) -> Hits:
    """One hit per document and n-gram, the earliest; ordered by document and place."""
    by_pair = np.lexsort((hits.word, hits.ngram, hits.document))
    first = by_pair[_differs(hits.document[by_pair]) | _differs(hits.ngram[by_pair])]
    keep = first[np.lexsort((hits.ngram[first], hits.word[first], hits.document[first]))]
    return Hits(*(getattr(hits, name.name)[keep] for name in fields(Hits)))


@dataclass(frozen=True, slots=True)
class Leaks:
    """Training documents to remove, ascending; the evidence is the first n-gram that is not a common phrase."""

    document: Int64s  # (l,)
    ngram: Int64s  # (l,) place in the index: `index.owner_of` names the text it leaks from
    word: Int64s  # (l,) where it begins; `phrase` gives its words
    n_hits: Int64s  # (l,) distinct n-grams of the document that are indexed, common phrases left out
    share: npt.NDArray[np.float32]  # (l,) these, of all its n-grams


@dataclass(frozen=True, slots=True)
class CommonPhrases:
    """N-grams exempt because too many training documents hold them; most common first."""

    ngram: Int64s  # (c,)
    n_documents: Int64s  # (c,) training documents that hold it
    document: Int64s  # (c,) one of them, the lowest
    word: Int64s  # (c,) where it begins there


def resolve(hits: Hits, common_in: int) -> tuple[Leaks, CommonPhrases]:
    """Decide over the hits of all training documents, whose numbers are unique over the whole run."""
    n_documents = np.bincount(hits.ngram)  # distinct, as a hit stands once per document and n-gram
    is_common = n_documents[hits.ngram] > common_in
    return _leaks(hits, np.flatnonzero(~is_common)), _common(hits, np.flatnonzero(is_common), n_documents)


def _leaks(hits: Hits, left: Int64s) -> Leaks:
    order = left[np.lexsort((hits.ngram[left], hits.word[left], hits.document[left]))]
    opens = np.flatnonzero(_differs(hits.document[order]))
    n_hits = np.diff(opens, append=len(order))
    first = order[opens]
    # a short owner's sequence is counted against the n-grams of its own length, hence at most all of them
    share = np.minimum(n_hits / np.maximum(hits.out_of[first], 1), 1).astype(np.float32)
    return Leaks(hits.document[first], hits.ngram[first], hits.word[first], n_hits, share)


def _common(hits: Hits, common: Int64s, n_documents: Int64s) -> CommonPhrases:
    order = common[np.lexsort((hits.document[common], hits.ngram[common]))]
    first = order[_differs(hits.ngram[order])]
    first = first[np.lexsort((hits.ngram[first], -n_documents[hits.ngram[first]]))]
    ngram = hits.ngram[first]
    return CommonPhrases(ngram, n_documents[ngram], hits.document[first], hits.word[first])


def phrase(batch: TextBatch, document: int, word: int, n_words: int) -> str:
    """The text from a document's word `word` over `n_words` words, as it stands but for white space."""
    words = batch.words
    first = int(words.first[document]) + word
    last = min(first + n_words, int(words.first[document + 1])) - 1
    return " ".join(bytes(batch.data[words.start[first] : words.end[last]]).decode().split())
