"""Repeated spans: passages of at least N words that stand in more than one document, found exactly.

    texts ─anchors▶ which stand in two documents? ─▶ runs of N words there ─sort▶ runs that stand in two documents
                                                                           ─order of the text▶ spans, copies, passages

Exact substrings as in Lee et al. 2021 ("Deduplicating training data makes language models better"), over folded words
in place of bytes or tokens, so that case, punctuation and line breaks hide nothing; by hashes that are sorted in
partitions in place of a suffix array, which would want the whole corpus in memory. Anchors (curate/dedup/anchors.py)
make the first comparison small. Equal 64-bit hashes count as equal runs.

- A *run* is N words in a row. It is repeated if it stands in two documents; a document that only repeats itself is
  gopher_repetition's business.
- A *span* is a stretch of a document each of whose words is in a repeated run.
- The *holder* of a run is the document of lowest id in which it stands. There it stays; everywhere else it is a
  *copy*. The words of a document that are in a copy can be cut: then no run that stood in two documents stands whole in
  two of them, and every word that was cut stands on in a document of lower id. What a cut joins may chance to make a
  run that stands elsewhere too, which is nobody's copy: nothing is cut on its account.
- A *passage* is a stretch of runs in their holder that stand in equally many documents: what a report shows.

What is held at a time: one partition, the filter of anchors, and eight bytes for every document that has a shared
anchor. What grows with what is found lies in files.

Legend: m items (documents that have a shared anchor, numbered in the order of their records), e entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import nsmallest
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numba import njit

from curate.dedup.anchors import filter_of
from curate.dedup.partitions import Spill, parts_for, that_may_meet
from curate.text import Int64s, UInt64s

LISTED = 50  # passages
RECORD, WORD, WORDS, HOLDER = range(4)  # columns of stretches, all int64
_ANOTHER, _DOCUMENTS = 3, 4  # of passages, beyond the first three
_COPY, _FIRST = np.uint64(1), np.uint64(2)  # flags of a place: its run stays elsewhere; it is where its run stays
_FLAGS = np.uint64(2)  # how many
_WORD_BITS = 32  # of a key, or more: the item stands above, the word below


@dataclass(frozen=True, slots=True)
class Passage:
    record: int  # its holder
    word: int
    words: int
    documents: int  # that it stands in
    another: int  # record of the second lowest id among them


@dataclass(frozen=True, slots=True)
class Found:
    spans: Int64s  # (s, 3) record, word, words; ascending, in a file
    copies: Int64s  # (c, 4) record, word, words, and the record of lowest id that holds some of it; likewise
    passages: list[Passage]  # most repeated first; those that overlap one before are not listed

    @classmethod
    def load(cls, folder: Path, passages: list[Passage]) -> Found:
        """The files are mapped, not read."""
        return cls(_mapped(folder / "spans.bin", 3), _mapped(folder / "copies.bin", 4), passages)


def shared_anchors(entries: Iterable[UInt64s], count: int, records: int, scratch: Path) -> tuple[Int64s, UInt64s]:
    """(records that share an anchor with another, ascending; a filter of the shared anchors).

    Of `count` entries (e, 2): anchor, record. `records`: how many there are in all. `scratch`: a folder for what does
    not fit memory.
    """
    with Spill(scratch / "anchors", 2, parts_for(count)) as spill:
        for some in entries:
            spill.add(some)
    meets, n_shared, path = np.zeros(records, np.bool_), 0, scratch / "shared"
    with path.open("wb") as file:
        for part in spill.read():
            anchors, theirs = _in_several(_sorted(that_may_meet(part)))
            meets[theirs] = True
            file.write(anchors.data)
            n_shared += len(anchors)
    return np.flatnonzero(meets), filter_of(_read(path), n_shared)


def find(entries: Iterable[UInt64s], count: int, items: Int64s, rank: Int64s, words: int, scratch: Path) -> Found:
    """Of `count` entries (e, 3): run, item, first word; those of one item come together, in the order of the text.
    `items` (m,): the record of each; `rank` (m,): its place in the order of their ids. `words`: of a run."""
    word_bits = 64 - max(1, (len(items) - 1).bit_length())
    assert word_bits >= _WORD_BITS, "more documents with shared anchors than a key can tell apart"
    with Spill(scratch / "runs", 3, parts_for(count)) as spill:
        for some in entries:
            spill.add(some)
    with Spill(scratch / "places", 3, parts_for(count)) as places:
        for part in spill.read():
            places.add(_places(_sorted(part), rank, word_bits))
    listed: list[_Listed] = []
    with (scratch / "spans.bin").open("wb") as spans, (scratch / "copies.bin").open("wb") as copies:
        for part in places.read():
            passages = _stretches(_sorted(part), items, rank, words, word_bits, spans, copies)
            listed = nsmallest(LISTED, [*listed, *_most_repeated(passages, rank)])
    named = [Passage(int(items[i]), word, -n_words, -n, int(items[j])) for n, n_words, _, word, i, j in listed]
    return Found.load(scratch, named)


def _sorted(entries: UInt64s) -> UInt64s:
    """By the first column; equal ones in the order in which they came."""
    return np.ascontiguousarray(entries[np.argsort(entries[:, 0], kind="stable")])


def _read(path: Path) -> Iterator[UInt64s]:
    with path.open("rb") as file:
        while len(some := np.fromfile(file, np.uint64, 1 << 20)):
            yield some


def _mapped(path: Path, columns: int) -> Int64s:
    if path.stat().st_size == 0:
        return np.zeros((0, columns), np.int64)
    return np.memmap(path, np.int64, "r").reshape(-1, columns)


@njit(cache=True, nogil=True)
def _in_several(entries):  # type: ignore[no-untyped-def]
    """(anchors, records) of the anchors that stand in more than one record."""
    anchors, records = np.empty(len(entries), np.uint64), np.empty(len(entries), np.int64)
    n_anchors = n_records = begin = 0
    for stop in range(1, len(entries) + 1):
        if stop < len(entries) and entries[stop, 0] == entries[begin, 0]:
            continue
        several = False
        for at in range(begin + 1, stop):
            several |= entries[at, 1] != entries[begin, 1]
        if several:
            anchors[n_anchors] = entries[begin, 0]
            n_anchors += 1
            for at in range(begin, stop):
                records[n_records] = entries[at, 1]
                n_records += 1
        begin = stop
    return anchors[:n_anchors].copy(), records[:n_records].copy()


@njit(cache=True, nogil=True)
def _places(entries, rank, word_bits):  # type: ignore[no-untyped-def]
    """Where repeated runs stand (e, 3): item and word as one key; flags, below the holder (of the run where it stays:
    another item that holds it); the number of documents."""
    places = np.empty_like(entries)
    filled = begin = 0
    for stop in range(1, len(entries) + 1):
        if stop < len(entries) and entries[stop, 0] == entries[begin, 0]:
            continue
        documents, holder, second = _holders(entries, begin, stop, rank)
        for at in range(begin, stop if documents > 1 else begin):
            item = np.int64(entries[at, 1])
            stays = item == holder
            is_first = stays and (at == begin or entries[at - 1, 1] != entries[at, 1])
            flags = (np.uint64(0) if stays else _COPY) | (_FIRST if is_first else np.uint64(0))
            places[filled, 0] = entries[at, 1] << np.uint64(word_bits) | entries[at, 2]
            places[filled, 1] = np.uint64(second if stays else holder) << _FLAGS | flags
            places[filled, 2] = documents
            filled += 1
        begin = stop
    return places[:filled].copy()


@njit(cache=True, nogil=True)
def _holders(entries, begin, stop, rank):  # type: ignore[no-untyped-def]
    """(documents that hold a run, the item of lowest id, the next)."""
    documents, holder, second = 0, np.int64(-1), np.int64(-1)
    for at in range(begin, stop):
        item = np.int64(entries[at, 1])
        if at > begin and entries[at - 1, 1] == entries[at, 1]:
            continue
        documents += 1
        if holder < 0 or rank[item] < rank[holder]:
            holder, second = item, holder
        elif second < 0 or rank[item] < rank[second]:
            second = item
    return documents, holder, second


def _stretches(
    places: UInt64s, items: Int64s, rank: Int64s, words: int, word_bits: int, spans: BinaryIO, copies: BinaryIO
) -> Int64s:
    """Append what a part's places make to the files of spans and copies; returns the passages (p, 5)."""
    kept, cut, passages = _joined(places, rank, words, word_bits)
    cut[:, HOLDER] = items[cut[:, HOLDER]]
    for one, file in ((kept, spans), (cut, copies)):
        one[:, RECORD] = items[one[:, RECORD]]
        file.write(one.data)
    return passages


