"""A corpus of any size for the benchmarks that need hundreds of megabytes: real documents, and then what they would be
in other words.

    real documents, medical, legal and general, by turns               as many bytes of each as there are
    ▶ once they end: the same with every few words another word        as long, as built, as common words; no copies
    ▶ among them copies, planted                                       6 of 100 nearly equal, 2 of 100 equal

Real English ends at about 120 MB here. Repeating it would make a corpus of duplicates, and so would shuffling its
paragraphs or sentences: everything would share runs of words with something held out and leave as contaminated. So a
document comes again with one word in two to seven replaced by another of nearly the same frequency, written as the
first was (capital or not). Lengths, lines, lists and, nearly, the frequencies of words stay those of real text; no
thirteen words in a row stand in two versions, and few word 5-grams do. What does not stay is sense, and phrases that a
text repeats.

A planted copy has one word in 150 replaced, so that it is a near-duplicate at any usual bound: it must be found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from benchmarks.texts import every_kind, lines_of, synthetic, up_to
from curate.text import TextBatch

NEAR, EQUAL = 0.06, 0.02  # of the documents are followed by a copy of an earlier one
RECENT = 64  # documents that a copy may be of
WORDS_PER_CHANGE = 150  # of a near copy: J is 0.93 or so, less below a hundred words
GAP_LEAST, GAP_MORE = 2, 6  # words from one replaced word to the next: 2 to 7
ALTERNATIVES = 16  # words that may stand for a frequent one


def documents(place: Path | None, mb: float, seed: int = 1) -> Iterator[str]:
    """`mb` megabytes of them: of a folder, of the lines of a file, or made up."""
    return up_to(mb * 1e6, _with_copies(_without_end(place), np.random.default_rng(seed)))


def _without_end(place: Path | None) -> Iterator[str]:
    if place is None:
        yield from synthetic()
        return
    real: list[pa.LargeStringArray] = []
    for some in _batches(every_kind(place) if place.is_dir() else lines_of(place)):
        real.append(some)
        yield from some.to_pylist()
    vocabulary = Vocabulary.of(real)
    for version in count(1):
        for number, some in enumerate(real):
            yield from in_other_words(some, vocabulary, version, number).to_pylist()


def _batches(texts: Iterable[str], n_bytes: int = 4 << 20) -> Iterator[pa.LargeStringArray]:
    held, size = list[str](), 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= n_bytes:
            yield pa.array(held, pa.large_string())
            held, size = [], 0
    if held:
        yield pa.array(held, pa.large_string())


def _with_copies(texts: Iterator[str], draw: np.random.Generator) -> Iterator[str]:
    recent: list[str] = []
    for text in texts:
        yield text
        recent = [*recent[1 - RECENT :], text]
        chance = draw.random()
        if chance < NEAR + EQUAL:
            earlier = recent[int(draw.integers(len(recent)))]
            yield nearly(earlier) if chance < NEAR else earlier


def nearly(text: str) -> str:
    """With one word in 150 replaced by another of its own, at least one."""
    pieces = text.split(" ")
    for at in range(min(WORDS_PER_CHANGE, len(pieces)) // 2, len(pieces), WORDS_PER_CHANGE):
        other = pieces[at // 2]
        pieces[at] = other if other != pieces[at] else f"{other}s"
    return " ".join(pieces)


# -- the same in other words


@dataclass(frozen=True, slots=True)
class Vocabulary:
    hash: npt.NDArray[np.uint64]  # (v,) of folded words, ascending
    rank: npt.NDArray[np.int64]  # (v,) of the word of that hash; the most frequent has 0
    spelled: npt.NDArray[np.uint8]  # (b,) the words by rank, as they stood where they were met first
    offsets: npt.NDArray[np.int64]  # (v + 1,) into spelled

    @classmethod
    def of(cls, texts: list[pa.LargeStringArray]) -> Vocabulary:
        hashes, counts, spelled = [], [], list[bytes]()
        for some in texts:
            batch = TextBatch(some)
            found, at, often = np.unique(batch.words.hash, return_index=True, return_counts=True)
            raw, begins, ends = batch.data.tobytes(), batch.words.start[at].tolist(), batch.words.end[at].tolist()
            hashes.append(found)
            counts.append(often)
            spelled += [raw[a:b] for a, b in zip(begins, ends, strict=True)]
        every, at, which = np.unique(np.concatenate(hashes), return_index=True, return_inverse=True)
        often = np.bincount(which, np.concatenate(counts))
        order = np.argsort(-often, kind="stable")
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        by_rank = [spelled[k] for k in at[order].tolist()]
        lengths = [len(word) for word in by_rank]
        return cls(every, rank, np.frombuffer(b"".join(by_rank), np.uint8), np.cumsum([0, *lengths]))


def in_other_words(
    texts: pa.LargeStringArray, vocabulary: Vocabulary, version: int, number: int = 0
) -> pa.LargeStringArray:
    """The texts with one word in two to seven replaced by one of nearly the same rank. `number`: of the batch."""
    batch = TextBatch(texts)
    words = batch.words
    rank = vocabulary.rank[np.searchsorted(vocabulary.hash, words.hash)]
    chosen = choose(rank, len(vocabulary.rank), version, number)
    data, offsets = rewrite(
        batch.data, batch.offsets, words.start, words.end, chosen, vocabulary.spelled, vocabulary.offsets
    )
    return pa.LargeStringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(data))


@njit(cache=True, nogil=True)
def choose(rank, n, version, number):  # type: ignore[no-untyped-def]
    """(w,) the rank of the word that replaces each word, -1 where it stays.

    Two of sixteen versions in a row that replace the same word never do so by the same one: a run of words that both
    have would have to lie between two replaced words of each, and these are at most seven apart.
    """
    chosen = np.full(len(rank), -1, np.int64)
    at = -1
    while n > 1:
        at += GAP_LEAST + _scattered(np.uint64(version), np.uint64(number), np.uint64(at)) % GAP_MORE
        if at >= len(rank):
            break
        around = min(max(ALTERNATIVES, rank[at] // 4), n - 1)  # other words near it
        least = min(max(rank[at] - around // 2, 0), n - 1 - around)
        one = least + (_scattered(np.uint64(0), np.uint64(number), np.uint64(at)) + version) % around
        chosen[at] = one + (one >= rank[at])
    return chosen


@njit(cache=True, nogil=True, inline="always")
def _scattered(a, b, c):  # type: ignore[no-untyped-def]
    """A number from 0 to 2^62 that three numbers decide: the end of splitmix64, Steele et al. 2014."""
    z = a * np.uint64(0x9E3779B97F4A7C15) + b * np.uint64(0xD1B54A32D192ED03) + c * np.uint64(0x8CB92BA72F3D8DD7)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64((z ^ (z >> np.uint64(31))) >> np.uint64(2))


@njit(cache=True, nogil=True)
def rewrite(data, offsets, start, end, chosen, spelled, spelled_offsets):  # type: ignore[no-untyped-def]
    """(bytes, offsets) of the documents with the chosen words in their places."""
    room = offsets[-1] - offsets[0]
    for w in range(len(chosen)):
        if chosen[w] >= 0:
            room += spelled_offsets[chosen[w] + 1] - spelled_offsets[chosen[w]] - (end[w] - start[w])
    out, ends = np.empty(room, np.uint8), np.zeros(len(offsets), np.int64)
    at, copied, w = 0, offsets[0], 0
    for i in range(len(offsets) - 1):
        while w < len(chosen) and start[w] < offsets[i + 1]:
            if chosen[w] >= 0:
                for k in range(copied, start[w]):
                    out[at] = data[k]
                    at += 1
                begun = at
                for k in range(spelled_offsets[chosen[w]], spelled_offsets[chosen[w] + 1]):
                    out[at] = spelled[k]
                    at += 1
                out[begun] = _in_case(out[begun], data[start[w]])
                copied = end[w]
            w += 1
        for k in range(copied, offsets[i + 1]):
            out[at] = data[k]
            at += 1
        copied, ends[i + 1] = offsets[i + 1], at
    return out, ends


@njit(cache=True, nogil=True, inline="always")
def _in_case(letter, like):  # type: ignore[no-untyped-def]
    """An ASCII letter as a capital if the other is one, small if it is not."""
    if 0x41 <= letter & 0xDF <= 0x5A and 0x41 <= like & 0xDF <= 0x5A:
        return np.uint8(letter & 0xDF | like & 0x20)
    return letter
