"""The documents of a corpus in which copies are planted, to see what its deduplication finds (curate/dedup/planted.py).

Drawn by the hash of the id from the documents that stay, of all sources alike: the same ones whatever the order of the
input. They are what is left once copies are gone, so no other copy stands between a planted one and its original.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.planted import FEWEST_WORDS, MOST_ORIGINALS, MOST_WORDS, measure
from curate.passes.sifted import Sifted
from curate.settings import Duplicates
from curate.text import Int64s
from curate.xxh64 import xxh64

if TYPE_CHECKING:
    from curate.passes.decide import Corpus

FEWEST_BYTES = 2 * FEWEST_WORDS - 1  # a shorter document cannot have the words, parted by anything
MOST_CHARACTERS = 16 * MOST_WORDS  # that are read of a document
DRAWN = 2 * MOST_ORIGINALS  # some of them have too few words


def plant(corpus: Corpus, settings: Duplicates, seed: int) -> dict[str, Any]:
    """What is found of copies planted in a sample of the documents that stay."""
    scratch = corpus.scratch / "planted"
    scratch.mkdir()
    return measure(_texts(corpus.sifted, _drawn(corpus, seed)), settings, seed, scratch)


def _drawn(corpus: Corpus, seed: int) -> Int64s:
    """At most `DRAWN` records, in the order of their hashes: the lowest."""
    records, hashes = np.zeros(0, np.int64), np.zeros(0, np.uint64)
    kept = corpus.kept
    for at, rows in corpus.sifted.every(["id", "n_bytes"]):
        here = np.flatnonzero(kept[at] & (rows["n_bytes"].to_numpy() >= FEWEST_BYTES))
        ids = corpus.repeats.unique(at.start + here, rows["id"].take(pa.array(here)))
        records = np.concatenate((records, at.start + here))
        hashes = np.concatenate((hashes, xxh64(ids, f"{seed}/planted/")))
        lowest = np.argsort(hashes, kind="stable")[:DRAWN]
        records, hashes = records[lowest], hashes[lowest]
    return records


def _texts(sifted: Sifted, records: Int64s) -> pa.ChunkedArray:
    """The beginnings of documents, in the order given."""
    order = np.argsort(records)
    parts = [pc.utf8_slice_codeunits(some, 0, MOST_CHARACTERS) for _, some in sifted.batches(records[order])]
    return pa.chunked_array(parts, pa.large_string()).take(pa.array(np.argsort(order)))
