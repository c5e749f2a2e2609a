"""Passes 3 and 4: the questions about the whole corpus. Which copies leave, where each cluster stands, what leaks.

    survivors of the rules ─▶ exact and near duplicates ─▶ clusters ─▶ split ─▶ n-grams of held-out text ─scan▶ fates

Everything is keyed by a record's number in the corpus (its unit and row), never by a worker or a file listing; ties
break on the id. Only the scan of the training text is parallel; the rest is small: keys, signatures, hashes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.dedup.resolve import EXACT, resolve
from curate.dedup.shingles import shingle_sets
from curate.passes.sift import TableWriter, unit_file
from curate.passes.sifted import Sifted
from curate.settings import Duplicates, Source, Split
from curate.shards.fault import Fault
from curate.split import assign
from curate.text import TextBatch
from curate.units import Unit

Int64s = npt.NDArray[np.int64]

DECIDED = pa.schema(
    [
        ("id", pa.large_string()),
        ("source", pa.string()),
        ("role", pa.string()),
        ("meta", pa.string()),
        ("fate", pa.string()),
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("evidence", pa.string()),
        ("cluster", pa.large_string()),
        ("duplicate_of", pa.large_string()),
        ("similarity", pa.float32()),
        ("split", pa.string()),
    ]
)


@dataclass(slots=True)
class Corpus:
    """All records while their fates are decided. N records."""

    sifted: Sifted
    units: Sequence[Unit]
    ids: pa.LargeStringArray  # (N,) unique
    verdicts: pa.Table  # of the rules, see curate/passes/judge.py
    left: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    """Record -> (stage, reason, evidence), for those that pass the rules and leave later."""
    cluster: dict[int, str] = field(default_factory=dict)
    match: dict[int, tuple[str, float]] = field(default_factory=dict)
    split: dict[int, str] = field(default_factory=dict)

    @classmethod
    def load(cls, sifted: Sifted, judged: Path, units: Sequence[Unit]) -> Corpus:
        tables = [pq.read_table(unit_file(judged, unit)) for unit in range(len(units))]
        return cls(sifted, units, unique_ids(sifted, units), pa.concat_tables(tables))

    @property
    def survivors(self) -> Int64s:
        """Records that passed every rule, ascending."""
        return np.flatnonzero(self.verdicts["fate"].is_null().to_numpy())

    @property
    def kept(self) -> Int64s:
        left = np.fromiter(self.left, np.int64, len(self.left))
        return np.setdiff1d(self.survivors, left)

    def amount(self, records: Int64s) -> tuple[int, int]:
        """(documents, bytes of text) of some records."""
        return len(records), int(self.sifted.column("n_bytes").to_numpy()[records].sum())

    def source_of(self, records: Int64s) -> list[Source]:
        at = np.searchsorted(self.sifted.first_row, records, side="right") - 1
        return [self.units[unit].source for unit in at.tolist()]

    def drop_duplicates(self, settings: Duplicates) -> None:
        """Clusters among the survivors, and which copies leave."""
        records = self.survivors
        sifted = self.sifted
        take = pa.array(records)
        keys = np.stack([sifted.column(k).take(take).to_numpy() for k in ("key_high", "key_low")], axis=1)
        names = self.ids.take(take)
        found = resolve(
            ids=names,
            keys=keys.astype(np.uint64),
            signatures=_signatures(sifted, records, settings.bands * settings.rows),
            n_chars=sifted.column("n_chars").take(take).to_numpy(),
            shingle_sets=lambda which: shingle_sets(TextBatch(sifted.texts(records[which])), settings.shingle_words),
            settings=settings,
        )
        sizes = Counter(found.cluster.tolist())
        texts = names.to_pylist()
        for i, record in enumerate(records.tolist()):
            if sizes[int(found.cluster[i])] > 1:
                self.cluster[record] = texts[int(found.cluster[i])]
            copy = int(found.duplicate_of[i])
            if copy >= 0:
                self.match[record] = (texts[copy], float(found.similarity[i]))
                kind = "exact_duplicate" if found.level[i] == EXACT else "near_duplicate"
                evidence = f"Jaccard {found.similarity[i]:.3f} with {texts[copy]}, the copy preferred"
                self.left[record] = ("dedup", kind, evidence)

    def assign_splits(self, settings: Split, seed: int) -> None:
        """By whole cluster; control sources are test text throughout."""
        records = self.kept
        names = self.ids.take(pa.array(records)).to_pylist()
        clusters = [self.cluster.get(r, name) for r, name in zip(records.tolist(), names, strict=True)]
        sides = assign(clusters, seed, settings.validation, settings.test)
        # a cluster that a control document belongs to is held out whole, so that no copy of it is trained on
        sources = self.source_of(records)
        control = {c for c, source in zip(clusters, sources, strict=True) if source.role == "control"}
        for record, cluster, side in zip(records.tolist(), clusters, sides, strict=True):
            self.split[record] = "test" if cluster in control else side

    def leave(self, record: int, stage: str, reason: str, evidence: str) -> None:
        self.left[record] = (stage, reason, evidence)
        self.split.pop(record, None)

    def on_side(self, *sides: str) -> Int64s:
        return np.array(sorted(r for r, side in self.split.items() if side in sides), np.int64)

    def write(self, folder: Path) -> None:
        """One file of decisions per unit."""
        for unit in range(len(self.units)):
            first, last = self.sifted.first_row[unit : unit + 2].tolist()
            with TableWriter(unit_file(folder, unit), DECIDED) as writer:
                writer.write(self._decisions(unit, first, last))

    def _decisions(self, unit: int, first: int, last: int) -> pa.Table:
        source = self.units[unit].source
        n = last - first
        verdicts = self.verdicts.slice(first, n).to_pydict()
        for row, record in enumerate(range(first, last)):
            if record in self.left:
                verdicts["fate"][row] = "removed"
                verdicts["stage"][row], verdicts["reason"][row], verdicts["evidence"][row] = self.left[record]
                verdicts["reasons"][row] = [self.left[record][1]]
            elif verdicts["fate"][row] is None:
                verdicts["fate"][row] = "kept"
        records = range(first, last)
        columns: dict[str, Any] = {
            "id": self.ids.slice(first, n),
            "source": [source.name] * n,
            "role": [source.role] * n,
            "meta": pq.read_table(unit_file(self.sifted.folder, unit), columns=["meta"])["meta"],
            **verdicts,
            "cluster": [self.cluster.get(r) for r in records],
            "duplicate_of": [self.match[r][0] if r in self.match else None for r in records],
            "similarity": [self.match[r][1] if r in self.match else None for r in records],
            "split": [self.split.get(r) for r in records],
        }
        return pa.table([pa.chunked_array([_as_array(columns[f.name], f.type)]) for f in DECIDED], schema=DECIDED)


def unique_ids(sifted: Sifted, units: Sequence[Unit]) -> pa.LargeStringArray:
    """All ids, a repeated one numbered `#2`, `#3` in the order of path and position within its source."""
    ids = sifted.column("id").combine_chunks()
    counts = pc.value_counts(ids)
    repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(repeated) == 0:
        return ids
    rows = np.flatnonzero(pc.is_in(ids, repeated).to_numpy(zero_copy_only=False))
    take = pa.array(rows)
    paths, positions = (sifted.column(name).take(take).to_pylist() for name in ("path", "position"))
    names = ids.take(take).to_pylist()
    taken = set(ids.to_pylist())
    seen: Counter[str] = Counter()
    renamed = ids.to_pylist()
    for _, _, _, row in sorted(zip(names, paths, positions, rows.tolist(), strict=True)):
        name = renamed[row]
        seen[name] += 1
        if seen[name] > 1:
            while f"{name}#{seen[name]}" in taken:  # somebody's own id may look like that
                seen[name] += 1
            renamed[row] = f"{name}#{seen[name]}"
    return pa.array(renamed, pa.large_string())


def require_held_out(corpus: Corpus, settings: Split) -> None:
    """Fault where the domain has nothing to train on or to test on: the run could prove nothing."""
    domain = [r for r, s in zip(corpus.kept.tolist(), corpus.source_of(corpus.kept), strict=True) if s.role == "domain"]
    if not domain:
        raise Fault(
            f"nothing of the domain is left: all {len(corpus.sifted):,} records were removed or could not be read "
            f"({_commonest_reasons(corpus)})",
            hint="check the sources' text fields, curate.language.keep, and the bounds in curate.quality.rules",
        )
    for side, share in (("train", 1 - settings.test - settings.validation), ("test", settings.test)):
        if share > 0 and not any(corpus.split.get(r) == side for r in domain):
            raise Fault(
                f"the domain's {side} set is empty: 0 of {len(domain):,} documents",
                where="curate.split.test" if side == "test" else "curate.split",
                hint=f"{'widen' if side == 'test' else 'narrow'} curate.split.test, or give more documents",
            )


def _commonest_reasons(corpus: Corpus) -> str:
    """Of all records, whatever their role: nothing else says them where no ledger is written."""
    reasons = Counter(reason for reason in corpus.verdicts["reason"].to_pylist() if reason)
    reasons.update(reason for _, reason, _ in corpus.left.values())
    return ", ".join(f"{reason} {n:,}" for reason, n in reasons.most_common(3)) or "the sources hold none"


def _signatures(sifted: Sifted, records: Int64s, values: int) -> npt.NDArray[np.uint32]:
    """(n, values) uint32, unit by unit."""
    out = np.empty((len(records), values), np.uint32)
    for unit in range(sifted.units):
        low, high = np.searchsorted(records, sifted.first_row[unit : unit + 2])
        if low < high:
            column = pq.read_table(unit_file(sifted.folder, unit), columns=["signature"])["signature"]
            picked = column.take(pa.array(records[low:high] - sifted.first_row[unit])).combine_chunks()
            raw = picked.buffers()[1]
            out[low:high] = np.frombuffer(raw, np.uint32, count=len(picked) * values).reshape(-1, values)
    return out


def _as_array(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    return values.cast(kind) if isinstance(values, pa.Array) else pa.array(values, kind)
