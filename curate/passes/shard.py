"""Pass 5: tokenise what stayed, in parts that keep all workers busy, and join the parts to shards.

    (corpus, split) ─cut▶ parts ─tokenise, in parallel▶ streams ─join▶ data-00000-of-00003.arrow
                                                      ─▶ documents/train/domain-00000.parquet

A part is a task (curate/passes/parts.py). Its stream and the lengths of its documents lie in parts/ until the shards
and the ledger are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.engine import Pass, Tally
from curate.passes.parts import Part, ShardPlan, split_of
from curate.passes.sift import TableWriter
from curate.passes.sifted import Int64s, Sifted
from curate.shards.format import TokenBatch, token_dtype, write_shard_file
from curate.shards.join import join_streams
from curate.split import SIDES
from curate.tokenizing import Tokenizer

DOCUMENTS = pa.schema(
    [
        ("id", pa.large_string()),
        ("text", pa.large_string()),
        ("source", pa.string()),
        ("meta", pa.string()),
        ("licence", pa.string()),
        ("consent", pa.string()),
        ("weight", pa.uint8()),
    ]
)


class Shard(Pass):
    name = "shard"

    def __init__(
        self,
        folder: Path,
        plan: ShardPlan,
        sifted: Sifted,
        decided: Path,
        tokenizer: Path,
        terms: Sequence[str] = (),
        *,
        control_tokens: bool = False,
    ) -> None:
        """`terms`: licence, consent, where a source of the recipe tells them; weight, where it rehydrates.
        `control_tokens`: literal special tokens in a text are control tokens."""
        super().__init__(folder, len(plan.parts))
        self.terms, self.control_tokens = tuple(terms), control_tokens
        self.plan, self.sifted, self.decided, self.tokenizer = plan, sifted, sifted.beside(decided), tokenizer

    def unit(self, rank: int, tally: Tally) -> None:
        part = self.plan.parts[rank]
        written = (self.tokenizer / "tokenizer.json").stat().st_mtime_ns
        tokenizer = _tokenizer(str(self.tokenizer), written, self.control_tokens)
        documents = self.folder / "curated" / "documents" / part.documents_place
        documents.parent.mkdir(parents=True, exist_ok=True)
        (self.folder / "shards").mkdir(exist_ok=True)  # its absence says that it was moved to its place
        lengths: list[Int64s] = []
        with TableWriter(documents, DOCUMENTS) as writer:
            batches = self._batches(part, tokenizer, writer, lengths, tally)
            dtype = token_dtype(tokenizer.vocabulary)
            write_shard_file(stream_file(self.folder, rank), batches, dtype, self.terms)
        np.save(lengths_file(self.folder, rank), np.concatenate(lengths).astype(np.int32))

    def _batches(
        self, part: Part, tokenizer: Tokenizer, writer: TableWriter, lengths: list[Int64s], tally: Tally
    ) -> Iterator[TokenBatch]:
        for rows in self._rows(part):
            writer.write(rows)
            texts = rows["text"].combine_chunks()
            n_bytes = pc.binary_length(texts).to_numpy()
            tokens, offsets = tokenizer.encode(texts, token_dtype(tokenizer.vocabulary).to_pandas_dtype())
            lengths.append(np.diff(offsets))
            terms = {name: rows[name] for name in self.terms}
            yield TokenBatch(tokens, offsets, rows["id"], rows["source"], n_bytes, terms)
            tally.add(len(rows), int(n_bytes.sum()))

    def _rows(self, part: Part) -> Iterator[pa.Table]:
        """The documents of a part, by row group."""
        side = SIDES.index(part.split)
        first = int(np.searchsorted(self.sifted.first_row, part.first, side="right")) - 1
        for unit in range(first, self.sifted.units):
            if self.sifted.first_row[unit] >= part.stop:
                break
            if self.plan.corpus_of[unit] != part.corpus:
                continue
            records = self.sifted.first_row[unit] + np.flatnonzero(split_of(self.decided, unit)[0] == side)
            records = records[(records >= part.first) & (records < part.stop)]
            texts = self.sifted.some(records, ["text", "meta", "licence", "consent"])
            names = self.decided.some(records, ["id", "source", "weight"])
            for (_, text), (_, name) in zip(texts, names, strict=True):
                columns = {one: rows[one] for rows in (text, name) for one in rows.column_names}
                yield pa.table([columns[one] for one in DOCUMENTS.names], schema=DOCUMENTS)


@lru_cache(maxsize=1)
def _tokenizer(folder: str, written: int, control_tokens: bool) -> Tokenizer:
    """Once per process, not per part. `written`: another file of the same name is another tokenizer."""
    return Tokenizer.load(folder, control_tokens=control_tokens)


def stream_file(folder: Path, rank: int) -> Path:
    return folder / "parts" / f"part-{rank:05d}.arrow"


def lengths_file(folder: Path, rank: int) -> Path:
    """Tokens of each document of a part, int32."""
    return folder / "parts" / f"lengths-{rank:05d}.npy"


def join_shards(folder: Path, plan: ShardPlan) -> None:
    """Make the parts shard files below shards/. What is there already is left, so that a killed run can go on."""
    for place, parts in groupby(enumerate(plan.parts), key=lambda numbered: numbered[1].shard_place):
        streams = [stream_file(folder, rank) for rank, _ in parts]
        if not (folder / "shards" / place).exists():
            join_streams(streams, folder / "shards" / place)
        for stream in streams:
            stream.unlink(missing_ok=True)
