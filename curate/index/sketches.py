"""What an index knows of a document, and what two documents must have in common to be compared by it.

    text ─▶ exact key, shingle set ─▶ MinHash signature ─▶ what it is found by: its exact key, the keys of its bands

Sketches of another scheme, seed, banding or shingle recipe are numbers without a meaning here, so an index names its
own and refuses all others. It also keeps a digest of what a known text becomes: a version of this code that cuts words
or hashes them in another way is refused too, and not only one whose settings differ.

Legend: n documents, k permutations, b bands, s shingles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.dedup.candidates import band_keys
from curate.dedup.exact import exact_keys
from curate.dedup.minhash import EMPTY, SCHEME, UInt32s, parameters, permuted_minima
from curate.dedup.shingles import ShingleRecipe
from curate.settings import Duplicates
from curate.shards.fault import Fault
from curate.shards.seal import digest, first_difference
from curate.text import Int64s, TextBatch, UInt64s

_PROBE = "Fever of 39.5 °C, Menü x_1 don’t e\u0301t\u00e9; 発熱と咳が三日間続いている。 NAÏVE ДВА"
_AS_A_WHOLE = np.uint64(0x3C6EF372FE94F82B)  # tells an exact key from a band's


@dataclass(frozen=True, slots=True)
class SketchRecipe:
    seed: int
    bands: int
    rows: int
    shingle: ShingleRecipe

    @classmethod
    def of(cls, settings: Duplicates, seed: int) -> SketchRecipe:
        return cls(seed, settings.bands, settings.rows, ShingleRecipe.of(settings))

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> SketchRecipe:
        unit, length = next(iter(given["shingle"].items()))
        return cls(given["seed"], given["bands"], given["rows"], ShingleRecipe(unit, length))

    @property
    def permutations(self) -> int:
        return self.bands * self.rows

    def as_json(self) -> dict[str, Any]:
        return {
            "scheme": SCHEME,
            "seed": self.seed,
            "bands": self.bands,
            "rows": self.rows,
            "shingle": {self.shingle.unit: self.shingle.length},
            "hashes": _of_a_known_text(),
        }


@cache
def _of_a_known_text() -> str:
    batch = TextBatch.of([_PROBE])
    units: tuple[Literal["words"], Literal["characters"]] = ("words", "characters")
    hashes = [ShingleRecipe(unit, 3).sets(batch)[1].tolist() for unit in units]
    return digest([hashes, exact_keys(batch).tolist()])


def require_same(there: Mapping[str, Any], here: Mapping[str, Any], index: str, other: str) -> None:
    """Fault naming the first field in which the recipe of an index (as JSON) and another's differ. `other`: whose."""
    difference = first_difference(dict(there), dict(here))
    if difference is not None:
        field, was, is_ = difference
        raise Fault(
            f"the index {index} was made with {field} = {was}, {other} has {is_}",
            where=field,
            hint="sketches of two kinds cannot be compared: build another index, from the published text, with these",
        )


@dataclass(frozen=True, slots=True)
class Sketches:
    """Of documents of one batch."""

    ids: pa.LargeStringArray  # (n,)
    keys: UInt64s  # (n, 2)
    signatures: UInt32s  # (n, k)
    offsets: Int64s  # (n + 1,) into hashes
    hashes: UInt64s  # (s,) of each document the distinct shingles, ascending

    @classmethod
    def of(cls, ids: pa.LargeStringArray, batch: TextBatch, recipe: SketchRecipe) -> Sketches:
        offsets, hashes = recipe.shingle.sets(batch)
        # a set has the minima of the list it was made of, so these are the signatures that a run has, bit for bit
        signatures = permuted_minima(offsets, hashes, *parameters(recipe.permutations, recipe.seed))
        return cls(ids, exact_keys(batch), signatures, offsets, hashes)

    def __len__(self) -> int:
        return len(self.keys)

    def of_rows(self, rows: Int64s) -> Sketches:
        offsets, hashes = self.sets(rows)
        return Sketches(self.ids.take(pa.array(rows)), self.keys[rows], self.signatures[rows], offsets, hashes)

    def sets(self, rows: Int64s) -> tuple[Int64s, UInt64s]:
        """(offsets, hashes) of the shingle sets of some documents."""
        return sets_of(self.offsets, self.hashes, rows)


def sets_of(offsets: Int64s, hashes: UInt64s, rows: Int64s) -> tuple[Int64s, UInt64s]:
    begins, sizes = offsets[rows], offsets[rows + 1] - offsets[rows]
    ends = np.concatenate(([0], np.cumsum(sizes)))
    parts = [hashes[at : at + size] for at, size in zip(begins.tolist(), sizes.tolist(), strict=True)]
    return ends, np.concatenate([np.zeros(0, np.uint64), *parts])


def found_by(keys: UInt64s, signatures: UInt32s, bands: int) -> tuple[UInt64s, npt.NDArray[np.bool_]]:
    """(n, 1 + b): what documents are found by, the exact key first; and which of these count. A document without
    shingles resembles nothing, so it has no bands."""
    columns = np.column_stack((keys[:, 0] ^ _AS_A_WHOLE, band_keys(signatures, bands)))
    counts = np.ones(columns.shape, np.bool_)
    counts[:, 1:] = (signatures[:, :1] != EMPTY) if len(signatures) else True
    return columns, counts
