"""Documents a classifier learns from or is tried on: addressed by number, drawn by a hash of their ids.

Nothing here depends on the order documents come in: which are held out, and which are drawn where there are more than a
classifier needs, follows from a hash of each id. Exact copies count once, so that no text stands on both sides of the
line between training and held-out; records that could not be read are left out. Held are 24 bytes a document (40 while
they are collected); texts are read batch by batch where they are asked for.

Legend: n documents.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from curate.dedup.exact import exact_keys
from curate.passes.sifted import Sifted
from curate.text import Int64s, TextBatch, UInt64s

Bools = npt.NDArray[np.bool_]

BATCH = 2048  # documents of a list that are looked at together


@dataclass(frozen=True, slots=True)
class Texts:
    numbers: Int64s
    """(n,) what `read` and `name` call the documents, ascending."""
    hashes: UInt64s
    """(n,) of the ids."""
    n_bytes: Int64s
    """(n,) of the texts in UTF-8."""
    read: Callable[[Int64s], Iterator[tuple[Int64s, pa.LargeStringArray]]]
    """(numbers, their texts) batch by batch, for numbers in ascending order."""
    name: Callable[[Int64s], list[str]]
    """The ids of numbers in ascending order."""

    def __len__(self) -> int:
        return len(self.numbers)

    def where(self, chosen: npt.NDArray[np.generic]) -> Texts:
        """Some of them: by a mask, or by their places in ascending order."""
        return replace(self, numbers=self.numbers[chosen], hashes=self.hashes[chosen], n_bytes=self.n_bytes[chosen])

    def batches(self) -> Iterator[tuple[Int64s, pa.LargeStringArray]]:
        """All texts once, as (their places among these, texts)."""
        for numbers, texts in self.read(self.numbers):
            yield np.searchsorted(self.numbers, numbers), texts

    def drawn(self, seed: int, what_for: str) -> npt.NDArray[np.float64]:
        """(n,) in [0, 1): where each document stands in a draw. Draws for different ends have nothing in common."""
        salt = np.uint64(xxhash.xxh3_64_intdigest(f"{seed}/{what_for}".encode()))
        return (_mixed(self.hashes ^ salt) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    @classmethod
    def of(cls, ids: Sequence[str], texts: Sequence[str]) -> Texts:
        """Documents that are in memory."""
        array = pa.array(texts, pa.large_string())

        def read(numbers: Int64s) -> Iterator[tuple[Int64s, pa.LargeStringArray]]:
            for i in range(0, len(numbers), BATCH):
                yield numbers[i : i + BATCH], array.take(pa.array(numbers[i : i + BATCH]))

        parts = [exact_keys(TextBatch(array[i : i + BATCH])) for i in range(0, len(array), BATCH)]
        keys = np.concatenate([np.zeros((0, 2), np.uint64), *parts])
        n_bytes = np.array([len(text.encode()) for text in texts], np.int64)
        found = cls(np.arange(len(ids)), _hashes(ids), n_bytes, read, lambda numbers: [ids[i] for i in numbers])
        return found.where(_one_of_each(keys, found.hashes))

    @classmethod
    def of_sources(cls, sifted: Sifted, source_of: Sequence[str], wanted: Collection[str]) -> Texts:
        """The readable records of the wanted sources, as the first pass left them and numbered as there.

        `source_of`: the name of each unit's source.
        """
        numbers, hashes, n_bytes = [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
        keys = [np.zeros((0, 2), np.uint64)]
        for unit, source in enumerate(source_of):
            if source not in wanted:
                continue
            for records, rows in sifted.groups(unit, ["id", "reason", "n_bytes", "key_high", "key_low"]):
                readable = np.flatnonzero(rows["reason"].is_null().to_numpy())
                rows = rows.take(pa.array(readable))
                numbers.append(records.start + readable)
                hashes.append(_hashes(rows["id"].to_pylist()))
                n_bytes.append(rows["n_bytes"].to_numpy())
                keys.append(np.stack([rows["key_high"].to_numpy(), rows["key_low"].to_numpy()], axis=1))

        def name(some: Int64s) -> list[str]:
            ids: list[str] = sifted.take(some, ["id"])["id"].to_pylist()
            return ids

        every = np.concatenate(hashes)
        found = cls(np.concatenate(numbers), every, np.concatenate(n_bytes), sifted.batches, name)
        return found.where(_one_of_each(np.concatenate(keys), every))


def _hashes(ids: Sequence[str]) -> UInt64s:
    return np.fromiter((xxhash.xxh3_64_intdigest(one.encode()) for one in ids), np.uint64, len(ids))


def _one_of_each(keys: UInt64s, hashes: UInt64s) -> Bools:
    """Of the documents with one key (n, 2), the one whose id has the lowest hash."""
    order = np.lexsort((np.arange(len(keys)), hashes, keys[:, 1], keys[:, 0]))
    opens = np.ones(len(keys), np.bool_)
    opens[1:] = (keys[order[1:]] != keys[order[:-1]]).any(axis=1)
    chosen = np.zeros(len(keys), np.bool_)
    chosen[order[opens]] = True
    return chosen


def _mixed(values: UInt64s) -> UInt64s:
    """Murmur3's 64-bit finaliser, over an array: curate.text.mix does it inside kernels."""
    values = values ^ (values >> np.uint64(33))
    values = values * np.uint64(0xFF51AFD7ED558CCD)
    values ^= values >> np.uint64(33)
    values *= np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ (values >> np.uint64(33))
