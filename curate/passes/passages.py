"""Pass 3, its first half: in how many documents of its source every line or paragraph stands.

    documents that passed every rule ─by unit▶ (key, documents, bytes, first record) of the passages of a unit
                                     ─sum over units, in partitions▶ those that reach the bound

A unit writes 32 bytes for each different passage it holds. Of these, what surely stands in few documents is left out by
a small table of counters; the others are sorted by key, a partition at a time. Copies of a document are not counted.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from math import ceil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.boilerplate import Counts, Passages, Seen
from curate.dedup.partitions import Runs, Spill, distinct, parts_for
from curate.engine import Pass, Tally
from curate.passes.sift import unit_file
from curate.passes.sifted import Int64s, Sifted
from curate.settings import Boilerplate
from curate.shards.seal import ENGINE
from curate.text import TextBatch

OUT, COPY, COUNTED = np.uint8(0), np.uint8(1), np.uint8(2)
"""What a record is here: one that left before; one of the same words as another of its source; one that counts."""
PASSAGES_HELD = 1 << 20  # of a unit, before they are written


class CountPassages(Pass):
    name = "boilerplate"

    def __init__(self, folder: Path, sifted: Sifted, settings: Boilerplate) -> None:
        """In `folder`, `mark` has said which records count."""
        super().__init__(folder, sifted.units)
        self.sifted, self.settings = sifted, settings

    def unit(self, rank: int, tally: Tally) -> None:
        parts: list[Counts] = []
        chunk = held = 0
        for records, batch in texts_of(self.sifted, self.folder, rank, COUNTED):
            parts.append(Counts.of(Passages.of(batch, self.settings.unit), records, self.settings.words))
            held += len(parts[-1])
            tally.add(len(records), int(batch.n_bytes.sum()))
            if held >= PASSAGES_HELD:
                self._save(rank, chunk, parts)
                parts, held, chunk = [], 0, chunk + 1
        self._save(rank, chunk, parts)

    def _save(self, rank: int, chunk: int, parts: list[Counts]) -> None:
        counts = Counts.joined(parts)
        columns = [getattr(counts, name).astype(np.uint64) for name in Counts.__slots__]
        np.save(_chunk(self.folder, rank, chunk), np.stack(columns, axis=1))


@dataclass(frozen=True, slots=True)
class Boiler:
    """What stands in many documents of a source."""

    source: str
    documents: int
    """That were counted."""
    bound: int
    """Documents that a passage has to stand in."""
    passages: Counts


def find_boilerplate(folder: Path, sifted: Sifted, names: Sequence[str], settings: Boilerplate) -> Iterator[Boiler]:
    """After the passages were counted: by source. `names`: of each unit's source."""
    kind = np.load(_kinds(folder), mmap_mode="r")
    for source in dict.fromkeys(names):
        units = [unit for unit, name in enumerate(names) if name == source]
        documents = sum(int((kind[sifted.records_of(unit)] == COUNTED).sum()) for unit in units)
        bound = max(settings.documents, ceil(settings.share * documents))
        yield Boiler(source, documents, bound, _that_reach(folder, units, bound))


def _that_reach(folder: Path, units: Sequence[int], bound: int) -> Counts:
    files = [path for unit in units for path in _chunks(folder, unit)]
    entries = sum(len(np.load(path, mmap_mode="r")) for path in files)
    seen = Seen(entries)
    for path in files:
        seen.add(_counts(np.load(path)))
    parts = scratch(folder) / "parts"
    shutil.rmtree(parts, ignore_errors=True)  # of a run that was killed
    with Spill(parts, len(Counts.__slots__), parts_for(entries)) as spill:
        for path in files:
            columns = np.load(path)
            spill.add(columns[seen.may_reach(_counts(columns), bound)])
    found = []
    for columns in spill.read():
        counts = _counts(columns).summed()
        found.append(counts.of_those(counts.documents >= bound))
    return Counts.joined(found)


