"""An n-gram index of more text than fits memory: batch by batch to partitions, partition by partition to its arrays.

    batch ─indexable▶ its n-grams ─spill by upper bits of the hash▶ ┬ part 0 ─sort, merge▶ hashes, holders
                                                                    └ …       ─set bits──▶ a stretch of the bitmap

The arrays of an index are in the order of the hashes, so partitions by the hash's upper bits follow each other in
them, and in the bitmap. What stands in the folder is what `NgramIndex.save` writes of an index that was built at once
(a test compares them); what is held is one partition, and the ids of the indexed documents.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.dedup.partitions import Spill
from curate.hash_lookup import bitmap_bits, set_bits
from curate.ngram_index import Grams, Int32s, NgramIndex, by_id, indexable, merged
from curate.text import TextBatch, UInt64s

PARTS = 64  # of 10^8 n-grams a part is 25 MB; more parts would be more files than a small corpus is worth
KINDS: dict[str, npt.DTypeLike] = {"hashes": np.uint64, "owner": np.int32, "shared": np.int32, "n_words": np.uint8}


def build_index(
    batches: Iterable[tuple[Sequence[str] | pa.Array, TextBatch]], words: int, shortest: int, folder: Path
) -> NgramIndex:
    """As `NgramIndex.build`, into `folder`; the answer maps it. The order of the batches does not matter."""
    ids, sizes, lengths = [pa.array([], pa.large_string())], [np.zeros(0, np.int64)], np.zeros(0, np.uint8)
    too_short = 0
    with Spill(folder / "parts", 2, PARTS) as spill:
        for some, batch in batches:
            grams, too_few = indexable(batch, words, shortest)
            spill.add(_entries(grams, sum(map(len, ids))))
            ids.append(pa.array(some, pa.large_string()))
            sizes.append(np.bincount(grams.of, minlength=len(batch)))
            lengths = np.unique(np.concatenate((lengths, grams.n_words)))
            too_short += too_few
    owners, rank = by_id(pa.concat_arrays(ids))
    by_owner = np.empty(len(rank), np.int32)
    by_owner[rank] = np.concatenate(sizes)
    none = merged(np.zeros(0, np.uint64), np.zeros(0, np.int32), np.zeros(0, np.uint8), 0)
    bitmap = np.zeros(0, np.uint64)
    NgramIndex(owners, by_owner, **none._asdict(), lengths=lengths, bitmap=bitmap, too_short=too_short).save(folder)
    _write_bitmap(folder, _write_columns(folder, spill, rank))
    shutil.rmtree(folder / "parts")
    return NgramIndex.load(folder)


def _entries(grams: Grams, n_before: int) -> UInt64s:  # (g, 2): hash; document and words
    document = (grams.of.astype(np.int64) + n_before).astype(np.uint64) << np.uint64(8)
    return np.stack((grams.hash, document | grams.n_words), axis=1)


def _write_columns(folder: Path, spill: Spill, rank: Int32s) -> list[int]:
    """The arrays in the order of the hashes; returns the n-grams of each part."""
    counts, n_shared = [], 0
    with ExitStack() as files:
        columns = {name: files.enter_context(_Npy(folder / f"{name}.npy", kind)) for name, kind in KINDS.items()}
        for entries in spill.read():
            owner = rank[(entries[:, 1] >> np.uint64(8)).astype(np.int64)]
            part = merged(entries[:, 0], owner, (entries[:, 1] & np.uint64(0xFF)).astype(np.uint8), n_shared)
            for name, column in columns.items():
                column.write(getattr(part, name))
            counts.append(len(part.hashes))
            n_shared += len(part.shared)
    return counts


def _write_bitmap(folder: Path, counts: list[int]) -> None:
    """The bitmap of all hashes, part after part: each part has the same stretch of it."""
    bits = bitmap_bits(sum(counts))
    within = np.uint64((1 << 64) // PARTS - 1)  # the bits of a hash that tell its place in a stretch
    with (folder / "hashes.npy").open("rb") as hashes, _Npy(folder / "bitmap.npy", np.uint64) as bitmap:
        np.lib.format.read_magic(hashes)
        np.lib.format.read_array_header_1_0(hashes)
        for count in counts:
            stretch = np.zeros((1 << bits) // 64 // PARTS, np.uint64)
            bitmap.write(set_bits(stretch, np.fromfile(hashes, np.uint64, count) & within, np.uint64(64 - bits)))


class _Npy:
    """A .npy file of one dimension, written on: its length is put into the header at the end."""

    def __init__(self, path: Path, kind: npt.DTypeLike) -> None:
        self.path, self.kind, self.length = path, np.dtype(kind), 0

    def __enter__(self) -> _Npy:
        self.file = self.path.open("wb")
        self._head()
        return self

    def write(self, values: np.ndarray) -> None:
        self.file.write(np.ascontiguousarray(values).data)
        self.length += len(values)

    def __exit__(self, *_: object) -> None:
        self.file.seek(0)
        self._head()  # NumPy leaves room in a header for its length to grow
        self.file.close()

    def _head(self) -> None:
        head = {"shape": (self.length,), "fortran_order": False, "descr": self.kind.str}
        np.lib.format.write_array_header_1_0(self.file, head)
