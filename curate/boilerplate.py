"""Lines and paragraphs that stand in many documents of a source: navigation, licences, page headers.

    documents   | Cite as: 558 U. S. ___ | The Court granted … |      | Cite as: 558 U.S. ___ | We disagree … |
    passages      cite as 558 u s ___ ─────────── one key ──────────────── cite as 558 u s ___

A passage is a line, or a paragraph: lines up to a blank one. What is compared is its folded words, in order (a key of
64 bits), so case, spacing and punctuation don't count; a passage of few words is a heading and never counts. Documents
are counted, not occurrences, and documents of the same words count once, or what stands in a case that was collected
thirty times would be taken for boilerplate and lost from every copy. (C4, Raffel et al. 2020, and CCNet, Wenzek et al.
2020, cut what was seen before, all copies but one, from the second document on; a bound on documents leaves alone what
two texts quote.)

Most passages stand once. `Seen` counts all of them in few counters that several share, never too low: only keys whose
counter reaches the bound are counted one by one.

Legend: n documents, p passages, b bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from curate.lanes import chained, inlined, mix
from curate.text import Int64s, TextBatch, UInt64s

Bools = npt.NDArray[np.bool_]

MASK = "[boilerplate]"
MOST_SLOTS = 1 << 24  # 32 MB of counters
_FULL = 65535  # a counter of 16 bits stops here


@dataclass(frozen=True, slots=True)
class Passages:
    first: Int64s  # (n + 1,) the passages of document i are first[i] : first[i + 1]; together they hold all but blanks
    begin: Int64s  # (p,) where its first line begins, white space included
    end: Int64s  # (p,) behind its last character
    stop: Int64s  # (p,) behind its line break; of a paragraph, behind the blank lines
    words: Int64s  # (p,)
    key: UInt64s  # (p,) of its folded words

    @classmethod
    def of(cls, batch: TextBatch, unit: str) -> Passages:
        """`unit`: line or paragraph."""
        lines, words = batch.lines, batch.words
        columns = _passages(
            batch.data,
            batch.offsets,
            lines.first,
            lines.start,
            lines.end,
            lines.breaks,
            lines.first_word,
            words.hash,
            unit == "paragraph",
        )
        return cls(*columns)


@njit(cache=True, nogil=True)
def _passages(data, offsets, line_first, start, end, breaks, first_word, hashes, by_paragraph):  # type: ignore[no-untyped-def]
    """The fields of `Passages`, in order."""
    n, p = len(offsets) - 1, 0
    first, places = np.zeros(n + 1, np.int64), np.empty((3, len(start)), np.int64)
    words, keys = np.empty(len(start), np.int64), np.empty(len(start), np.uint64)
    for i in range(n):
        line, until = line_first[i], line_first[i + 1]
        while line < until:
            behind = line + 1
            while by_paragraph and behind < until and breaks[behind] < 2:
                behind += 1
            places[0, p], places[1, p] = _line_begin(data, offsets[i], start[line]), end[behind - 1]
            if not by_paragraph:
                places[2, p] = _line_stop(data, end[line], offsets[i + 1])
            else:
                places[2, p] = _line_begin(data, offsets[i], start[behind]) if behind < until else offsets[i + 1]
            words[p] = first_word[behind] - first_word[line]
            state = np.uint64(0)
            for word in range(first_word[line], first_word[behind]):
                state = chained(state, hashes[word])
            keys[p] = mix(state ^ np.uint64(words[p]))
            line, p = behind, p + 1
        first[i + 1] = p
    return first, places[0, :p], places[1, :p], places[2, :p], words[:p], keys[:p]


@inlined
def _line_begin(data, low, at):  # type: ignore[no-untyped-def]
    while at > low and data[at - 1] != 0x0A:
        at -= 1
    return at


@inlined
def _line_stop(data, at, high):  # type: ignore[no-untyped-def]
    while at < high and data[at] != 0x0A:
        at += 1
    return min(at + 1, high)


@dataclass(frozen=True, slots=True)
class Counts:
    """Passages of some documents, each once."""

    key: UInt64s  # (p,) ascending
    documents: Int64s  # (p,) that it stands in
    n_bytes: Int64s  # (p,) of all its occurrences, line breaks included
    record: Int64s  # (p,) the first document that holds it

    @classmethod
    def of(cls, passages: Passages, records: Int64s, at_least_words: int) -> Counts:
        """Of the documents of a batch, whose records ascend."""
        chosen = np.flatnonzero(passages.words >= at_least_words)
        record = np.repeat(records, np.diff(passages.first))[chosen]
        key, n_bytes = passages.key[chosen], (passages.stop - passages.begin)[chosen]
        order = np.lexsort((record, key))
        key, record = key[order], record[order]
        is_another = np.append(True, (key[1:] != key[:-1]) | (record[1:] != record[:-1]))[: len(key)]
        return cls(key, is_another.astype(np.int64), n_bytes[order], record).summed()

    @classmethod
    def joined(cls, parts: list[Counts]) -> Counts:
        """`parts`: of different documents."""
        none = np.zeros(0, np.int64)
        parts = [cls(none.astype(np.uint64), none, none, none), *parts]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__)).summed()

    def summed(self) -> Counts:
        """Each key once, ascending."""
        order = np.argsort(self.key, kind="stable")
        key = self.key[order]
        opens = np.flatnonzero(np.append(True, key[1:] != key[:-1])[: len(key)])
        if len(opens) == 0:
            return self
        return Counts(
            key[opens],
            np.add.reduceat(self.documents[order], opens),
            np.add.reduceat(self.n_bytes[order], opens),
            np.minimum.reduceat(self.record[order], opens),
        )

    def of_those(self, chosen: Bools) -> Counts:
        return Counts(self.key[chosen], self.documents[chosen], self.n_bytes[chosen], self.record[chosen])

    def __len__(self) -> int:
        return len(self.key)


class Seen:
    """In how many documents keys were seen, at least so many: counters that several keys share."""

    def __init__(self, entries: int) -> None:
        slots = 1 << max(16, (2 * entries).bit_length())
        self.counters = np.zeros(min(slots, MOST_SLOTS), np.uint16)

    def add(self, counts: Counts) -> None:
        _add(self.counters, counts.key, counts.documents)

    def may_reach(self, counts: Counts, documents: int) -> Bools:
        slot = counts.key & np.uint64(len(self.counters) - 1)
        return self.counters[slot.astype(np.int64)] >= min(documents, _FULL)


@njit(cache=True, nogil=True)
def _add(counters, keys, documents):  # type: ignore[no-untyped-def]
    for at in range(len(keys)):
        slot = keys[at] & np.uint64(len(counters) - 1)
        counters[slot] = min(counters[slot] + documents[at], _FULL)


def are_among(keys: UInt64s, ascending: UInt64s) -> Bools:
    at = np.searchsorted(ascending, keys)
    return np.append(ascending, np.uint64(0))[at] == keys if len(ascending) else np.zeros(len(keys), np.bool_)


def without(batch: TextBatch, passages: Passages, leaves: Bools, mask: str = "") -> pa.LargeStringArray:
    """The texts without the passages that leave (p,). With a mask, it stands where some in a row stood.

    A passage at the end of a text that has no line break takes the breaks before it along.
    """
    mark = np.frombuffer(mask.encode(), np.uint8)
    data, offsets = _without(
        batch.data, batch.offsets, passages.first, passages.begin, passages.end, passages.stop, leaves, mark
    )
    return pa.LargeStringArray.from_buffers(len(batch), pa.py_buffer(offsets), pa.py_buffer(data))


@njit(cache=True, nogil=True)
def _without(data, offsets, first, begin, end, stop, leaves, mark):  # type: ignore[no-untyped-def]
    n, filled = len(offsets) - 1, np.int64(0)
    out = np.empty(offsets[n] - offsets[0] + np.int64(leaves.sum()) * len(mark), np.uint8)
    out_offsets = np.zeros(n + 1, np.int64)
    for i in range(n):
        copied, cut_last = offsets[i], False
        for p in range(first[i], first[i + 1]):
            cut_last = False
            if not leaves[p]:
                continue
            filled = _copy(out, filled, data, copied, begin[p])
            if len(mark) and not (p > first[i] and leaves[p - 1]):
                filled = _copy(out, filled, mark, 0, len(mark))
                copied = end[p]
            else:
                copied, cut_last = stop[p], True
        filled = _copy(out, filled, data, copied, offsets[i + 1])
        if cut_last and data[offsets[i + 1] - 1] != 0x0A:
            while filled > out_offsets[i] and out[filled - 1] == 0x0A:
                filled -= 1
        out_offsets[i + 1] = filled
    return out[:filled].copy(), out_offsets


@njit(cache=True, nogil=True)
def _copy(out, filled, data, begin, stop):  # type: ignore[no-untyped-def]
    for at in range(begin, stop):
        out[filled + at - begin] = data[at]
    return filled + max(stop - begin, 0)
