"""How much of each held-out text stands in training text: the certificate's figures, exact, whatever was let stand.

    held-out 13-grams ─look up in training text▶ stretches: words in a row whose 13-grams are all known
    distinct sets of 13-grams, distinct stretches  ─▶ Training ─ask of each held-out document▶ containment, longest span

- *Containment* is the share of a held-out document's distinct 13-grams that stand in one training document: the largest
  of any, and the document of lowest id that has it. A text of 8 to 12 words is one n-gram, whole; shorter ones tell
  nothing and are not asked.
- *Longest span*: the longest run of words that a held-out and a training document share. A run of 13 words or more is a
  run of 13-grams, so it lies inside one stretch on both sides. The training side's stretches stand in a suffix array;
  a search in it narrows word by word, so texts that repeat themselves cost no more than others.

A licence line in a million documents is one stretch and one set here: only distinct ones are kept, each with the lowest
id that has it. So what is held grows with what is shared, not with how often.

Legend: f places where a known n-gram stands, k n-grams that stand on both sides, t n-grams in all stretches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit
from pyarrow import feather

from curate.dedup.partitions import distinct, positions
from curate.dedup.shingles import shingle_sets
from curate.hash_lookup import look_up
from curate.ngram_index import NgramIndex, differs
from curate.text import Int64s, TextBatch

WORDS = 13  # GPT-3, Brown et al. 2020, appendix C
SHORTEST = 8  # words of a text that is asked as a whole

Stretch: TypeAlias = tuple[int, Int64s]
"""(first word, the n-grams that begin there and at the words after it)."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where known n-grams stand in a batch: by document, in each by length, in each by word."""

    document: Int64s  # (f,)
    ngram: Int64s  # (f,) place in the index
    word: Int64s  # (f,) counted from the document's first
    n_words: Int64s  # (f,)

    @classmethod
    def of(cls, index: NgramIndex, batch: TextBatch, among: Int64s | None = None) -> Standing:
        """`among`: the n-grams that count, ascending; None: all that are indexed."""
        parts, words = [(np.zeros(0, np.int64),) * 4], batch.words
        for length, bitmap in zip(index.lengths.astype(np.int64), index.filters if len(index) else (), strict=False):
            found = look_up(words.first, words.hash, length, bitmap, index.hashes, index.n_words)
            if among is not None:
                counts = np.flatnonzero(positions(found[1], among) >= 0)
                found = tuple(column[counts] for column in found)
            parts.append((*found, np.full(len(found[0]), length)))
        document, ngram, word, n_words = map(np.concatenate, zip(*parts, strict=True))
        order = np.lexsort((word, n_words, document))
        return cls(document[order], ngram[order], word[order], n_words[order])

    def where(self, chosen: npt.NDArray[np.generic]) -> Standing:
        return Standing(self.document[chosen], self.ngram[chosen], self.word[chosen], self.n_words[chosen])

    def own(self, batch: TextBatch) -> Standing:
        """The n-grams of the documents themselves, that are held out: those of 13 words, or a short text whole."""
        return self.where(self.n_words == np.minimum(np.diff(batch.words.first), WORDS)[self.document])

    def by_document(self) -> Iterator[tuple[int, Int64s, list[Stretch]]]:
        """(document, its distinct n-grams, its stretches) of those that hold any."""
        is_next = ~differs(self.document) & ~differs(self.n_words) & (np.diff(self.word, prepend=-2) == 1)
        opens = np.flatnonzero(~is_next)
        first = np.flatnonzero(differs(self.document))
        for begin, stop in pairwise([*first.tolist(), len(self.document)]):
            here = [*opens[slice(*np.searchsorted(opens, [begin, stop]))].tolist(), stop]
            stretches = [(int(self.word[a]), self.ngram[a:b]) for a, b in pairwise(here)]
            yield int(self.document[begin]), distinct(self.ngram[begin:stop]), stretches


