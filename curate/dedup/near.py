"""Clusters of near-duplicates: signatures to candidate pairs to verified pairs, a part of them in memory at a time.

    signatures ─band keys▶ partitions ─sort▶ runs ─walk▶ pairs that agree ─exact Jaccard▶ verified ─unite▶ clusters

Signatures are streamed twice: once for the keys of their bands, once more for those of the documents that meet another,
which go into a file of fixed rows. Per document that meets another, 24 bytes are held (its record, two union-finds, the
place of its shingle set), 8 per verified pair, and two per document of the corpus: items are numbers of 32 bits while
they fit. Pairs are verified `PAIRS_HELD` at a time, counted over the whole stream of proposals, so that no answer
depends on how the work was cut.

Legend: N records of the corpus, m items, v verified pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from curate.dedup.candidates import Effort, Walk, band_keys
from curate.dedup.clusters import apart, roots, singletons, unite
from curate.dedup.minhash import EMPTY, UInt32s, least_agreement
from curate.dedup.partitions import Numbering, Numbers, Runs, Spill, distinct, narrowest, parts_for, positions
from curate.dedup.scattered import read_pieces
from curate.dedup.verify import ShingleStore
from curate.settings import Duplicates
from curate.text import Int64s, UInt64s

Bools = npt.NDArray[np.bool_]

PAIRS_HELD = 1 << 19
PAIRS_AT_ONCE = 1 << 15  # verified before what they connected is left out of the rest
REJECTED_HELD = 1 << 20


class NearSketches(Protocol):
    """What is known of the documents, wherever it lies. Records ascend throughout an answer."""

    def signatures(self, wanted: Bools) -> Iterator[tuple[Int64s, UInt32s]]:
        """(records, signatures) of the wanted ones (N,) that take part, some at a time."""

    def shingle_sets(self, records: Int64s) -> Iterator[tuple[Int64s, Int64s, UInt64s]]:
        """(records, offsets, hashes) of distinct, ascending shingles, some at a time."""


@dataclass(frozen=True, slots=True)
class Near:
    items: Numbers  # (m,) the records that share a band with another, ascending
    cluster: Numbers  # (m,) the lowest item of each one's cluster
    verified: Numbers  # (v, 2) pairs of items that reach the bound, among them all that clusters grew on
    compared: int  # distinct pairs compared exactly
    store: ShingleStore


@contextmanager
def near_copies(sketches: NearSketches, wanted: Bools, settings: Duplicates, scratch: Path) -> Iterator[Near]:
    """Cluster the wanted records; shingle sets that were read stay at hand inside the block."""
    files, meets = _meetings(sketches, wanted, settings, scratch)
    items = np.flatnonzero(meets).astype(narrowest(len(meets)))

    def sets(asked: Numbers) -> Iterator[tuple[Int64s, Int64s, UInt64s]]:
        for records, offsets, hashes in sketches.shingle_sets(items[asked].astype(np.int64)):
            yield np.searchsorted(items, records.astype(items.dtype)), offsets, hashes

    with (
        SignatureFile(scratch / "signatures", sketches.signatures(meets)) as signatures,
        ShingleStore(scratch / "shingles", len(items), sets) as store,
    ):
        del meets
        growing = _Growing(store, singletons(len(items)), settings.verify_at_least)
        least_agree = least_agreement(settings.bands * settings.rows, settings.verify_at_least)
        for spans in (True, False):
            # a copy: what a walk verifies on its way must not change what it proposes
            walk = Walk(signatures, settings.bands, growing.parent.copy(), spans, least_agree, Effort())
            for pairs in walk.small(_parts(files)):
                growing.offer(pairs)
            for pairs in walk.big(_parts(files)):
                growing.offer(pairs)
            growing.finish()
            del walk
        near = Near(items, roots(growing.parent), growing.all_verified(), growing.compared, store)
        del growing
        yield near


def _meetings(sketches: NearSketches, wanted: Bools, settings: Duplicates, scratch: Path) -> tuple[list[Path], Bools]:
    """(files of runs of items, the records that are items (N,)): those that meet another.

    A document without shingles resembles nothing and meets nobody.
    """
    bands, folder = settings.bands, scratch / "bands"
    with Spill(folder, 2, parts_for(int(wanted.sum()) * bands)) as spill:
        for records, signatures in sketches.signatures(wanted):
            if signatures.shape[1] != bands * settings.rows:
                raise ValueError(
                    f"signatures of {signatures.shape[1]} values cannot make {bands} bands of {settings.rows} rows"
                )
            sketched = np.flatnonzero(signatures[:, 0] != EMPTY)
            keys = band_keys(signatures[sketched], bands).ravel()
            spill.add(np.stack((keys, np.repeat(records[sketched].astype(np.uint64), bands)), axis=1))
    files, meets = [], np.zeros(len(wanted), np.bool_)
    for part, found in enumerate(spill.runs()):
        meets[found.records] = True
        files.append(folder / f"runs-{part:03d}.npz")
        _save(files[-1], Runs(found.records.astype(narrowest(len(wanted))), found.first))
    number = Numbering.of(meets)
    for path, found in zip(files, _parts(files), strict=True):
        _save(path, Runs(number(found.records), found.first))
    return files, meets


def _save(path: Path, found: Runs) -> None:
    np.savez(path, records=found.records, first=found.first)


def _parts(files: list[Path]) -> Iterator[Runs]:
    for path in files:
        with np.load(path) as arrays:
            yield Runs(arrays["records"], arrays["first"])


class SignatureFile:
    """Signatures of items in the order they come, on disk; calling it fetches some."""

    def __init__(self, path: Path, blocks: Iterator[tuple[Int64s, UInt32s]]) -> None:
        self.width = 0
        with path.open("wb") as file:
            for _, signatures in blocks:
                self.width = signatures.shape[1]
                file.write(np.ascontiguousarray(signatures).data)
        self._file = path.open("rb")

    def __enter__(self) -> SignatureFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __call__(self, items: Numbers) -> UInt32s:
        """(len(items), k) in the order given."""
        rows = np.empty((len(items), self.width), np.uint32)
        each = self.width * rows.itemsize
        read_pieces(self._file.fileno(), items * np.int64(each), np.full(len(items), each), rows)
        return rows


@dataclass(slots=True)
class _Growing:
    """Clusters that grow on what is verified; pairs wait until there are `PAIRS_HELD` of them."""

    store: ShingleStore
    parent: Numbers
    at_least: float
    waiting: list[Int64s] = field(default_factory=list)
    verified: list[Numbers] = field(default_factory=list)
    rejected: Int64s = field(default_factory=lambda: np.zeros(0, np.int64))  # ascending codes of the latest
    compared: int = 0

    def offer(self, pairs: Int64s) -> None:
        self.waiting.append(pairs)
        while sum(map(len, self.waiting)) >= PAIRS_HELD:
            together = np.concatenate(self.waiting)
            self.waiting = [together[PAIRS_HELD:]]
            self._verify(together[:PAIRS_HELD])

    def finish(self) -> None:
        if self.waiting:
            self._verify(np.concatenate(self.waiting))
            self.waiting = []

    def all_verified(self) -> Numbers:
        return np.concatenate([np.zeros((0, 2), self.parent.dtype), *self.verified])

    def _verify(self, pairs: Int64s) -> None:
        """Compare pairs exactly, those aside that are connected or were found too unlike already."""
        codes = distinct(pairs[:, 0] * len(self.parent) + pairs[:, 1])
        codes = codes[positions(codes, self.rejected) < 0]
        left, right = np.divmod(codes, max(1, len(self.parent)))
        open_ = apart(self.parent, left, right)
        left, right = left[open_], right[open_]
        self.store.fetch(np.concatenate((left, right)))  # all at once: their texts are read in one sweep
        for at in range(0, len(left), PAIRS_AT_ONCE):
            self._compare(left[at : at + PAIRS_AT_ONCE], right[at : at + PAIRS_AT_ONCE])

    def _compare(self, left: Int64s, right: Int64s) -> None:
        open_ = apart(self.parent, left, right)
        left, right = left[open_], right[open_]
        reached = self.store.jaccards(left, right) >= self.at_least
        self.compared += len(left)
        self.verified.append(np.stack((left[reached], right[reached]), axis=1).astype(self.parent.dtype))
        unite(self.parent, left[reached], right[reached])
        unlike = left[~reached] * len(self.parent) + right[~reached]
        remembered = self.rejected if len(self.rejected) < REJECTED_HELD else unlike[:0]
        self.rejected = np.sort(np.concatenate((remembered, unlike)))
