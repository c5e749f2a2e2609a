"""From the rows of a certificate to what is read at a glance: counts by set, those above bounds, a verdict in words.

Every sentence follows from the numbers beside it. A held-out document is *touched* if any 13 words in a row of it stand
in training text. A genre shares set phrases, so some always are; a result is told of touched and of clean ones apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

LISTED = 1000  # documents in the JSON, those that share most first; all are in the parquet file
CONTAINMENTS = (0.1, 0.5)  # bounds that are counted, beside any at all
SPANS = (13, 25, 50)  # words
BINS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8)  # where the bars of the distribution part; 0 has one of its own

CROSSING = {
    "clusters": ("cluster of copies", "clusters of copies"),
    "exact_copies": ("exact text", "exact texts"),
    "groups": ("group", "groups"),
}

Row = dict[str, Any]


def summary(rows: Path, crossing: Mapping[str, int], settings: Mapping[str, Any], certified: Mapping[str, Any]) -> Row:
    """What certificate.json holds. `rows`: the parquet file with a row for each held-out document."""
    every, sets, worst = Counted(), dict[tuple[str, str], Counted](), None
    for table in _tables(rows):
        every.add(table)
        for one in pc.unique(pc.binary_join_element_wise(table["role"], table["split"], "/")).to_pylist():
            role, _, split = one.partition("/")
            here = pc.and_(pc.equal(table["role"], role), pc.equal(table["split"], split))
            sets.setdefault((role, split), Counted()).add(table.filter(here))
        worst = _worst(table if worst is None else pa.concat_tables([worst, table]))
    return {
        "verdict": verdict(every, crossing),
        "crossing": dict(crossing),
        **every.as_json(),
        "sets": [{"role": role, "split": split} | counted.as_json() for (role, split), counted in sorted(sets.items())],
        "settings": dict(settings),
        "certified": dict(certified),
        "listed": 0 if worst is None else len(worst),
        "worst_first": [] if worst is None else worst.to_pylist(),
    }


def _tables(rows: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(rows) as file:
        for batch in file.iter_batches():
            yield pa.Table.from_batches([batch])


def _worst(table: pa.Table) -> pa.Table:
    order = [("containment", "descending"), ("span_words", "descending"), ("id", "ascending")]
    return table.take(pc.sort_indices(table, order)[:LISTED])


@dataclass(slots=True)
class Counted:
    """Held-out documents by how much of them stands in training text."""

    documents: int = 0
    too_short: int = 0
    touched: int = 0
    containment: dict[float, int] = field(default_factory=lambda: dict.fromkeys(CONTAINMENTS, 0))
    spans: dict[int, int] = field(default_factory=lambda: dict.fromkeys(SPANS, 0))
    largest: float = 0.0
    longest: int = 0
    bars: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(BINS) + 2, np.int64))

    def add(self, table: pa.Table) -> None:
        containment, span = table["containment"].to_numpy(), table["span_words"].to_numpy()
        self.documents += len(table)
        self.too_short += int((table["ngrams"].to_numpy() == 0).sum())
        self.touched += int((containment > 0).sum())
        for share in CONTAINMENTS:
            self.containment[share] += int((containment >= share).sum())
        for words in SPANS:
            self.spans[words] += int((span >= words).sum())
        self.largest = max(self.largest, float(containment.max(initial=0)))
        self.longest = max(self.longest, int(span.max(initial=0)))
        bar = np.where(containment > 0, np.searchsorted(BINS, containment, side="right") + 1, 0)
        self.bars += np.bincount(bar, minlength=len(self.bars))

    def as_json(self) -> Row:
        return {
            "documents": self.documents,
            "too_short": self.too_short,
            "touched": self.touched,
            "touched_share": self.touched / max(1, self.documents),
            "above": {
                "containment": [{"at_least": share, "documents": n} for share, n in self.containment.items()],
                "span_words": [{"at_least": words, "documents": n} for words, n in self.spans.items()],
            },
            "largest_containment": self.largest,
            "longest_span_words": self.longest,
            "distribution": [
                {"from": low, "to": high, "documents": n}
                for low, high, n in zip((0.0, 0.0, *BINS), (0.0, *BINS, 1.0), self.bars.tolist(), strict=True)
            ],
        }


def verdict(counted: Counted, crossing: Mapping[str, int]) -> str:
    """
    >>> verdict(Counted(documents=40), {"clusters": 0, "exact_copies": 0})
    'No cluster of copies and no exact text stands on both sides. None of the 40 held-out documents shares 13 words in \
a row with training text.'
    """
    over = [f"{n:,} {CROSSING[name][n != 1]}" for name, n in crossing.items() if n]
    if over:
        stand = "stands" if sum(crossing.values()) == 1 else "stand"
        first = f"{' and '.join(over)} {stand} on both sides of the split: the held-out result cannot be trusted."
    else:
        *some, last = [f"no {CROSSING[name][0]}" for name in crossing]
        first = f"{', '.join(some)} and {last} stands on both sides.".capitalize()
    return f"{first} {_shared(counted)}"


def _shared(counted: Counted) -> str:
    n = f"{counted.documents:,} held-out document{'s' * (counted.documents != 1)}"
    if not counted.touched:
        return f"None of the {n} shares 13 words in a row with training text."
    share = 100 * counted.touched / counted.documents
    return (
        f"{counted.touched:,} of {n} ({share:.2g} %) share{'s' * (counted.touched == 1)} 13 words in a row with "
        f"training text. Up to {100 * counted.largest:.2g} % of a document's 13-grams stand in one training document; "
        f"the longest run of words in common is {counted.longest:,}."
    )