@njit(cache=True, nogil=True)
def _joined(places, rank, words, word_bits):  # type: ignore[no-untyped-def]
    """(spans (s, 3), copies (c, 4), passages (p, 5)) with items in place of records; see the columns."""
    spans, copies = np.empty((len(places), 3), np.int64), np.empty((len(places), 4), np.int64)
    passages = np.empty((len(places), 5), np.int64)
    s = c = p = 0
    within = (np.uint64(1) << np.uint64(word_bits)) - np.uint64(1)
    for at in range(len(places)):
        item, word = np.int64(places[at, 0] >> np.uint64(word_bits)), np.int64(places[at, 0] & within)
        flags, other = places[at, 1], np.int64(places[at, 1] >> _FLAGS)
        s = _lengthen(spans, s, item, word, words)
        if flags & _COPY:
            before = c
            c = _lengthen(copies, c, item, word, words)
            if c > before or rank[other] < rank[copies[c - 1, HOLDER]]:
                copies[c - 1, HOLDER] = other
        if flags & _FIRST:
            documents = np.int64(places[at, 2])
            last = passages[p - 1]
            follows = p > 0 and last[RECORD] == item and last[WORD] + last[WORDS] == word + words - 1
            if follows and last[_DOCUMENTS] == documents:
                last[WORDS] += 1
                continue
            passages[p, RECORD], passages[p, WORD], passages[p, WORDS] = item, word, words
            passages[p, _ANOTHER], passages[p, _DOCUMENTS] = other, documents
            p += 1
    return spans[:s].copy(), copies[:c].copy(), passages[:p].copy()


