"""A segment: the documents that entered an index together, in files that are mapped and never change.

    segment-00000/
      ids.arrow                  n ids, Arrow IPC
      keys.npy                   (n, 2) uint64     exact keys
      signatures.npy             (n, k) uint32
      sizes.npy                  (n,)   uint32     distinct shingles of each document
      posted.npy                 (e,)   uint64     all that documents are found by, ascending ...
      documents.npy              (e,)   uint32     ... and the document each belongs to
      shingles.npy, offsets.npy  the shingle sets themselves, where the index carries them

Documents are numbered in the order they came. A document is posted under its exact key, under the key of each of its
bands, and under its name (id and text together), all in one sorted list: the kinds are told apart by their bits. The
list is made from the signatures once these lie on disk, through partitions (curate/dedup/partitions.py), so that
memory holds a part of it.

On disk a document takes 12 bytes for each band and for two more, 4 for each signature value, 28 for the rest, and its
id: 668 bytes and the id with 14 bands of 8 rows. Shingle sets take 8 bytes for each distinct shingle on top.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from curate.dedup.minhash import UInt32s
from curate.dedup.partitions import Spill, parts_for
from curate.index.names import Ids, names
from curate.index.sketches import Sketches, SketchRecipe, found_by, sets_of
from curate.shards.fault import Fault
from curate.text import Int64s, UInt64s

MOST_DOCUMENTS = 1 << 32  # of a segment: their numbers are of 32 bits
BLOCK = 1 << 14  # documents read back at a time
_IDS = pa.schema([("id", pa.large_string())])


@dataclass(frozen=True, slots=True)
class Segment:
    """Arrays are views of mapped files."""

    ids: Ids  # (n,)
    keys: UInt64s  # (n, 2)
    signatures: UInt32s  # (n, k)
    sizes: UInt32s  # (n,)
    posted: UInt64s  # (e,)
    documents: UInt32s  # (e,)
    offsets: Int64s | None  # (n + 1,)
    shingles: UInt64s | None

    @classmethod
    def open(cls, folder: Path, carries_sets: bool) -> Segment:
        names = [
            "keys",
            "signatures",
            "sizes",
            "posted",
            "documents",
            *(["offsets", "shingles"] if carries_sets else []),
        ]
        try:
            arrays = {name: _mapped(folder / f"{name}.npy") for name in names}
            ids = Ids.open(folder / "ids.arrow")
        except (OSError, ValueError, pa.ArrowInvalid) as error:
            raise damaged(folder, str(error)) from error
        whole = {"offsets": None, "shingles": None} | arrays
        return cls(ids, **whole)

    def __len__(self) -> int:
        return len(self.keys)

    def ranges(self, values: UInt64s) -> tuple[Int64s, Int64s]:
        """(begin, stop) in the list of posted documents for each value; `values` may have any shape."""
        order = np.argsort(values, axis=None)  # neighbours in the list are looked up one after another
        wanted = values.ravel()[order]
        begin, stop = np.empty(values.size, np.int64), np.empty(values.size, np.int64)
        begin[order] = np.searchsorted(self.posted, wanted)
        stop[order] = np.searchsorted(self.posted, wanted, side="right")
        return begin.reshape(values.shape), stop.reshape(values.shape)

    def sets(self, documents: Int64s) -> tuple[Int64s, UInt64s]:
        assert self.offsets is not None
        assert self.shingles is not None
        return sets_of(self.offsets, self.shingles, documents)

    def holds(self, some: Sketches) -> Iterator[int]:
        """Rows of `some` whose id stands here with the same text."""
        begin, stop = self.ranges(names(some.ids, some.keys))
        for row in np.flatnonzero(begin < stop).tolist():
            documents = self.documents[begin[row] : stop[row]].astype(np.int64)
            if (self.keys[documents] == some.keys[row]).all(axis=1).any():
                yield row


def damaged(place: Path, why: str) -> Fault:
    return Fault(f"the index is damaged: {place}: {why}", hint="build the index again from the published documents")


def _mapped(path: Path) -> Any:
    return np.asarray(np.load(path, mmap_mode="r"))


class SegmentWriter:
    """Writes a segment's files into an empty folder, batch by batch. Use as a context manager."""

    def __init__(self, folder: Path, recipe: SketchRecipe, carries_sets: bool) -> None:
        self.folder, self.recipe, self.carries_sets = folder, recipe, carries_sets
        self.documents = self._hashes = 0

    def __enter__(self) -> SegmentWriter:
        self._open = ExitStack()
        file = self._open.enter_context(pa.OSFile(str(self.folder / "ids.arrow"), "wb"))
        self._ids = self._open.enter_context(pa.ipc.new_file(file, _IDS))
        self._keys = self._array("keys", np.uint64, 2)
        self._signatures = self._array("signatures", np.uint32, self.recipe.permutations)
        self._sizes = self._array("sizes", np.uint32)
        if self.carries_sets:
            self._shingles, self._offsets = self._array("shingles", np.uint64), self._array("offsets", np.int64)
            self._offsets.add(np.zeros(1, np.int64))
        return self

    def _array(self, name: str, kind: type[np.generic], *columns: int) -> Growing:
        return self._open.enter_context(Growing(self.folder / f"{name}.npy", kind, *columns))

    def add(self, some: Sketches) -> None:
        self.documents += len(some)
        if self.documents > MOST_DOCUMENTS:
            raise Fault(f"a segment holds at most {MOST_DOCUMENTS:,} documents", hint="add them in several commands")
        self._ids.write_batch(pa.record_batch([some.ids], schema=_IDS))
        self._keys.add(some.keys)
        self._signatures.add(some.signatures)
        self._sizes.add(np.diff(some.offsets))
        if self.carries_sets:
            self._shingles.add(some.hashes)
            self._offsets.add(self._hashes + some.offsets[1:])
            self._hashes += len(some.hashes)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()
        if kind is None:
            self._post()

    def _post(self) -> None:
        """Sort what documents are found by; they are read back from the files."""
        ids = Ids.open(self.folder / "ids.arrow").column
        keys, signatures = _mapped(self.folder / "keys.npy"), _mapped(self.folder / "signatures.npy")
        spilled = self.folder / "spilled"
        with Spill(spilled, 2, parts_for(self.documents * (self.recipe.bands + 2))) as spill:
            for at in range(0, self.documents, BLOCK):
                block = slice(at, at + BLOCK)
                values, counts = found_by(keys[block], signatures[block], self.recipe.bands)
                values = np.column_stack((values, names(ids.slice(at, BLOCK), keys[block])))
                counts = np.column_stack((counts, np.ones(len(counts), np.bool_)))
                documents = np.broadcast_to(at + np.arange(len(values), dtype=np.uint64)[:, None], values.shape)
                spill.add(np.stack((values[counts], documents[counts]), axis=1))
        with (
            Growing(self.folder / "posted.npy", np.uint64) as posted,
            Growing(self.folder / "documents.npy", np.uint32) as documents_file,
        ):
            for entries in spill.read():
                ordered = entries[np.lexsort((entries[:, 1], entries[:, 0]))]
                posted.add(ordered[:, 0])
                documents_file.add(ordered[:, 1])
        spilled.rmdir()


class Growing:
    """An .npy file whose number of rows is known when it is closed."""

    def __init__(self, path: Path, kind: type[np.generic], *columns: int) -> None:
        self.path, self.kind, self.columns, self.rows = path, np.dtype(kind).newbyteorder("<"), columns, 0

    def __enter__(self) -> Growing:
        self._file = self.path.open("wb")
        self._head()
        self._first = self._file.tell()
        return self

    def add(self, values: np.ndarray) -> None:
        self._file.write(np.ascontiguousarray(values, self.kind).data)
        self.rows += len(values)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.seek(0)
        self._head()
        assert self._file.tell() == self._first  # NumPy leaves room for the rows to grow
        self._file.close()

    def _head(self) -> None:
        shape = (self.rows, *self.columns)
        about = {"descr": np.lib.format.dtype_to_descr(self.kind), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, about)
