"""Megatron-LM's indexed dataset: <split>.bin, flat tokens; <split>.idx, where each document lies.

    .idx   "MMIDIDX\\0\\0" · u64 version 1 · u8 type (8: uint16, 4: int32) · u64 documents · u64 documents + 1
           i32 length of each · i64 byte offset of each · i64 numbers 0 .. documents

Megatron-LM, NeMo and their kin read them by the path without suffix. A sequence is a document, as their own
preprocessing writes them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from curate.shards.corpus import ShardSplit
from curate.shards.export import Tokens, batches, mapped
from curate.shards.fault import Fault

HEADER = b"MMIDIDX\x00\x00"
TYPES = {2: ("<u2", 8), 4: ("<i4", 4)}  # by bytes of a token in the shards


class Megatron:
    def write(self, split: ShardSplit, place: Path) -> list[Path]:
        kind, code = TYPES[split.dtype.itemsize]
        paths = [place.with_name(f"{place.name}{suffix}") for suffix in (".bin", ".idx")]
        with paths[0].open("wb") as file:
            for values, _ in batches(split):
                file.write(values.astype(kind).data)
        lengths = split.lengths.astype("<i4")
        ends = np.cumsum(lengths, dtype=np.int64) * split.dtype.itemsize
        with paths[1].open("wb") as file:
            file.write(HEADER + struct.pack("<QBQQ", 1, code, len(lengths), len(lengths) + 1))
            for array in (lengths, np.concatenate(([0], ends[:-1])) if len(ends) else ends, np.arange(len(ends) + 1)):
                file.write(array.astype("<i4" if array is lengths else "<i8").data)
        return paths

    def read(self, place: Path) -> Iterator[Tokens]:
        raw = place.with_name(f"{place.name}.idx").read_bytes()
        version, code, documents, _ = struct.unpack_from("<QBQQ", raw, len(HEADER))
        kinds = {code: kind for kind, code in TYPES.values()}
        if raw[: len(HEADER)] != HEADER or version != 1 or code not in kinds:
            raise Fault("not an index that Megatron wrote", where=f"{place}.idx")
        at = len(HEADER) + struct.calcsize("<QBQQ")
        lengths = np.frombuffer(raw, "<i4", documents, at)
        offsets = np.frombuffer(raw, "<i8", documents, at + 4 * documents)
        tokens = mapped(place.with_name(f"{place.name}.bin"), kinds[code])
        firsts = offsets // tokens.itemsize
        for first, length in zip(firsts.tolist(), lengths.tolist(), strict=True):
            yield tokens[first : first + length].astype(np.uint32), np.array([length])

    def how_to_load(self, place: Path) -> str:
        return f'megatron.core.datasets.indexed_dataset.IndexedDataset("{place}")'
