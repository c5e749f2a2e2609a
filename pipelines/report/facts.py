"""The first look at a ledger: everything that is counted by name, in one pass, and a sample for the second.

chunk ─┬▶ fates      by role, source, fate, stage, reason, split
       ├▶ languages, licences, personal data, domain scores, by source
       ├▶ removed, quarantined, leaked: the rows to show, chosen by the hash of their id
       ├▶ overlaps   which reasons meet in one document
       ├▶ clusters   documents that have a copy
       └▶ sample     16,384 documents with all their measures: where the histograms' edges come from
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipelines.report.clusters import Clusters
from pipelines.report.ledger import Bools, Chunk, Int64s, Names, UInt64s, chunks, columns_of, measures
from pipelines.report.overlaps import Overlaps
from pipelines.report.tallies import Lowest, Sums, in_steps, of

EXAMPLES = 3
"""Documents shown for each source, stage and reason."""
QUARANTINED_SHOWN = 100
EVIDENCE_SHOWN = 12
SAMPLE = 1 << 14
"""Documents. A median of so many is off by some 0.4 % of the documents, quantiles towards the ends by less."""
SCORES = ("language_score", "domain_score")
"""Columns beside the measures that are drawn like them."""
PERSONAL = "pii_"
MIXED = "other_language_share"

NAMED = ("source", "role", "fate", "stage", "reason", "language", "split", "licence", "consent")
COUNTED = ("n_bytes", "bytes_cleaned", "bytes_trimmed", "tokens")


class Sample:
    """The documents whose ids hash lowest, with all their numbers: the same ones however the ledger is cut."""

    def __init__(self, columns: Sequence[str], at_most: int = SAMPLE) -> None:
        self.columns, self.at_most = tuple(columns), at_most
        # hashes (m,), values (m, columns)
        self._parts: list[tuple[UInt64s, npt.NDArray[np.float64]]] = [
            (np.zeros(0, np.uint64), np.zeros((0, len(self.columns))))
        ]
        self._below: np.uint64 | None = None  # hashes that could still get in, once there are enough

    def add(self, chunk: Chunk, hashes: UInt64s) -> None:
        near = slice(None) if self._below is None else hashes < self._below
        values = [chunk.values(column)[near].astype(np.float64) for column in self.columns]
        self._parts.append((hashes[near], np.stack(values, axis=1) if values else np.zeros((len(hashes[near]), 0))))
        if sum(len(part) for part, _ in self._parts) > 1.5 * self.at_most:
            self._settle()

    def values(self, column: str) -> npt.NDArray[np.float64]:  # (sampled,)
        self._settle()
        return self._parts[0][1][:, self.columns.index(column)]

    def _settle(self) -> None:
        if len(self._parts) == 1 and len(self._parts[0][0]) <= self.at_most:
            return
        hashes = np.concatenate([part for part, _ in self._parts])
        values = np.concatenate([part for _, part in self._parts])
        if len(hashes) > self.at_most:
            lowest = np.argpartition(hashes, self.at_most)[: self.at_most]
            hashes, values = hashes[lowest], values[lowest]
            self._below = hashes.max()
        self._parts = [(hashes, values)]


@dataclass(slots=True)
class Facts:
    columns: list[str]  # of the ledger
    drawn: list[str]  # measures and scores
    threshold: float  # of the domain score; NaN where there is none
    sample: Sample
    personal: Sums  # of each kind: the documents that hold it, and how often it stands in them
    names: Names = field(default_factory=Names)
    records: int = 0
    fates: Sums = field(
        default_factory=lambda: Sums(
            ("role", "source", "fate", "stage", "reason", "split"), ("bytes", "cleaned", "trimmed", "tokens")
        )
    )
    languages: Sums = field(
        default_factory=lambda: Sums(
            ("source", "language", "fate"), ("bytes", "scored", "score", "mixed", "mixed_share")
        )
    )
    licences: Sums = field(default_factory=lambda: Sums(("source", "licence", "consent"), ("bytes", "tokens")))
    domain: Sums = field(default_factory=lambda: Sums(("source",), ("scored", "score", "above")))
    removed: Lowest = field(default_factory=lambda: Lowest(EXAMPLES))
    quarantined: Lowest = field(default_factory=lambda: Lowest(QUARANTINED_SHOWN))
    leaked: Lowest = field(default_factory=lambda: Lowest(EVIDENCE_SHOWN))
    overlaps: Overlaps = field(default_factory=Overlaps)
    clusters: Clusters = field(default_factory=Clusters)

    @classmethod
    def of(cls, run: Path, threshold: float | None) -> Facts:
        """Reads the ledger of a run. Raises Fault where there is none."""
        columns = columns_of(run)
        drawn = [*measures(run), *(score for score in SCORES if score in columns)]
        kinds = [name for name in drawn if name.startswith(PERSONAL)]
        facts = cls(
            columns,
            drawn,
            np.nan if threshold is None else threshold,
            Sample(drawn),
            Sums(("source", "fate"), ("any", *kinds, *(f"{kind}_spans" for kind in kinds))),
        )
        others = ("id", "cluster", "reasons", "similarity")
        for chunk in chunks(run, [*NAMED, *COUNTED, *others, *drawn], facts.names):
            facts.add(chunk)
        return facts

    @property
    def kinds(self) -> list[str]:
        """Columns of personal data."""
        return [name for name in self.drawn if name.startswith(PERSONAL)]

    def add(self, chunk: Chunk) -> None:
        self.records += len(chunk)
        hashes = chunk.hashes("id")
        self.sample.add(chunk, hashes)
        self._count(chunk)
        self._pick(chunk, hashes)
        self.overlaps.add(chunk)
        self.clusters.add(chunk, hashes)

    def _count(self, chunk: Chunk) -> None:
        every = np.ones(len(chunk), np.bool_)
        n_bytes, tokens = chunk.counts("n_bytes"), chunk.counts("tokens")
        cut = [chunk.counts(name) for name in ("bytes_cleaned", "bytes_trimmed")]
        self.fates.add(of(chunk, self.fates.columns, every), [n_bytes, *cut, tokens])
        kept = chunk.has("fate", "kept")
        self.licences.add(of(chunk, self.licences.columns, kept), [n_bytes[kept], tokens[kept]])
        readable = ~chunk.has("fate", "quarantined")
        self._count_languages(chunk, readable, n_bytes[readable])
        if self.kinds:
            found = [chunk.values(kind)[readable] for kind in self.kinds]
            spans = [np.nan_to_num(one).astype(np.int64) for one in found]
            documents = [one > 0 for one in spans]
            some = np.any(documents, axis=0)
            self.personal.add(of(chunk, self.personal.columns, readable), [some, *documents, *spans])
        if "domain_score" in self.drawn:
            score = chunk.values("domain_score")[readable]
            weights = [np.isfinite(score), in_steps(score), score >= self.threshold]
            self.domain.add(of(chunk, self.domain.columns, readable), weights)

    def _count_languages(self, chunk: Chunk, readable: Bools, n_bytes: Int64s) -> None:
        score, other = chunk.values("language_score")[readable], chunk.values(MIXED)[readable]
        weights = [n_bytes, np.isfinite(score), in_steps(score), other > 0, in_steps(other)]
        self.languages.add(of(chunk, self.languages.columns, readable), weights)

    def _pick(self, chunk: Chunk, hashes: UInt64s) -> None:
        for picked, where, columns in (
            (self.removed, chunk.has("fate", "removed"), ("stage", "reason", "source")),
            (self.quarantined, chunk.has("fate", "quarantined"), ("source", "stage", "reason")),
            (self.leaked, chunk.has("stage", "contamination"), ("reason", "source")),
        ):
            picked.add(of(chunk, columns, where), [hashes[where]], chunk.first + np.flatnonzero(where))