@njit(cache=True, nogil=True)
def _lengthen(stretches, filled, item, word, words):  # type: ignore[no-untyped-def]
    """Take a run into the last stretch, where it touches it, or begin another: how many there are by then."""
    if filled:
        last = stretches[filled - 1]
        if last[RECORD] == item and word <= last[WORD] + last[WORDS]:
            last[WORDS] = word + words - last[WORD]
            return filled
    stretches[filled, RECORD], stretches[filled, WORD], stretches[filled, WORDS] = item, word, words
    return filled + 1


_Listed = tuple[int, int, int, int, int, int]
"""(-documents, -words, rank, word, item, another): lower ones are listed first."""


def _most_repeated(passages: Int64s, rank: Int64s) -> list[_Listed]:
    """Of passages (p, 5) that overlap, those alone that stand before the others in the list. An item's passages are all
    in one part."""
    item, word, words, another, documents = passages.T
    listed: list[_Listed] = []
    for at in np.lexsort((word, rank[item], -words, -documents)).tolist():
        one = (
            -int(documents[at]),
            -int(words[at]),
            int(rank[item[at]]),
            int(word[at]),
            int(item[at]),
            int(another[at]),
        )
        if not any(
            one[4] == other[4] and one[3] < other[3] - other[1] and other[3] < one[3] - one[1] for other in listed
        ):
            listed.append(one)
        if len(listed) == LISTED:
            break
    return listed
