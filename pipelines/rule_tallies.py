"""How rules meet a source's documents: what each refuses, what it alone refuses, and which lie nearest to its bound.

    values of a chunk ─▶ which limits each document fails
                          ├▶ judged, failed, alone, bytes, other reasons they fail for       exact sums
                          ├▶ a sample of 10,000 documents by hash: quantiles                 exact up to so many
                          └▶ the few nearest to each bound, on both sides                    exact

A rule with two ends (50 to 100,000 words) is two limits here, for they refuse different things; limits that give the
same reason (another bound in another language, or in another preset) are one rule where it is asked what is refused
alone. Values are compared as the judge compares them. Nothing grows with the number of documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.report.facts import Sample
from pipelines.report.ledger import Bools, Chunk, Int64s, Names, UInt64s
from pipelines.report.limits import Limit
from pipelines.report.tallies import Lowest

Floats = npt.NDArray[np.float64]

SAMPLE = 10_000
"""Documents of a source. A quantile of so many is off by a tenth of a percent of the documents at the first and the
last percent, by half a percent in the middle."""
QUANTILES = {"p1": 0.01, "p5": 0.05, "p50": 0.5, "p95": 0.95, "p99": 0.99}
ONE_PERCENT = 0.01
COUNTED = ("judged", "failed", "alone", "bytes", "bytes_alone")
BEHIND = 1e9
"""Added to the distance of documents that say less of a rule: refused by others too, or refused by others instead."""


def recorded_only(reason: str) -> Limit:
    """A reason that the ledger names and no rule gives, such as another language."""
    return Limit("", "", np.nan, reason, None)


@dataclass(slots=True)
class Tally:
    """Of one source. e: limits; r: different reasons among them; m: documents of a chunk."""

    limits: list[Limit]
    samples: int
    documents: int = 0
    n_bytes: int = 0
    removed: int = 0
    removed_bytes: int = 0
    _sums: Int64s = field(default_factory=lambda: np.zeros((0, len(COUNTED)), np.int64))  # (e, COUNTED)
    _together: Int64s = field(default_factory=lambda: np.zeros((0, 0), np.int64))  # (e, r)
    _nearest: Lowest = field(init=False)  # by (place of the limit, 1 where it refuses the document)
    _drawn: Sample = field(init=False)

    def __post_init__(self) -> None:
        self._nearest = Lowest(self.samples)
        self._drawn = Sample(list(dict.fromkeys(_key(limit) for limit in self.limits if limit.measure)), SAMPLE)
        self._make_room()

    # -- while the ledger goes by

    def add(self, chunk: Chunk, numbers: Int64s, recorded: Mapping[str, Bools]) -> None:
        """Readable documents of the source. `numbers`: of their rows in the ledger. `recorded`: (m,) by reason, of what
        no rule gives."""
        self._learn(recorded)
        hashes, nobody = chunk.hashes("id"), np.zeros(len(chunk), np.bool_)
        values = [_values(limit, chunk) for limit in self.limits]
        failed = np.zeros((len(self.limits), len(chunk)), np.bool_)
        for place, (limit, of) in enumerate(zip(self.limits, values, strict=True)):
            failed[place] = limit.fails(of) if limit.measure else recorded.get(limit.reason or "", nobody)
        by_reason = self._by_reason(failed)
        self._count(failed, by_reason, values, chunk.counts("n_bytes"))
        self._draw(values, hashes, chunk.names)
        self._pick(failed, by_reason.sum(axis=0), values, hashes, numbers)

    def _learn(self, recorded: Mapping[str, Bools]) -> None:
        known = {limit.reason for limit in self.limits if not limit.measure}
        self.limits += [recorded_only(reason) for reason in sorted(recorded) if reason not in known]
        self._make_room()

    def _make_room(self) -> None:
        more = len(self.limits) - len(self._sums)
        more_reasons = len(self._reasons) - self._together.shape[1]
        self._sums = np.pad(self._sums, ((0, more), (0, 0)))
        self._together = np.pad(self._together, ((0, more), (0, more_reasons)))

    @property
    def _reasons(self) -> list[str]:
        return list(dict.fromkeys(limit.reason or "" for limit in self.limits))

    def _by_reason(self, failed: Bools) -> Bools:
        """(r, m): which documents fail for each reason."""
        reasons = self._reasons
        found = np.zeros((len(reasons), failed.shape[1]), np.bool_)
        for limit, its in zip(self.limits, failed, strict=True):
            found[reasons.index(limit.reason or "")] |= its
        return found

    def _count(self, failed: Bools, by_reason: Bools, values: Sequence[npt.NDArray[Any]], n_bytes: Int64s) -> None:
        times = by_reason.sum(axis=0)
        alone = failed & (times == 1)
        self.documents += len(n_bytes)
        self.n_bytes += int(n_bytes.sum())
        self.removed += int((times > 0).sum())
        self.removed_bytes += int(n_bytes[times > 0].sum())
        judged = np.array([np.isfinite(of).sum() for of in values], np.int64).reshape(-1)
        sums = (judged, failed.sum(axis=1), alone.sum(axis=1), failed @ n_bytes, alone @ n_bytes)
        self._sums += np.stack(sums, axis=1)
        of_limits, of_reasons = (which[:, times > 1].astype(np.float32) for which in (failed, by_reason))
        self._together += (of_limits @ of_reasons.T).astype(np.int64)  # whole numbers far below 2^24

    def _draw(self, values: Sequence[npt.NDArray[Any]], hashes: UInt64s, names: Names) -> None:
        pairs = zip(self.limits, values, strict=True)
        columns = {_key(limit): pa.array(of, pa.float64()) for limit, of in pairs if limit.measure}
        if columns:
            self._drawn.add(Chunk(0, pa.table(columns), names), hashes)

    def _pick(
        self, failed: Bools, times: Int64s, values: Sequence[npt.NDArray[Any]], hashes: UInt64s, numbers: Int64s
    ) -> None:
        """`times`: (m,) for how many reasons a document fails."""
        for place, (limit, of) in enumerate(zip(self.limits, values, strict=True)):
            distance = np.abs(of.astype(np.float64) - (limit.value if limit.measure else 0))
            for refused in (True, False) if limit.measure else (True,):
                here = np.flatnonzero((failed[place] == refused) & np.isfinite(distance))
                far = distance[here] + BEHIND * (times[here] > refused)
                some = _least(far, hashes[here], self.samples)
                codes = [np.full(len(some), code, np.int64) for code in (place, int(refused))]
                self._nearest.add(codes, [far[some], hashes[here][some]], numbers[here][some])

    # -- afterwards

    def counts(self, place: int) -> dict[str, int]:
        """Of the limit in that place: documents it judged, failed, and failed as the only one, with their bytes."""
        return dict(zip(COUNTED, self._sums[place].tolist(), strict=True))

    def shared(self, place: int) -> list[tuple[str, int]]:
        """(reason, documents) that this limit refuses and another reason does, too, the commonest first."""
        pairs = zip(self._reasons, self._together[place].tolist(), strict=True)
        found = [(reason, n) for reason, n in pairs if n and reason != self.limits[place].reason]
        return sorted(found, key=lambda item: (-item[1], item[0]))

    def nearest(self, place: int, *, failed: bool) -> list[tuple[int, bool]]:
        """(number of the row, whether other limits refuse it too), the telling ones first, then the nearest."""
        return [(row, far >= BEHIND) for far, _, row in self._nearest.held(place, int(failed))]

    def quantiles(self, place: int) -> dict[str, float]:
        values = self._values(place)
        found = np.quantile(values, list(QUANTILES.values())).tolist() if len(values) else []
        return dict(zip(QUANTILES, found, strict=False))

    def one_percent(self, place: int) -> float | None:
        """The bound that would refuse at most one document in a hundred of this source."""
        values = self._values(place)
        beyond = int(ONE_PERCENT * len(values))
        if not len(values):
            return None
        return float(values[beyond] if self.limits[place].bound == "at_least" else values[len(values) - 1 - beyond])

    def _values(self, place: int) -> Floats:
        """A sample of what the limit judges, in ascending order: all of it where the source has no more documents."""
        limit = self.limits[place]
        if not limit.measure or not self.documents:
            return np.zeros(0)
        values = self._drawn.values(_key(limit))
        return np.sort(values[np.isfinite(values)])


def _key(limit: Limit) -> str:
    """Of the values it judges: two ends of one rule share it."""
    return "\n".join((limit.measure, *limit.only_languages, "", *limit.except_languages))


def _values(limit: Limit, chunk: Chunk) -> npt.NDArray[Any]:
    """(m,) as they are recorded, NaN where the limit judges nothing."""
    if not limit.measure:
        return np.zeros(len(chunk))
    values = chunk.values(limit.measure)
    return np.where(limit.concerns(chunk), values, values.dtype.type(np.nan))


def _least(distance: Floats, hashes: UInt64s, at_most: int) -> Int64s:
    """Places of the least distances, ties by hash."""
    if len(distance) <= at_most:
        return np.arange(len(distance))
    if at_most == 0:
        return np.zeros(0, np.int64)
    near = np.flatnonzero(distance <= np.partition(distance, at_most - 1)[at_most - 1])
    return near[np.lexsort((hashes[near], distance[near]))[:at_most]]
