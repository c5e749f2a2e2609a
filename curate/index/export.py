"""An index as a `datasketch.MinHashLSH`, in a pickle: for those who hold their corpora in datasketch's stores.

The signatures are datasketch's own (scheme affine32), so they go in as they are. The LSH lives in memory as Python
objects, several kilobytes a document. It is read back and asked about some of the documents before it is put in place.

A document without a shingle resembles nothing and is left out; in a MinHashLSH all of these would find one another.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from curate.dedup.minhash import EMPTY, SCHEME, UInt32s
from curate.index.folder import Index
from curate.index.segment import BLOCK
from curate.shards.fault import Fault

ASKED = 100  # documents of which the LSH that was read back must know the name and give what the index gives


def export(index: Index, path: Path) -> tuple[int, int]:
    """(documents exported, documents left out). Ids that stand in the index with several texts become id, id#2 ..."""
    from datasketch import LeanMinHash, MinHashLSH

    recipe = index.recipe
    if recipe.bands < 2:
        raise Fault("datasketch's LSH has two bands or more, the index has 1", hint="build an index with --bands 2")
    lsh = MinHashLSH(num_perm=recipe.permutations, params=(recipe.bands, recipe.rows))
    left_out = 0
    for name, signature in _documents(index):
        if signature[0] == EMPTY:
            left_out += 1
        else:
            sketch = LeanMinHash(seed=recipe.seed, hashvalues=signature, scheme=SCHEME)
            lsh.insert(_free(name, lsh), sketch, check_duplication=False)
    beside = path.with_name(f".{path.name}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with beside.open("wb") as file:
            pickle.dump(lsh, file, protocol=pickle.HIGHEST_PROTOCOL)
        with beside.open("rb") as file:
            _require_same(index, pickle.load(file), len(index) - left_out)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return len(index) - left_out, left_out


def _documents(index: Index) -> Iterator[tuple[str, UInt32s]]:
    for segment in index.segments:
        for at in range(0, len(segment), BLOCK):
            names = segment.ids.column.slice(at, BLOCK).to_pylist()
            yield from zip(names, np.array(segment.signatures[at : at + BLOCK]), strict=True)


def _free(name: str, lsh: Any) -> str:
    number, free = 1, name
    while free in lsh.keys:
        number += 1
        free = f"{name}#{number}"
    return free


def _require_same(index: Index, lsh: Any, documents: int) -> None:
    """The LSH read back holds every document and finds the same ones by each of some signatures."""
    from datasketch import LeanMinHash

    recipe = index.recipe
    assert len(lsh.keys.keys()) == documents
    for number in np.unique(np.linspace(0, len(index) - 1, ASKED).astype(np.int64)):
        signature = index.values("signatures", np.array([number]))[0]
        if signature[0] == EMPTY:
            continue
        found = lsh.query(LeanMinHash(seed=recipe.seed, hashvalues=signature, scheme=SCHEME))
        assert len(found) == _sharing_a_band(index, signature), number
        name = index.ids(np.array([number]))[0].as_py()
        assert any(one == name or one.startswith(f"{name}#") for one in found), name


def _sharing_a_band(index: Index, signature: UInt32s) -> int:
    """How many documents of the index have all rows of some band in common with a signature, by its own keys."""
    from curate.dedup.candidates import band_keys

    keys = band_keys(signature[None], index.recipe.bands)[0]
    met: set[int] = set()
    for at, segment in enumerate(index.segments):
        for begin, stop in zip(*segment.ranges(keys), strict=True):
            met |= {at << 32 | int(document) for document in segment.documents[begin:stop]}
    return len(met)
