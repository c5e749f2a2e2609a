"""Pass 5: tokenise what stayed and write it as shards, one task per shard file; beside them the documents themselves.

    (corpus, split) ─▶ data-00000-of-00003.arrow   input_ids, id, source, n_bytes
                    ─▶ documents/train/domain-00000.parquet   id, text, source, meta

Which documents a file holds follows from their order and sizes alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.engine import Pass, Tally
from curate.passes.sift import TableWriter
from curate.passes.sifted import Sifted
from curate.shards.format import TokenBatch, shard_name, token_dtype, write_shard_file
from curate.tokenizing import Tokenizer

Int64s = npt.NDArray[np.int64]

DOCUMENTS = pa.schema(
    [("id", pa.large_string()), ("text", pa.large_string()), ("source", pa.string()), ("meta", pa.string())]
)


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """One shard file to be: which records, in which order."""

    corpus: str
    split: str
    index: int
    of: int
    records: Int64s

    @property
    def place(self) -> str:
        """Path below shards/."""
        return f"{self.corpus}/{self.split}/{shard_name(self.index, self.of)}"

    @property
    def documents_place(self) -> str:
        """Path below curated/documents/."""
        return f"{self.split}/{self.corpus}-{self.index:05d}.parquet"


def plan_shards(corpus: str, split: str, records: Int64s, n_bytes: Int64s, shard_bytes: float) -> list[ShardPlan]:
    """Consecutive documents together until their shard would pass `shard_bytes`.

    A byte of text takes about half a byte of shard: English is four bytes a token and a token two.
    """
    if len(records) == 0:
        return []
    room = int(2 * shard_bytes)
    number = (np.cumsum(n_bytes) - n_bytes) // room  # by where a document begins
    parts = np.split(records, np.flatnonzero(np.diff(number)) + 1)
    return [ShardPlan(corpus, split, i, len(parts), part) for i, part in enumerate(parts)]


class Shard(Pass):
    name = "shard"

    def __init__(
        self,
        folder: Path,
        plans: Sequence[ShardPlan],
        sifted: Sifted,
        names: Path,
        tokenizer: Path,
    ) -> None:
        super().__init__(folder, len(plans))
        self.plans, self.sifted, self.names, self.tokenizer = plans, sifted, names, tokenizer

    def unit(self, rank: int, tally: Tally) -> None:
        plan = self.plans[rank]
        tokenizer = Tokenizer.load(str(self.tokenizer))
        documents = self.folder / "curated" / "documents" / plan.documents_place
        documents.parent.mkdir(parents=True, exist_ok=True)
        shard = self.folder / "shards" / plan.place
        shard.parent.mkdir(parents=True, exist_ok=True)
        with TableWriter(documents, DOCUMENTS) as writer:
            batches = self._batches(plan, tokenizer, writer, tally)
            write_shard_file(shard, batches, token_dtype(tokenizer.vocabulary))

    def _batches(
        self, plan: ShardPlan, tokenizer: Tokenizer, writer: TableWriter, tally: Tally
    ) -> Iterator[TokenBatch]:
        for records, texts in self.sifted.batches(plan.records):
            named = self._named(records)
            writer.write(pa.table([named["id"], texts, named["source"], named["meta"]], schema=DOCUMENTS))
            n_bytes = pc.binary_length(texts).to_numpy()
            tokens, offsets = tokenizer.encode(texts)
            yield TokenBatch(tokens, offsets, named["id"], named["source"], n_bytes)
            tally.add(len(records), int(n_bytes.sum()))

    def _named(self, records: Int64s) -> pa.Table:
        """id, source and meta of records that stand in one unit."""
        unit = int(np.searchsorted(self.sifted.first_row, records[0], side="right")) - 1
        table = pq.read_table(self.names / f"unit-{unit:05d}.parquet", columns=["id", "source", "meta"])
        return table.take(pa.array(records - self.sifted.first_row[unit])).combine_chunks()