def _chunks(folder: Path, unit: int) -> Iterator[Path]:
    paths = (_chunk(folder, unit, chunk) for chunk in count())
    return takewhile(Path.exists, paths)


def _chunk(folder: Path, unit: int, chunk: int) -> Path:
    return scratch(folder) / f"counts-{unit:05d}-{chunk:04d}.npy"


def _counts(columns: npt.NDArray[np.uint64]) -> Counts:  # (p, 4)
    key, *others = columns.T
    return Counts(key, *(column.astype(np.int64) for column in others))


def mark(folder: Path, sifted: Sifted, judged: Path, names: Sequence[str]) -> None:
    """Say of every record what it is here: a byte each, which all workers map. `names`: of each unit's source."""
    kind = np.empty(len(sifted), np.uint8)
    for unit in range(sifted.units):
        fate = pq.read_table(unit_file(judged, unit), columns=["fate"])["fate"]
        kind[sifted.records_of(unit)] = np.where(fate.is_null().to_numpy(), COUNTED, OUT)
    keys = scratch(folder) / "keys"
    shutil.rmtree(keys, ignore_errors=True)
    source = {name: number for number, name in enumerate(dict.fromkeys(names))}
    with Spill(keys, 4, parts_for(len(sifted))) as spill:
        for unit, name in enumerate(names):
            for records, rows in sifted.groups(unit, ["key_high", "key_low"]):
                here = np.flatnonzero(kind[records] == COUNTED)
                columns = [rows[half].to_numpy()[here].astype(np.uint64) for half in ("key_high", "key_low")]
                of_source = np.full(len(here), source[name], np.uint64)
                spill.add(np.column_stack((*columns, of_source, (records.start + here).astype(np.uint64))))
    for runs in spill.runs():
        kind[_others(sifted, runs)] = COPY
    np.save(_kinds(folder), kind)


def _others(sifted: Sifted, runs: Runs) -> Int64s:
    """All records of the runs but the one of lowest id in each: whatever the order of the input."""
    names = ["id", "path", "position"]
    records = np.sort(runs.records)
    order = pc.sort_indices(sifted.take(records, names), sort_keys=[(name, "ascending") for name in names])
    rank = np.empty(len(records), np.int64)
    rank[order.to_numpy().astype(np.int64)] = np.arange(len(records))
    run = np.repeat(np.arange(len(runs)), runs.sizes)
    by_rank = np.lexsort((rank[np.searchsorted(records, runs.records)], run))
    return np.delete(runs.records[by_rank], runs.first[:-1])


def texts_of(sifted: Sifted, folder: Path, unit: int, *kinds: np.uint8) -> Iterator[tuple[Int64s, TextBatch]]:
    """(records, their texts) of a unit by row group, of records of these kinds."""
    part = sifted.records_of(unit)
    kind = np.load(_kinds(folder), mmap_mode="r")[part]
    for records, texts in sifted.batches(part.start + np.flatnonzero(np.isin(kind, kinds))):
        yield records, TextBatch(texts)


def quoted(sifted: Sifted, records: Int64s, keys: npt.NDArray[np.uint64], unit: str) -> list[str]:
    """The text of each passage as it stands in the record named."""
    texts = [""] * len(records)
    for some, found in sifted.batches(distinct(records)):
        batch = TextBatch(found)
        passages = Passages.of(batch, unit)
        for i in np.flatnonzero(np.isin(records, some)).tolist():
            at = int(np.searchsorted(some, records[i]))
            here = slice(passages.first[at], passages.first[at + 1])
            place = passages.first[at] + int(np.flatnonzero(passages.key[here] == keys[i])[0])
            raw = batch.data[passages.begin[place] : passages.end[place]]
            texts[i] = raw.tobytes().decode().strip()
    return texts


def scratch(folder: Path) -> Path:
    """What only the making needs: no part of what is sealed."""
    return folder / ENGINE


def _kinds(folder: Path) -> Path:
    return scratch(folder) / "kinds.npy"
