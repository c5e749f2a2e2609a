"""A batch of texts as the kernels see it: one UTF-8 buffer, document offsets, and the words in it.

    documents   | Fever of 39.5°C.        | 発熱 |
    words         Fever of 39 5 C           発 熱

A word is a maximal run of characters of the Unicode categories L, M, N and Pc (`\\w+` and combining marks); characters
of scripts written without spaces are words by themselves, so that Chinese, Japanese or Thai text does not collapse into
one word. Every count, shingle and n-gram of this package rests on these words. They are found once per batch, by one
pass of a Numba kernel, and shared.

Legend: n documents, w words, b bytes.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from curate.characters import classes, folded
from curate.lanes import (
    ABOVE_Z,
    CASE_BITS,
    FROM_0,
    FROM_A,
    HIGH_BITS,
    LOW_BITS,
    SEVEN_BITS,
    characters_between,
    continuations,
    eight_bytes,
    mix,
)
from curate.lines import Lines, lines_of
from curate.traits import traits
from curate.utf8 import code_point
from curate.words import Int64s, UInt64s, Words, find_words

__all__ = [  # the door to what kernels over a batch share
    "ABOVE_Z",
    "CASE_BITS",
    "FROM_0",
    "FROM_A",
    "HIGH_BITS",
    "LOW_BITS",
    "SEVEN_BITS",
    "Int64s",
    "TextBatch",
    "UInt64s",
    "Words",
    "characters_between",
    "code_point",
    "continuations",
    "eight_bytes",
    "mix",
]


class TextBatch:
    """Documents of one batch, at most some megabytes of text (the words take 37 bytes each while they are in use)."""

    def __init__(self, array: pa.Array | pa.ChunkedArray) -> None:
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        self.array: pa.LargeStringArray = array.cast(pa.large_string())
        if self.array.null_count:
            raise ValueError("a text batch holds no nulls")

    @classmethod
    def of(cls, texts: list[str]) -> TextBatch:
        return cls(pa.array(texts, pa.large_string()))

    def __len__(self) -> int:
        return len(self.array)

    @cached_property
    def offsets(self) -> Int64s:  # (n + 1,) into data
        _, offsets, _ = self.array.buffers()
        if offsets is None:
            return np.zeros(1, np.int64)
        return np.frombuffer(offsets, np.int64)[self.array.offset : self.array.offset + len(self.array) + 1]

    @cached_property
    def data(self) -> npt.NDArray[np.uint8]:  # (b,) UTF-8, valid by Arrow's contract
        _, _, data = self.array.buffers()
        return np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)

    @cached_property
    def n_bytes(self) -> Int64s:  # (n,)
        return np.diff(self.offsets)

    @cached_property
    def n_chars(self) -> Int64s:  # (n,) code points
        return count_characters(self.data, self.offsets)

    @cached_property
    def words(self) -> Words:
        return Words(*find_words(self.data, self.offsets, classes(), folded()))

    @cached_property
    def lines(self) -> Lines:
        return lines_of(self.data, self.offsets, self.words.start, traits())


@njit(cache=True, nogil=True)
def count_characters(data, offsets):  # type: ignore[no-untyped-def]
    """Code points of each document: (n,) int64."""
    counts = np.empty(len(offsets) - 1, np.int64)
    for i in range(len(counts)):
        counts[i] = characters_between(data, offsets[i], offsets[i + 1])
    return counts
