"""Duplicate clusters from the documents that have a copy: sizes, sides, and the pairs worth showing.

A document that stands alone is a cluster of its own and takes no memory here; one that has a copy takes 33 bytes. Codes
are 64-bit hashes of the cluster's name, which is the lowest id in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from pipelines.report.ledger import Bools, Chunk, Int64s, Names, UInt64s
from pipelines.report.tallies import of, together

LARGEST_CLUSTERS = 6
FARTHEST_PAIRS = 4
LARGEST_SIZE = 20  # larger ones are counted with it
SIDE = ("role", "source", "split")
HELD_OUT = ("validation", "test")

GATHERED = {
    "cluster": np.uint64,
    "document": np.uint64,  # hash of its id
    "row": np.int64,
    "similarity": np.float32,  # to the copy that stayed; NaN where it stayed itself
    "side": np.int32,  # place among the (role, source, split) seen; -1 where it left
    "left": np.uint8,  # for being a copy, exact or near; 0 where it didn't
}
EXACT, NEAR = 1, 2


@dataclass(frozen=True, slots=True)
class Match:
    """A copy that left, to be shown beside the document that stayed, and what there is to say of its cluster."""

    row: int
    size: int
    away: int
    """Documents of the cluster that left, of which `exact` were exact copies."""
    exact: int
    lowest: float | None
    """Similarity of the near copies to the documents that stayed in their place, and the highest."""
    highest: float | None
    largest: bool
    """Shown for the size of the cluster."""


class Clusters:
    def __init__(self) -> None:
        self._parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in GATHERED}
        self._sides: dict[tuple[int, ...], int] = {}

    def add(self, chunk: Chunk, hashes: UInt64s) -> None:
        is_copy = chunk.has("reason", "exact_duplicate") | chunk.has("reason", "near_duplicate")
        left = np.where(is_copy, np.where(chunk.has("reason", "exact_duplicate"), EXACT, NEAR), 0)
        gathered = pc.is_valid(chunk.table["cluster"]).to_numpy() | (left > 0)
        if not gathered.any():
            return
        found = {
            "cluster": chunk.hashes("cluster", "id")[gathered],
            "document": hashes[gathered],
            "row": chunk.first + np.flatnonzero(gathered),
            "similarity": chunk.values("similarity")[gathered],
            "side": self._side(chunk, gathered),
            "left": left[gathered],
        }
        for name, values in found.items():
            self._parts[name].append(values.astype(GATHERED[name]))

    def _side(self, chunk: Chunk, gathered: Bools) -> Int64s:  # (gathered,)
        """Where each of them stands that was kept."""
        codes = of(chunk, SIDE, gathered)
        _, first, group = np.unique(together(codes), return_index=True, return_inverse=True)
        seen = [tuple(int(code[place]) for code in codes) for place in first.tolist()]
        known = np.array([self._sides.setdefault(one, len(self._sides)) for one in seen], np.int64)
        return np.where(chunk.has("fate", "kept")[gathered], known[group], -1)

    def found(self, names: Names) -> Found:
        columns = {
            name: np.concatenate(parts) if parts else np.zeros(0, GATHERED[name]) for name, parts in self._parts.items()
        }
        self._parts = {name: [] for name in GATHERED}  # not held twice
        sides = [
            tuple(names.name(column, code) for column, code in zip(SIDE, codes, strict=True)) for codes in self._sides
        ]
        return Found(columns, sides)


class Found:
    """What the whole ledger holds of clusters. m: documents that have a copy."""

    def __init__(self, columns: Mapping[str, npt.NDArray[Any]], sides: list[tuple[str, ...]]) -> None:
        self._columns, self._sides = columns, sides
        names, self._of, self._sizes = np.unique(columns["cluster"], return_inverse=True, return_counts=True)
        self._names: UInt64s = names  # (clusters,)

    def numbers(self) -> dict[str, Any]:
        near = self._columns["left"] == NEAR
        similarity = self._columns["similarity"][near]
        counts, edges = np.histogram(similarity[np.isfinite(similarity)], np.linspace(0, 1, 51))
        several = self._sizes[self._sizes >= 2]
        sizes = np.bincount(np.minimum(several, LARGEST_SIZE)) if len(several) else np.zeros(0, np.int64)
        return {
            "clusters": len(several),
            "members": int(several.sum()),
            "exact": int((self._columns["left"] == EXACT).sum()),
            "near": int(near.sum()),
            "sizes": [{"size": size, "clusters": int(n)} for size, n in enumerate(sizes) if n],
            "similarity": {"edges": edges.round(4).tolist(), "documents": counts.tolist()},
        }

    def matches(self) -> list[Match]:
        """The largest clusters, each by its least similar copy, then the pairs that were least similar of all."""
        left = np.flatnonzero(self._columns["left"])
        likeness = np.nan_to_num(self._columns["similarity"][left], nan=1.0)
        left = left[np.lexsort((self._columns["document"][left], likeness))]  # least similar first
        _, first = np.unique(self._of[left], return_index=True)
        farthest = left[np.sort(first)]  # one of each cluster, least similar first
        cluster = self._of[farthest]
        largest = farthest[np.lexsort((self._names[cluster], -self._sizes[cluster]))[:LARGEST_CLUSTERS]]
        others = farthest[~np.isin(farthest, largest)][:FARTHEST_PAIRS]
        return [*(self._match(one, True) for one in largest), *(self._match(one, False) for one in others)]

    def _match(self, copy: np.int64, largest: bool) -> Match:
        members = np.flatnonzero(self._of == self._of[copy])
        left = self._columns["left"][members]
        near = self._columns["similarity"][members[left == NEAR]]
        near = near[np.isfinite(near)]
        return Match(
            row=int(self._columns["row"][copy]),
            size=len(members),
            away=int((left > 0).sum()),
            exact=int((left == EXACT).sum()),
            lowest=float(near.min()) if len(near) else None,
            highest=float(near.max()) if len(near) else None,
            largest=largest,
        )

    def on_side(self, *side: str) -> tuple[int, int]:
        """(documents, clusters) among the kept documents of a role, source and split that have a copy."""
        here = self._of[self._columns["side"] == (self._sides.index(side) if side in self._sides else -2)]
        return len(here), len(np.unique(here))

    def crossing(self) -> int:
        """Clusters that have kept documents both held out and trained on."""
        held_out, train = (
            np.isin(self._columns["side"], [place for place, side in enumerate(self._sides) if side[2] in splits])
            for splits in (HELD_OUT, ("train",))
        )
        return len(np.intersect1d(self._of[held_out], self._of[train]))
