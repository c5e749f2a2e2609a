"""An n-gram index of more text than fits memory: batch by batch to partitions, partition by partition to its arrays.

    batch ─NgramIndex.build▶ its n-grams ─spill by upper bits of the hash▶ ┬ part 0 ─sort, merge▶ hashes, owners, counts
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
import pyarrow.compute as pc

from curate.contamination import _BITS_PER_NGRAM, NgramIndex
from curate.contamination import _set_bits as set_bits
from curate.dedup.partitions import Spill
from curate.text import Int64s, TextBatch, UInt64s

PARTS = 256
COLUMNS: dict[str, npt.DTypeLike] = {"hashes": np.uint64, "owner": np.int32, "held_by": np.int32, "n_words": np.uint8}


def build_index(batches: Iterable[tuple[Sequence[str] | pa.Array, TextBatch]], words: int, folder: Path) -> NgramIndex:
    """As `NgramIndex.build`, into `folder`; the answer maps it. The order of the batches does not matter."""
    ids, lengths, n_owners, too_short = [pa.array([], pa.large_string())], np.zeros(0, np.uint8), 0, 0
    with Spill(folder / "parts", 3, PARTS) as spill:
        for some, batch in batches:
            index = NgramIndex.build([(some, batch)], words)
            owner = (n_owners + index.owner.astype(np.int64)).astype(np.uint64) << np.uint64(8)
            spill.add(np.stack((index.hashes, owner | index.n_words, index.held_by.astype(np.uint64)), axis=1))
            ids.append(index.owners)
            n_owners += len(index.owners)
            too_short += index.too_short
            lengths = np.unique(np.concatenate((lengths, index.lengths)))
    names = pa.concat_arrays(ids)
    order = pc.sort_indices(names).to_numpy().astype(np.int64)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    none = {name: np.zeros(0, kind) for name, kind in COLUMNS.items()}
    owners = names.take(pa.array(order))
    NgramIndex(owners=owners, lengths=lengths, bitmap=np.zeros(0, np.uint64), too_short=too_short, **none).save(folder)
    _write_bitmap(folder, _write_columns(folder, spill, rank))
    shutil.rmtree(folder / "parts")
    return NgramIndex.load(folder)


def _write_columns(folder: Path, spill: Spill, rank: Int64s) -> list[int]:
    """The arrays in the order of the hashes; returns the n-grams of each part."""
    counts = []
    with ExitStack() as files:
        columns = {name: files.enter_context(_Npy(folder / f"{name}.npy", kind)) for name, kind in COLUMNS.items()}
        for entries in spill.read():
            merged = _merged(entries, rank)
            for name, column in columns.items():
                column.write(merged[name].astype(COLUMNS[name]))
            counts.append(len(merged["hashes"]))
    return counts


def _merged(entries: UInt64s, rank: Int64s) -> dict[str, np.ndarray]:
    """Each n-gram once, with the owner of lowest id and the sum of those that hold it."""
    owner = rank[(entries[:, 1] >> np.uint64(8)).astype(np.int64)]
    order = np.lexsort((owner, entries[:, 0]))
    hashes = entries[order, 0]
    opens = np.flatnonzero(np.concatenate((np.ones(min(1, len(hashes)), np.bool_), hashes[1:] != hashes[:-1])))
    held_by = np.add.reduceat(entries[order, 2], opens) if len(opens) else hashes
    n_words = entries[order[opens], 1] & np.uint64(0xFF)
    return {"hashes": hashes[opens], "owner": owner[order[opens]], "held_by": held_by, "n_words": n_words}


def _write_bitmap(folder: Path, counts: list[int]) -> None:
    """The bitmap of all hashes, part after part: each part has the same stretch of it."""
    bits = max(sum(counts) * _BITS_PER_NGRAM - 1, (1 << 16) - 1).bit_length()
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
