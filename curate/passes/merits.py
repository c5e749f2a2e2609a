"""What the policies of `curate.duplicates.keep` ask of documents, from what the passes left of them.

    {measure: domain_score}   a column of the first pass or of the scores; high values first unless it says low
    {earliest: front.date}    a field of the record, as curate/dates.py reads dates
    {sources: [papers, web]}  the place of the record's source among those named

A document without the value comes after all that have one; how many there were is counted, for the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curate.dates import moment_of
from curate.dedup.prefer import Asking
from curate.dedup.verify import Float64s
from curate.passes.sift import unit_file
from curate.passes.sifted import Int64s, Sifted
from curate.settings import BestOf, Earliest
from curate.shards.fault import Fault


@dataclass(frozen=True, slots=True)
class SiftedMerits:
    """See curate.dedup.prefer.Merits."""

    sifted: Sifted
    sources: Sequence[str] = ()  # name of each unit's
    scored: Sifted | None = None  # the classifiers' scores, where there are any
    meta: str = "meta"  # the column that holds a record's fields
    without: Counter[str] = field(default_factory=Counter)  # documents without the value, by policy

    def __call__(self, policy: Asking, records: Int64s) -> Float64s:
        values = self._values(policy, records)
        self.without[_name(policy)] += int(np.isnan(values).sum())
        return values

    def _values(self, policy: Asking, records: Int64s) -> Float64s:
        if isinstance(policy, BestOf):
            column = self._holding(policy.measure).take(records, [policy.measure])[policy.measure]
            values = column.cast(pa.float64()).to_numpy()
            return -values if policy.prefer == "high" else values
        if isinstance(policy, Earliest):
            some = (rows[self.meta].to_pylist() for _, rows in self.sifted.some(records, [self.meta]))
            moments = (moment_of(meta, policy.earliest) for part in some for meta in part)
            return np.array([np.nan if one is None else one for one in moments], np.float64)
        place = {name: place for place, name in enumerate(policy.sources)}
        of_unit = np.array([place.get(name, np.nan) for name in self.sources], np.float64)
        return of_unit[np.searchsorted(self.sifted.first_row, records, side="right") - 1]

    def _holding(self, measure: str) -> Sifted:
        """Whose files hold a measure."""
        for files in (self.sifted, self.scored):
            if files is not None and measure in pq.read_schema(unit_file(files.folder, 0)).names:
                return files
        raise Fault(f"nothing measures {measure!r}", where="curate.duplicates.keep")

    def numbers(self) -> list[dict[str, Any]]:
        """How many documents of clusters each policy had nothing to go by for."""
        return [{"policy": name, "without": n} for name, n in self.without.items()]


def _name(policy: Asking) -> str:
    if isinstance(policy, BestOf):
        return f"{policy.prefer} {policy.measure}"
    return f"earliest {policy.earliest}" if isinstance(policy, Earliest) else f"sources {', '.join(policy.sources)}"
