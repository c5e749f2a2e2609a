"""How a corpus is cut: into shard files, and these into parts that one task each tokenises.

    (corpus, split)   | shard 0: part 0 · part 1 · part 2 | shard 1: part 3 · part 4 |

A shard file holds up to 500 MB, more than most corpora of a domain have: it is no unit of work. Where a shard ends
follows from the order and the sizes of the documents alone, and a part begins where a row group does or a shard, so
that parts change no byte of a shard: its record batches are the row groups of the first pass. A plan names ranges of
records, never the records.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.passes.sifted import Int64s, Sifted
from curate.shards.format import shard_name
from curate.split import SIDES, Sides

PART_BYTES = 32 << 20  # of text


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive documents of a corpus and split that one task tokenises."""

    corpus: str
    split: str
    number: int  # among the parts of its corpus and split
    shard: int  # which shard file of its corpus and split it goes into
    shards: int  # how many there are
    first: int  # record of its first document
    stop: int  # one past the record of its last
    first_document: int  # place of its first document among all of its corpus and split
    documents: int

    @property
    def shard_place(self) -> str:
        """Path of the shard below shards/."""
        return f"{self.corpus}/{self.split}/{shard_name(self.shard, self.shards)}"

    @property
    def documents_place(self) -> str:
        """Path below curated/documents/."""
        return f"{self.split}/{self.corpus}-{self.number:05d}.parquet"


@dataclass(frozen=True, slots=True)
class ShardPlan:
    parts: tuple[Part, ...]  # in the order of corpus, split and record
    corpus_of: tuple[str, ...]  # of each unit
    documents_before: Int64s  # (units, sides) of a unit's corpus and each side, those in units before

    @property
    def splits(self) -> list[tuple[str, str]]:
        """(corpus, split) of all shards to be."""
        return sorted({(part.corpus, part.split) for part in self.parts})


def plan_corpora(sifted: Sifted, decided: Path, corpora: Mapping[str, Sequence[str]], shard_bytes: float) -> ShardPlan:
    """Cut every corpus (its name, the names of its sources) and split into shards, and shards into parts.

    A byte of text takes about half a byte of shard: English is four bytes a token and a token two.
    """
    corpus_of_source = {source: corpus for corpus, sources in corpora.items() for source in sources}
    cuts: dict[tuple[str, str], _Cut] = {}
    corpus_of, before = [], np.zeros((sifted.units, len(SIDES)), np.int64)
    documents: defaultdict[str, Int64s] = defaultdict(lambda: np.zeros(len(SIDES), np.int64))
    for unit in range(sifted.units):
        corpus, here = "", np.zeros(len(SIDES), np.int64)
        sizes, told = sifted.groups(unit, ["n_bytes"]), sifted.beside(decided).groups(unit, ["split", "source"])
        for (records, size), (_, rows) in zip(sizes, told, strict=True):
            corpus, sides = corpus_of_source[rows["source"][0].as_py()], sides_of(rows["split"])
            here += np.bincount(sides, minlength=len(SIDES))
            for side, split in enumerate(SIDES):
                if split is not None and (of_side := np.flatnonzero(sides == side)).size:
                    cut = cuts.setdefault((corpus, split), _Cut(corpus, split, int(2 * shard_bytes)))
                    cut.add(records.start + of_side, size["n_bytes"].to_numpy()[of_side])
        corpus_of.append(corpus)
        before[unit] = documents[corpus]
        documents[corpus] = documents[corpus] + here
    return ShardPlan(tuple(part for place in sorted(cuts) for part in cuts[place].finished()), tuple(corpus_of), before)


def split_of(decided: Sifted, unit: int) -> tuple[Sides, str]:
    """(side of each record, source) of a unit."""
    sides, source = [np.zeros(0, np.uint8)], ""
    for _, rows in decided.groups(unit, ["split", "source"]):
        sides.append(sides_of(rows["split"]))
        source = rows["source"][0].as_py()
    return np.concatenate(sides), source


def sides_of(split: pa.ChunkedArray) -> Sides:
    """Names as they stand in files, back to sides."""
    return (pc.fill_null(pc.index_in(split, pa.array(SIDES[1:])), -1).to_numpy() + 1).astype(np.uint8)


class _Cut:
    """Where the parts of one corpus and split begin: known as soon as the documents before have been seen."""

    def __init__(self, corpus: str, split: str, room: int) -> None:
        self.corpus, self.split, self.room = corpus, split, max(room, 1)
        self.documents = self.n_bytes = 0
        self.place = (-1, -1)  # shard and part by where documents begin, numbers that may skip some
        self.parts: list[Part] = []

    def add(self, records: Int64s, n_bytes: Int64s) -> None:
        """Documents of one row group: they are cut where a shard begins, and nowhere else."""
        begins = self.n_bytes + np.cumsum(n_bytes) - n_bytes
        shard = begins // self.room
        edges = np.flatnonzero(np.diff(shard, prepend=-1))
        for at, stop in zip(edges.tolist(), [*edges[1:].tolist(), len(records)], strict=True):
            self._extend((int(shard[at]), int(begins[at] % self.room // PART_BYTES)), records[at:stop])
        self.n_bytes += int(n_bytes.sum())

    def _extend(self, place: tuple[int, int], records: Int64s) -> None:
        if place != self.place:
            shard = self.parts[-1].shard + (place[0] != self.place[0]) if self.parts else 0
            first = int(records[0])
            self.parts.append(Part(self.corpus, self.split, len(self.parts), shard, 0, first, first, self.documents, 0))
            self.place = place
        last = self.parts[-1]
        self.parts[-1] = replace(last, stop=int(records[-1]) + 1, documents=last.documents + len(records))
        self.documents += len(records)

    def finished(self) -> list[Part]:
        return [replace(part, shards=self.parts[-1].shard + 1) for part in self.parts]