@dataclass(slots=True)
class Seen:
    """Distinct sets and stretches of n-grams in training text, each with the lowest id that has it."""

    sets: dict[bytes, str] = field(default_factory=dict)
    stretches: dict[bytes, tuple[str, int]] = field(default_factory=dict)  # (id, first word)

    def add(self, ids: Sequence[str], standing: Standing) -> None:
        for document, ngrams, stretches in standing.by_document():
            self.add_set(ngrams.tobytes(), ids[document])
            for word, run in stretches:
                self.add_stretch(run.tobytes(), (ids[document], word))

    def add_set(self, ngrams: bytes, name: str) -> None:
        self.sets[ngrams] = min(name, self.sets.get(ngrams, name))

    def add_stretch(self, run: bytes, where: tuple[str, int]) -> None:
        self.stretches[run] = min(where, self.stretches.get(run, where))


@dataclass(frozen=True, slots=True)
class Training:
    """What held-out documents are asked against: sets and stretches, in the order of their ids."""

    known: Int64s  # (k,) n-grams by their place in the index, ascending
    first: Int64s  # (k + 1,) the sets that hold n-gram i are holders[first[i] : first[i + 1]]
    holders: Int64s
    set_ids: pa.LargeStringArray
    begins: Int64s  # (stretches,) where each begins in `text`
    words: Int64s  # (stretches,) its first word in its document
    stretch_ids: pa.LargeStringArray
    text: Int64s  # (t,) all stretches, of n-grams by their place in `known`, each ended by a number of its own
    suffixes: Int64s  # (t,) places in `text`, in the order of what stands from there on

    @classmethod
    def of(cls, seen: Seen) -> Training:
        sets = sorted((name, ngrams) for ngrams, name in seen.sets.items())
        stretches = sorted((where, run) for run, where in seen.stretches.items())
        ngrams = [np.frombuffer(held, np.int64) for _, held in sets]
        known = distinct(_joined(ngrams))
        place, number = positions(_joined(ngrams), known), np.repeat(np.arange(len(sets)), [*map(len, ngrams)])
        order = np.lexsort((number, place))
        runs = [positions(np.frombuffer(run, np.int64), known) for _, run in stretches]
        text = _joined([np.append(run, len(known) + at) for at, run in enumerate(runs)])
        lengths = np.array([len(run) + 1 for run in runs], np.int64)
        return cls(
            known=known,
            first=np.searchsorted(place[order], np.arange(len(known) + 1)),
            holders=number[order],
            set_ids=pa.array([name for name, _ in sets], pa.large_string()),
            begins=np.cumsum(lengths) - lengths,
            words=np.array([word for (_, word), _ in stretches], np.int64),
            stretch_ids=pa.array([name for (name, _), _ in stretches], pa.large_string()),
            text=text,
            suffixes=suffix_array(text),
        )

    def save(self, folder: Path) -> None:
        """Write the arrays so that `load` maps them: all workers of a machine then share one copy."""
        folder.mkdir()
        for one in fields(self):
            column = getattr(self, one.name)
            if isinstance(column, pa.Array):
                feather.write_feather(pa.table({"id": column}), str(folder / f"{one.name}.arrow"), "uncompressed")
            else:
                np.save(folder / f"{one.name}.npy", column)

    @classmethod
    def load(cls, folder: Path) -> Training:
        arrays = {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}
        tables = {path.stem: feather.read_table(str(path), memory_map=True) for path in sorted(folder.glob("*.arrow"))}
        return cls(**arrays, **{name: table["id"].combine_chunks() for name, table in tables.items()})


