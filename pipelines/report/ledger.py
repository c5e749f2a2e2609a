"""The ledger by column: what the report counts, small enough for memory, and the rows it shows, fetched by number.

Short texts (source, fate, stage, reason, …) become codes into sorted name lists and ids become 64-bit hashes, about 70
bytes a record in all; the long columns (path, evidence, texts) are read for chosen rows only. The number of a row is
its place in the ledger's files in order of their names, which is how every pass here goes through them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import xxhash

from curate.shards.fault import Fault

NAMED = ("source", "role", "fate", "stage", "reason", "language", "split")
COUNTED = ("n_bytes", "tokens")
SCORED = ("language_score", "similarity")


@dataclass(frozen=True, slots=True)
class Ledger:
    """The columns that are counted. Codes are -1 and numbers NaN (counts 0) where the ledger has null."""

    folder: Path
    names: dict[str, list[str]]  # of each NAMED column, sorted: what its codes stand for
    codes: dict[str, np.ndarray]  # (records,) int32
    counts: dict[str, np.ndarray]  # (records,) int64
    scores: dict[str, np.ndarray]  # (records,) float32
    id_hash: np.ndarray  # (records,) uint64
    cluster_hash: np.ndarray  # (records,) uint64; of the id where the document is a cluster of its own
    measures: list[str]

    def __len__(self) -> int:
        return len(self.id_hash)

    def has(self, column: str, *wanted: str) -> np.ndarray:
        """Which records carry one of these names."""
        codes = [index for index, name in enumerate(self.names[column]) if name in wanted]
        return np.isin(self.codes[column], codes)

    def name(self, column: str, record: int) -> str:
        code = self.codes[column][record]
        return "" if code < 0 else self.names[column][code]

    def by(self, column: str, where: np.ndarray, weight: np.ndarray | None = None) -> dict[str, int]:
        """Records (or the sum of a weight) by the names of one column, over the records that `where` marks."""
        codes = self.codes[column][where]
        weights = None if weight is None else weight[where][codes >= 0].astype(np.float64)
        sums = np.bincount(codes[codes >= 0], weights, minlength=len(self.names[column]))
        return {name: int(total) for name, total in zip(self.names[column], sums, strict=True)}

    def groups(self, columns: Sequence[str], where: np.ndarray) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
        """The records that `where` marks, by what stands in these columns: names and row numbers, sorted by name."""
        rows = np.flatnonzero(where)
        key = np.zeros(len(rows), np.int64)
        for column in columns:
            key = key * (len(self.names[column]) + 1) + self.codes[column][rows] + 1
        order = np.argsort(key, kind="stable")
        if len(order):
            for part in np.split(rows[order], np.flatnonzero(np.diff(key[order])) + 1):
                yield tuple(self.name(column, int(part[0])) for column in columns), part

    def pick(self, rows: np.ndarray, at_most: int) -> np.ndarray:
        """A few of these rows, the same ones whatever their order: those whose ids hash lowest."""
        return rows[np.argsort(self.id_hash[rows], kind="stable")[:at_most]]

    def measure(self, name: str) -> np.ndarray:
        """One measure of every record, (records,) float64, NaN where it was not taken."""
        batches = _dataset(self.folder).to_batches(columns=[name])
        parts = [batch.column(0).to_numpy(zero_copy_only=False) for batch in batches]
        return np.concatenate(parts).astype(np.float64) if parts else np.empty(0)

    def rows(self, numbers: Iterable[int], columns: Sequence[str]) -> dict[int, dict[str, Any]]:
        """Chosen rows, by their number."""
        wanted = np.unique(np.fromiter(numbers, np.int64))
        found: dict[int, dict[str, Any]] = {}
        first = 0
        for batch in _dataset(self.folder).to_batches(columns=list(columns)):
            here = wanted[(wanted >= first) & (wanted < first + len(batch))]
            if len(here):
                taken = batch.take(pa.array(here - first)).to_pylist()
                found |= dict(zip(here.tolist(), taken, strict=True))
            first += len(batch)
        return found

    def reasons(self) -> Iterator[tuple[np.ndarray, pa.Array, np.ndarray]]:
        """Every failed rule, batch by batch: row numbers, reasons, and how many reasons that row has."""
        first = 0
        for batch in _dataset(self.folder).to_batches(columns=["reasons"]):
            lists = batch.column(0)
            parents = pc.list_parent_indices(lists).to_numpy()
            lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
            yield parents + first, pc.list_flatten(lists), lengths[parents]
            first += len(batch)


def read_ledger(run: Path) -> Ledger:
    """The ledger of a run. Raises Fault where there is none."""
    schema = read_rows(run).schema
    folder = run / "curated" / "ledger"
    named = [column for column in NAMED if column in schema.names]
    codes: dict[str, list[np.ndarray]] = {column: [] for column in named}
    counts: dict[str, list[np.ndarray]] = {column: [] for column in COUNTED}
    scores: dict[str, list[np.ndarray]] = {column: [] for column in SCORED}
    hashes: list[np.ndarray] = []
    clusters: list[np.ndarray] = []
    seen: dict[str, dict[str, int]] = {column: {} for column in named}
    for batch in _dataset(folder).to_batches(columns=[*named, *COUNTED, *SCORED, "id", "cluster"]):
        for column in named:
            codes[column].append(_codes(batch.column(column), seen[column]))
        for column in COUNTED:
            counts[column].append(pc.fill_null(batch.column(column), 0).to_numpy(zero_copy_only=False))
        for column in SCORED:
            scores[column].append(batch.column(column).cast(pa.float32()).to_numpy(zero_copy_only=False))
        ids = batch.column("id")
        hashes.append(_hashes(ids))
        clusters.append(_hashes(pc.coalesce(batch.column("cluster"), ids)))
    sorted_codes = {column: _sorted(np.concatenate(codes[column]), seen[column]) for column in named}
    records = sum(map(len, hashes))
    for column in set(NAMED) - set(named):  # a ledger without roles is read as one of domain sources only
        sorted_codes[column] = (["domain"], np.zeros(records, np.int32))
    return Ledger(
        folder=folder,
        names={column: names for column, (names, _) in sorted_codes.items()},
        codes={column: places for column, (_, places) in sorted_codes.items()},
        counts={column: np.concatenate(parts).astype(np.int64) for column, parts in counts.items()},
        scores={column: np.concatenate(parts) for column, parts in scores.items()},
        id_hash=np.concatenate(hashes),
        cluster_hash=np.concatenate(clusters),
        measures=[field.name for field in schema if field.type == pa.float64()],
    )


def read_rows(run: Path) -> ds.Dataset:
    """The ledger's files as one dataset, in order of their names. Raises Fault where there are none."""
    folder = run / "curated" / "ledger"
    if not list(folder.glob("*.parquet")):
        raise Fault("this run has no ledger", where=str(folder), hint="curate first: postgrad curate RECIPE")
    return _dataset(folder)


