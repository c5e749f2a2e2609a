"""The second look at a ledger: every measure drawn against its bounds, and what stands near each bound.

chunk ─┬▶ bars       of each measure: kept, failed by it, removed for something else
       ├▶ failed     by bound and source: documents it refuses, and those that nothing else does
       └▶ nearest    by bound and source: the documents closest to it, on both sides
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.report.facts import Facts
from pipelines.report.histograms import Axis, Bars
from pipelines.report.ledger import Bools, Chunk, Floats, Int64s, UInt64s, chunks
from pipelines.report.limits import Limit, bounds_on
from pipelines.report.tallies import Lowest

NEAREST = 2
"""Documents shown on each side of a bound, of each source."""


@dataclass(frozen=True, slots=True)
class Documents:
    """Those of a chunk that a bound is for, (m,) each."""

    source: Int64s  # code
    hash: UInt64s
    value: Floats
    fails: Bools
    row: Int64s


@dataclass(frozen=True, slots=True)
class Near:
    value: float
    row: int
    fails: bool


class NearBounds:
    """The documents that a bound only just lets pass, or only just refuses. Ties go by the hash of the id."""

    def __init__(self, limits: int) -> None:
        self._lowest = Lowest(NEAREST)  # by limit, source and side; ranked by distance, hash, value
        self._reach = [np.zeros((0, 2))] * limits  # (sources, sides): farther ones cannot get in

    def add(self, limit: int, bound: float, about: Documents) -> None:
        """Documents that the bound is for."""
        new = max(0, int(about.source.max(initial=-1)) + 1 - len(self._reach[limit]))
        reach = self._reach[limit] = np.concatenate([self._reach[limit], np.full((new, 2), np.inf)])
        side = about.fails.astype(np.int64)
        distance = np.abs(about.value.astype(np.float64) - bound)
        near = np.flatnonzero(distance <= reach[about.source, side])
        if len(near):
            source, side = about.source[near], side[near]
            ranks = [distance[near], about.hash[near], about.value[near]]
            self._lowest.add([np.full(len(near), limit), source, side], ranks, about.row[near])
            for one in set(zip(source.tolist(), side.tolist(), strict=True)):
                reach[one] = self._lowest.farthest(limit, *one)

    def around(self, limit: int, source: int) -> list[Near]:
        """In the order of values."""
        found = [
            Near(value, row, bool(side))
            for side in (0, 1)
            for _, _, value, row in self._lowest.held(limit, source, side)
        ]
        return sorted(found, key=lambda near: (near.value, near.row))


@dataclass(slots=True)
class Judged:
    facts: Facts
    limits: Sequence[Limit]
    bars: dict[str, Bars]
    near: NearBounds
    _failing: dict[tuple[int, int], Int64s] = field(default_factory=dict)  # by limit and source: failed, failed alone

    @classmethod
    def of(cls, run: Path, facts: Facts, limits: Sequence[Limit]) -> Judged:
        """`limits`: on measures that the ledger holds."""
        bars = {name: Bars(Axis.through(facts.sample.values(name), bounds_on(limits, name))) for name in facts.drawn}
        judged = cls(facts, limits, bars, NearBounds(len(limits)))
        columns = ["id", "source", "fate", "language", "reasons", *facts.drawn]
        for chunk in chunks(run, columns, facts.names):
            judged.add(chunk)
        return judged

    def add(self, chunk: Chunk) -> None:
        kept, hashes, reasons = chunk.has("fate", "kept"), chunk.hashes("id"), chunk.reasons()
        for name, bars in self.bars.items():
            values = chunk.values(name)
            judging = [place for place, limit in enumerate(self.limits) if limit.measure == name]
            failed = [self._judge(chunk, place, values, hashes, reasons) for place in judging]
            bars.add(values, kept, np.any(failed, axis=0) if failed else None)

    def _judge(
        self, chunk: Chunk, place: int, values: Floats, hashes: UInt64s, reasons: tuple[Int64s, Int64s, Int64s]
    ) -> Bools:
        """Which documents of the chunk a limit refuses."""
        limit = self.limits[place]
        concerns = limit.concerns(chunk)
        fails = concerns & limit.fails(values)
        asked = np.flatnonzero(concerns & np.isfinite(values))
        about = Documents(chunk.codes("source")[asked], hashes[asked], values[asked], fails[asked], chunk.first + asked)
        self.near.add(place, limit.value, about)
        rows, codes, findings = reasons
        known = self.facts.names.of("reasons")
        its = np.flatnonzero(codes == known.index(limit.reason)) if limit.reason in known else np.zeros(0, np.int64)
        its = its[fails[rows[its]]]
        self._count(place, chunk.codes("source")[rows[its]], findings[its] == 1)
        return fails

    def _count(self, limit: int, sources: Int64s, alone: Bools) -> None:
        for source in np.unique(sources).tolist():
            here = sources == source
            new = np.array([here.sum(), (here & alone).sum()])
            self._failing[limit, source] = self._failing.get((limit, source), np.zeros(2, np.int64)) + new

    def failing(self, limit: int) -> dict[str, Any]:
        """What a limit refuses: documents, those that fail nothing else, and both by source."""
        found = {
            self.facts.names.name("source", source): {"failed": int(failed), "alone": int(alone)}
            for (place, source), (failed, alone) in self._failing.items()
            if place == limit
        }
        totals = {key: sum(one[key] for one in found.values()) for key in ("failed", "alone")}
        return totals | {"by_source": dict(sorted(found.items()))}

    def busiest(self, at_most: int) -> list[tuple[int, str, list[Near]]]:
        """(limit, source, documents nearest to it) where most is refused."""
        named = [
            (-int(failed), limit, self.facts.names.name("source", source), source)
            for (limit, source), (failed, _) in self._failing.items()
        ]
        return [(limit, name, self.near.around(limit, source)) for _, limit, name, source in sorted(named)[:at_most]]
