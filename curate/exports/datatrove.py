"""datatrove's tokenised files: <split>.ds, flat little-endian tokens; .ds.index, where documents end; .ds.metadata.

    .ds           u16, u32 where the shards hold u32: datatrove takes 2 bytes for vocabularies up to 65,536 too
    .ds.index     u64 each, in tokens, without a leading zero
    .ds.metadata  tokenizer|bytes per token, then the number of tokens twice, the second time for people

nanotron and datatrove's `DatatroveFolderDataset` read them, in windows of a fixed length.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from curate.shards.corpus import ShardSplit
from curate.shards.export import Tokens, batches, mapped

DOCUMENTS_READ = 1 << 12


class Datatrove:
    def write(self, split: ShardSplit, place: Path) -> list[Path]:
        paths = [place.with_name(f"{place.name}{suffix}") for suffix in (".ds", ".ds.index", ".ds.metadata")]
        written = 0
        with paths[0].open("wb") as tokens, paths[1].open("wb") as ends:
            for values, lengths in batches(split):
                tokens.write(values.astype(values.dtype.newbyteorder("<"), copy=False).data)
                ends.write((written + np.cumsum(lengths, dtype=np.uint64)).astype("<u8").data)
                written += len(values)
        paths[2].write_text(f"shards|{split.dtype.itemsize}\n{written}\n{written / 1e6:,.1f} million", encoding="utf-8")
        return paths

    def read(self, place: Path) -> Iterator[Tokens]:
        ends = np.fromfile(place.with_name(f"{place.name}.ds.index"), "<u8").astype(np.int64)
        told = place.with_name(f"{place.name}.ds.metadata").read_text(encoding="utf-8")
        width = int(told.split("\n")[0].rpartition("|")[2])
        tokens = mapped(place.with_name(f"{place.name}.ds"), f"<u{width}")
        lengths, first = np.diff(ends, prepend=0), 0
        for at in range(0, len(ends), DOCUMENTS_READ):
            some = lengths[at : at + DOCUMENTS_READ]
            yield tokens[first : first + int(some.sum())], some
            first += int(some.sum())

    def how_to_load(self, place: Path) -> str:
        return f'datatrove.utils.dataset.DatatroveFolderDataset("{place.parent}", seq_len=2048)'