def texts(run: Path, ids: Iterable[str], at_most_chars: int) -> dict[str, str]:
    """The beginnings of stored texts, kept and removed, by id. Reads only the row groups that hold one of them."""
    wanted = pa.array(sorted(set(ids)), pa.string())
    found: dict[str, str] = {}
    for path in stored_texts(run):
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups if len(wanted) else 0):
                here = file.read_row_group(group, columns=["id"]).column("id").cast(pa.string())
                places = pc.indices_nonzero(pc.is_in(here, wanted))
                if len(places):
                    rows = file.read_row_group(group, columns=["id", "text"]).take(places)
                    starts = pc.utf8_slice_codeunits(rows.column("text"), 0, at_most_chars)
                    found |= dict(zip(rows.column("id").to_pylist(), starts.to_pylist(), strict=True))
    return found


def stored_texts(run: Path) -> list[Path]:
    """The files that hold texts: of what stayed, then of what left."""
    curated = run / "curated"
    return sorted(curated.glob("documents/*/*.parquet")) + sorted(curated.glob("removed/*.parquet"))


def _dataset(folder: Path) -> ds.Dataset:
    return ds.dataset([str(path) for path in sorted(folder.glob("*.parquet"))], format="parquet")


def _codes(column: pa.Array, seen: dict[str, int]) -> np.ndarray:
    """Codes in order of first sight, -1 for null."""
    encoded = column.dictionary_encode()
    places = np.array([seen.setdefault(name, len(seen)) for name in encoded.dictionary.to_pylist()], np.int32)
    indices = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    return np.append(places, np.int32(-1))[indices].astype(np.int32)


def _sorted(codes: np.ndarray, seen: dict[str, int]) -> tuple[list[str], np.ndarray]:
    """Codes over sorted names, so that nothing depends on which name came first."""
    names = sorted(seen)
    place = np.full(len(seen) + 1, -1, np.int32)
    for new, name in enumerate(names):
        place[seen[name]] = new
    return names, place[codes]


def _hashes(column: pa.Array) -> np.ndarray:
    return np.fromiter((xxhash.xxh64_intdigest(text.encode()) for text in column.to_pylist()), np.uint64, len(column))
