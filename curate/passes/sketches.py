"""The sketches that the first pass left, as deduplication asks for them: by row group, texts only where asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.dedup.minhash import UInt32s
from curate.dedup.shingles import ShingleRecipe
from curate.passes.repeats import Repeats
from curate.passes.sifted import Int64s, Sifted
from curate.text import TextBatch, UInt64s

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SiftedSketches:
    """See curate.dedup.resolve.Sketches."""

    sifted: Sifted
    repeats: Repeats
    takes_part: Bools  # (N,)
    shingle: ShingleRecipe

    def exact_keys(self) -> Iterator[tuple[Int64s, UInt64s]]:
        for records, rows in self.sifted.every(["key_high", "key_low"]):
            here = np.flatnonzero(self.takes_part[records])
            taken = rows.take(pa.array(here))
            columns = [taken[name].to_numpy().astype(np.uint64) for name in ("key_high", "key_low")]
            yield records.start + here, np.column_stack(columns)

    def signatures(self, wanted: Bools) -> Iterator[tuple[Int64s, UInt32s]]:
        for unit in range(self.sifted.units):
            part = self.sifted.records_of(unit)
            if wanted[part].any():
                for records, rows in self.sifted.groups(unit, ["signature"]):
                    here = np.flatnonzero(wanted[records])
                    yield records.start + here, signature_values(rows["signature"])[here]

    def named(self, records: Int64s) -> tuple[pa.LargeStringArray, Int64s]:
        rows = self.sifted.take(records, ["id", "n_chars"])
        return self.repeats.unique(records, rows["id"]), rows["n_chars"].to_numpy()

    def shingle_sets(self, records: Int64s) -> Iterator[tuple[Int64s, Int64s, UInt64s]]:
        for some, texts in self.sifted.batches(records):
            yield some, *self.shingle.sets(TextBatch(texts))


def signature_values(signatures: pa.ChunkedArray) -> UInt32s:
    """(n, k) of a column of fixed-width binaries; what a null holds is undefined."""
    array = signatures.combine_chunks()
    values = array.type.byte_width // 4
    raw = array.buffers()[1]
    everything = np.frombuffer(raw, np.uint32) if raw is not None else np.zeros(0, np.uint32)
    return everything[array.offset * values : (array.offset + len(array)) * values].reshape(len(array), values)
