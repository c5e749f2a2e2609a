"""Where each document's tokens stand in the files of a split: what a stream must know of shards that lie elsewhere.

    data-00000-of-00002.arrow   schema · batch (3 documents, tokens from byte 904) · batch (2, from byte 2,312) · end
    index.npz                   lengths 5 7 2 9 4 …    batch_documents 3 2 …    batch_first_byte 904 2312 …

4 bytes per document (5 where documents weigh): within a record batch tokens lie end to end, so lengths and one byte
position per batch tell the rest. It stands beside the files at a URL; on a disk the files themselves are as quick.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa

from curate.shards.fault import Fault
from curate.shards.format import WEIGHT

INDEX = "index.npz"


@dataclass(frozen=True, slots=True, eq=False)
class TokenIndex:
    """n documents in b record batches in f files, in the order of the split."""

    lengths: np.ndarray  # (n,) int32, tokens of each document
    weights: np.ndarray  # (n,) uint8, how often an epoch trains on each; (0,) where every one is trained on once
    batch_documents: np.ndarray  # (b,) int64, documents of each record batch
    batch_first_byte: np.ndarray  # (b,) int64, where its first token stands in its file
    file_batches: np.ndarray  # (f,) int64, record batches of each file
    file_bytes: np.ndarray  # (f,) int64, size of each file
    token_bytes: np.ndarray  # (1,) int64: 2 or 4

    @staticmethod
    def of(paths: list[Path]) -> TokenIndex:
        """Of the data files of one split, in order."""
        lengths, weights, documents, first_bytes, file_batches, widths = [], [], [], [], [], set()
        for path in paths:
            with pa.memory_map(str(path)) as file:
                whole = file.read_buffer()
                batches = list(pa.ipc.open_stream(pa.BufferReader(whole)))
                widths.add(pa.ipc.open_stream(pa.BufferReader(whole)).schema.field("input_ids").type.value_type)
            file_batches.append(len(batches))
            for batch in batches:
                lists = batch.column("input_ids")
                offsets, tokens = lists.offsets.to_numpy().astype(np.int64), lists.values.to_numpy()
                lengths.append(np.diff(offsets))
                documents.append(len(lists))
                # an empty array may lie anywhere
                at = tokens.ctypes.data - whole.address if len(tokens) else 0
                first_bytes.append(at + offsets[0] * tokens.itemsize)
                if WEIGHT in batch.schema.names:
                    weights.append(batch.column(WEIGHT).to_numpy())
        assert len(widths) == 1, "files of one split hold tokens of one width"
        return TokenIndex(
            np.concatenate([np.zeros(0), *lengths]).astype(np.int32),
            np.concatenate([np.zeros(0), *weights]).astype(np.uint8),
            np.array(documents, np.int64),
            np.array(first_bytes, np.int64),
            np.array(file_batches, np.int64),
            np.array([path.stat().st_size for path in paths], np.int64),
            np.array([widths.pop().bit_width // 8], np.int64),
        )

    def as_bytes(self) -> bytes:
        """A file of numpy's own format; equal indexes, equal bytes."""
        file = io.BytesIO()
        np.savez(file, **{field.name: getattr(self, field.name) for field in fields(self)})
        return file.getvalue()

    @staticmethod
    def from_bytes(content: bytes, where: str) -> TokenIndex:
        try:
            with np.load(io.BytesIO(content)) as arrays:
                return TokenIndex(**{field.name: arrays[field.name] for field in fields(TokenIndex)})
        except (ValueError, KeyError, OSError, EOFError) as error:
            hint = "postgrad export RUN URL --to shards  writes it"
            raise Fault(f"not an index of shards: {error}", where=where, hint=hint) from error

    @property
    def file_first(self) -> np.ndarray:
        """(f + 1,) int64, the first document of each file, and n."""
        batches = np.concatenate([[0], np.cumsum(self.file_batches)])
        return np.concatenate([[0], np.cumsum(self.batch_documents)])[batches].astype(np.int64)

    def positions(self, file: int) -> np.ndarray:
        """(documents of the file,) int64, the byte at which each one's first token stands."""
        first, last = self.file_first[file : file + 2]
        batches = slice(*np.concatenate([[0], np.cumsum(self.file_batches)])[file : file + 2])
        documents, lengths = self.batch_documents[batches], self.lengths[first:last].astype(np.int64)
        before = np.cumsum(lengths) - lengths  # tokens of the file before each document
        batch_first = np.cumsum(documents) - documents
        of_batch = np.append(before, 0)[batch_first]  # tokens of the file before each batch
        starts = self.batch_first_byte[batches] - of_batch * int(self.token_bytes[0])
        return np.repeat(starts, documents) + before * int(self.token_bytes[0])