def _joined(parts: Sequence[Int64s]) -> Int64s:
    return np.concatenate([np.zeros(0, np.int64), *parts])


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of one held-out document."""

    containment: float = 0.0  # largest share of its n-grams that stand in one training document
    contained_in: str | None = None
    anywhere: float = 0.0  # share of its n-grams that stand anywhere in training text
    span_words: int = 0  # 0: none of 13 words, or as long as a shorter text
    span_at: int | None = None  # its first word here
    span_in: str | None = None
    span_at_there: int | None = None


@dataclass(slots=True)
class Answers:
    """Answers for held-out documents; equal sets of n-grams and equal stretches are looked up once."""

    training: Training
    _sets: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    _runs: dict[bytes, tuple[int, int, int]] = field(default_factory=dict)

    def of(self, index: NgramIndex, batch: TextBatch) -> tuple[Int64s, dict[int, Asked]]:
        """(distinct n-grams of each document, what is known of those that share any)."""
        n_words = np.diff(batch.words.first)
        n_grams = np.where(n_words < SHORTEST, 0, np.diff(shingle_sets(batch, WORDS)[0]))
        shared = Standing.of(index, batch, self.training.known).own(batch)
        return n_grams, {
            at: self._asked(ngrams, stretches, int(n_grams[at]), min(int(n_words[at]), WORDS))
            for at, ngrams, stretches in shared.by_document()
        }

    def _asked(self, ngrams: Int64s, stretches: Iterable[Stretch], n_grams: int, n_words: int) -> Asked:
        count, holder = self._set(ngrams)
        spans = ((word, *self._run(run)) for word, run in stretches)
        length, minus_at, where = max((length, -(word + start), where) for word, length, start, where in spans)
        stretch = int(np.searchsorted(self.training.begins, where, side="right")) - 1
        return Asked(
            containment=count / n_grams,
            contained_in=self.training.set_ids[holder].as_py(),
            anywhere=len(ngrams) / n_grams,
            span_words=length + n_words - 1,
            span_at=-minus_at,
            span_in=self.training.stretch_ids[stretch].as_py(),
            span_at_there=int(self.training.words[stretch] + where - self.training.begins[stretch]),
        )

    def _set(self, ngrams: Int64s) -> tuple[int, int]:
        """(how many of the n-grams the set with most of them holds, which set)."""
        key = ngrams.tobytes()
        if key not in self._sets:
            training = self.training
            wanted = positions(ngrams, training.known)
            held = np.concatenate([training.holders[training.first[i] : training.first[i + 1]] for i in wanted])
            held.sort()
            opens = np.flatnonzero(differs(held))
            counts = np.diff(opens, append=len(held))
            self._sets[key] = int(counts.max()), int(held[opens[counts.argmax()]])
        return self._sets[key]

    def _run(self, run: Int64s) -> tuple[int, int, int]:
        """(n-grams of the longest run that stands in a stretch, where it begins in `run`, where in `text`)."""
        key = run.tobytes()
        if key not in self._runs:
            found = longest(positions(run, self.training.known), self.training.text, self.training.suffixes)
            self._runs[key] = (int(found[0]), int(found[1]), int(found[2]))
        return self._runs[key]


# -- the suffix array


def suffix_array(text: Int64s) -> Int64s:
    """Places in the order of the suffixes that begin there: sorted by one number, then two, then four (Manber and Myers
    1993).

    >>> suffix_array(np.array([1, 0, 1, 0, 9])).tolist()
    [1, 3, 0, 2, 4]
    """
    rank = np.unique(text, return_inverse=True)[1].astype(np.int64)
    step, order = 1, np.argsort(rank, kind="stable")
    while len(rank) and rank[order[-1]] < len(rank) - 1:
        after = np.concatenate((rank[step:], np.full(min(step, len(rank)), -1)))
        order = np.lexsort((after, rank))
        new = np.cumsum((np.diff(rank[order], prepend=-2) != 0) | (np.diff(after[order], prepend=-2) != 0)) - 1
        rank[order] = new
        step *= 2
    return order.astype(np.int64)


@njit(cache=True, nogil=True)
def longest(pattern, text, suffixes):  # type: ignore[no-untyped-def]
    """(length, where in `pattern`, where in `text`) of the longest run in both: the first there, and its first here."""
    best, start, low, high = 0, 0, 0, 0
    for begin in range(len(pattern)):
        if len(pattern) - begin <= best:
            break
        a, b, depth = 0, len(suffixes), 0
        while begin + depth < len(pattern):
            c = _edge(pattern[begin + depth], text, suffixes, a, b, depth)
            d = _edge(pattern[begin + depth] + 1, text, suffixes, c, b, depth)
            if c == d:
                break
            a, b, depth = c, d, depth + 1
        if depth > best:
            best, start, low, high = depth, begin, a, b
    where = len(text)
    for at in range(low, high):
        where = min(where, suffixes[at])
    return best, start, where


@njit(cache=True, nogil=True)
def _edge(value, text, suffixes, low, high, depth):  # type: ignore[no-untyped-def]
    """The first of suffixes[low:high], alike in their first `depth` numbers, whose next one is not below `value`."""
    while low < high:
        middle = (low + high) // 2
        if text[suffixes[middle] + depth] < value:
            low = middle + 1
        else:
            high = middle
    return low
