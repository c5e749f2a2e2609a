"""An index of the word n-grams of some documents, and the scan of other text for them.

    held-out or benchmark documents ─build▶ NgramIndex ─scan▶ Hits: which n-gram stands where in which document

N-grams run over folded words, so re-wrapped lines, case, punctuation, full-width forms and spacing don't hide one. A
document of fewer than n words is indexed by its whole word sequence, and text is scanned for runs of that length too.

Fifteen to seventeen bytes an n-gram: 8 of its hash, 4 of its holder, 1 of its length and 2 to 4 in the filter; four
more for each holder where it has several. Of these the `MOST_HOLDERS` of lowest id are kept: what more documents hold
names none of them.

Legend: h indexed n-grams, o owners, f hits, d documents of a batch, g n-grams of the documents of a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.shingles import shingle_sets
from curate.hash_lookup import bitmap_of, first_of_each, look_up
from curate.text import Int64s, TextBatch, UInt64s

MOST_HOLDERS = 64

Int32s = npt.NDArray[np.int32]
UInt8s = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Hits:
    """Where indexed n-grams stand in scanned documents; each n-gram once per document, at its first word there."""

    document: Int64s  # (f,) ascending; number of the document: inside its batch, or as `numbered` made it
    ngram: Int64s  # (f,) place in the index
    word: Int64s  # (f,) first word of the n-gram, counted from the document's own first; ascending in a document
    out_of: Int64s  # (f,) n-grams of that length that the document has: hits / out_of is the share of it that is known

    def __len__(self) -> int:
        return len(self.document)

    def numbered(self, documents: Int64s) -> Hits:
        """The same hits with document i of the batch called documents[i]."""
        return Hits(documents[self.document], self.ngram, self.word, self.out_of)

    def of(self, chosen: npt.NDArray[np.generic]) -> Hits:
        """Some of the hits, by a mask or their places."""
        return Hits(*(getattr(self, name.name)[chosen] for name in fields(self)))

    @classmethod
    def joined(cls, parts: Iterable[Hits]) -> Hits:
        parts = list(parts)
        empty = np.zeros(0, np.int64)
        return cls(*(np.concatenate([empty, *(getattr(part, name.name) for part in parts)]) for name in fields(cls)))


@dataclass(frozen=True, slots=True)
class NgramIndex:
    owners: pa.LargeStringArray  # (o,) ids of the indexed documents, ascending
    sizes: Int32s  # (o,) distinct n-grams of each
    hashes: UInt64s  # (h,) ascending
    owner: Int32s  # (h,) the only document that holds the n-gram; or, below 0, ~place of its holders in `shared`
    shared: Int32s  # for n-grams of several holders: how many, then these, ascending
    n_words: UInt8s  # (h,) words of it: n, or fewer for a short document's whole sequence
    lengths: UInt8s  # the distinct values of n_words: the lengths that a scan runs over
    bitmap: UInt64s  # Bloom filter, a power of two of bits: every hash sets three in the word that its top bits name
    too_short: int  # documents of too few words: not indexed
    filters: tuple[UInt64s, ...] = field(init=False, repr=False)  # what a scan asks for each length

    def __post_init__(self) -> None:
        """The few n-grams of each shorter length get a small filter of their own, which stays near the processor."""
        longest = self.lengths[-1:]
        short = np.flatnonzero(self.n_words < longest) if len(self.lengths) > 1 else np.zeros(0, np.int64)
        of, hashes = self.n_words[short], self.hashes[short]
        filters = [bitmap_of(hashes[of == length]) for length in self.lengths[:-1]]
        object.__setattr__(self, "filters", (*filters, self.bitmap))

    @classmethod
    def build(
        cls, batches: Iterable[tuple[Sequence[str] | pa.Array, TextBatch]], words: int, shortest: int
    ) -> NgramIndex:
        """Index the documents (ids, texts) of all batches, but those of fewer words than `shortest`. Their order does
        not matter."""
        ids, some, too_short = [pa.array([], pa.large_string())], [_NO_GRAMS], 0
        for batch_ids, batch in batches:
            found, too_few = indexable(batch, words, shortest)
            some.append(replace(found, of=found.of + np.int32(sum(map(len, ids)))))
            ids.append(pa.array(batch_ids, pa.large_string()))
            too_short += too_few
        grams = Grams(*(np.concatenate([getattr(part, name.name) for part in some]) for name in fields(Grams)))
        owners, rank = by_id(pa.concat_arrays(ids))
        of = rank[grams.of]
        columns = merged(grams.hash, of, grams.n_words, 0)
        return cls(
            owners=owners,
            sizes=np.bincount(of, minlength=len(owners)).astype(np.int32),
            **columns._asdict(),
            lengths=np.unique(grams.n_words),
            bitmap=bitmap_of(columns.hashes),
            too_short=too_short,
        )

    def __len__(self) -> int:
        return len(self.hashes)

    def holders(self, ngram: int) -> Int32s:
        """The documents that hold an n-gram, ascending: `MOST_HOLDERS` of them at most."""
        one = int(self.owner[ngram])
        return self.owner[ngram : ngram + 1] if one >= 0 else self.shared[~one + 1 : ~one + 1 + self.shared[~one]]

    def owner_of(self, ngram: int) -> str:
        """The id of the lowest-named document that holds an n-gram."""
        return str(self.owners[int(self.holders(ngram)[0])])

    def lowest_holders(self, ngrams: Int64s) -> Int64s:
        """Of each n-gram, the place of its lowest-named document among the owners."""
        one = self.owner[ngrams].astype(np.int64)
        several = np.flatnonzero(one < 0)
        one[several] = self.shared[~one[several] + 1]
        return one

    def scan(self, batch: TextBatch) -> Hits:
        """Where the batch holds indexed n-grams."""
        first = batch.words.first
        parts = []
        for length, bitmap in zip(self.lengths.astype(np.int64), self.filters, strict=False):
            document, ngram, word = look_up(first, batch.words.hash, length, bitmap, self.hashes, self.n_words)
            if len(document):
                parts.append(Hits(document, ngram, word, np.diff(first)[document] - length + 1))
        hits = Hits.joined(parts)  # in the order of the text, as far as they are of one length
        if len(parts) > 1:
            hits = hits.of(np.lexsort((hits.ngram, hits.word, hits.document)))
        return hits.of(first_of_each(hits.document, hits.ngram))

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


_ARRAYS = ("sizes", "hashes", "owner", "shared", "n_words", "lengths", "bitmap")


# -- building


@dataclass(frozen=True, slots=True)
class Grams:
    of: Int32s  # (g,) number of the document
    hash: UInt64s  # (g,)
    n_words: UInt8s  # (g,)


_NO_GRAMS = Grams(np.zeros(0, np.int32), np.zeros(0, np.uint64), np.zeros(0, np.uint8))


class Columns(NamedTuple):
    """Of an index, or of a part of it."""

    hashes: UInt64s
    owner: Int32s
    shared: Int32s
    n_words: UInt8s


def indexable(batch: TextBatch, words: int, shortest: int) -> tuple[Grams, int]:
    """(each document's distinct n-grams, how many documents are too short to have any)."""
    n_words = np.diff(batch.words.first)
    offsets, hashes = shingle_sets(batch, words)
    of = np.repeat(np.arange(len(batch), dtype=np.int32), np.diff(offsets))
    some = n_words[of] >= shortest
    of = of[some]
    return Grams(of, hashes[some], np.minimum(n_words[of], words).astype(np.uint8)), int(np.sum(n_words < shortest))


def by_id(ids: pa.Array) -> tuple[pa.LargeStringArray, Int32s]:
    """(the ids ascending, each one's place among them)."""
    order = pc.sort_indices(ids).to_numpy().astype(np.int64)
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return ids.take(pa.array(order)), rank


def merged(hashes: UInt64s, owner: Int32s, n_words: UInt8s, base: int) -> Columns:
    """Each n-gram once, with its holders. `base`: how long `shared` is before this part of it."""
    order = np.lexsort((owner, hashes))
    hashes, owner = hashes[order], owner[order]
    opens = np.flatnonzero(differs(hashes))
    held_by = np.minimum(np.diff(opens, append=len(order)), MOST_HOLDERS)
    several = np.flatnonzero(held_by > 1)
    room = held_by[several] + 1
    heads = np.cumsum(room) - room  # in `shared`
    within = np.arange(room.sum()) - np.repeat(heads, room)  # 0: how many; 1: the first holder
    shared = owner[np.repeat(opens[several], room) + np.maximum(within - 1, 0)].astype(np.int32)
    shared[heads] = held_by[several]
    holder = owner[opens].astype(np.int32)
    holder[several] = ~(base + heads)
    return Columns(hashes[opens], holder, shared, n_words[order[opens]])


def differs(values: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """True where a value differs from the one before it, and at the first."""
    return np.concatenate((np.ones(min(1, len(values)), np.bool_), values[1:] != values[:-1]))
