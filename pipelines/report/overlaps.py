"""Which reasons meet in one document: what each rule refuses, what it alone refuses, and what it shares with which.

    document  reasons             failed  alone  together
    1         short, repeated     short 2, repeated 1       short and repeated 1
    2         short                       short 1

A document that fails one thing only would have passed the rules without it. Only what the rules decided is counted: a
copy, or what leaks, has failed nothing by itself.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from pipelines.report.ledger import Chunk, Int64s, Names
from pipelines.report.tallies import Row, Sums, rolled

REASONS_SHOWN = 60


class Overlaps:
    def __init__(self) -> None:
        self._by_source = Sums(("reasons", "source"), ("alone",))
        self._together: Counter[tuple[int, int]] = Counter()

    def add(self, chunk: Chunk) -> None:
        rows, codes, findings = chunk.reasons()
        judged = chunk.has("stage", "judge")[rows]
        rows, codes, findings = rows[judged], codes[judged], findings[judged]
        self._by_source.add([codes, chunk.codes("source")[rows]], [findings == 1])
        self._meet(rows, codes)

    def _meet(self, rows: Int64s, codes: Int64s) -> None:
        """Adds how many documents hold each pair of reasons; a reason with itself counts all that hold it.

        Reasons of a document stand together, by code: those that are `apart` places apart are paired in one go.
        """
        width = int(codes.max(initial=0)) + 1
        for apart in range(len(codes)):
            first, second = slice(0, len(codes) - apart), slice(apart, len(codes))
            same = rows[first] == rows[second]
            if not same.any():
                return
            pairs, counts = np.unique(codes[first][same] * width + codes[second][same], return_counts=True)
            for pair, documents in zip(pairs.tolist(), counts.tolist(), strict=True):
                self._together[divmod(pair, width)] += documents

    def reasons(self, names: Names) -> list[Row]:
        """Every reason of a rule, of the language or of a filter: documents that fail it, and that fail it alone, also
        by source. The commonest first."""
        rows = self._by_source.rows(names)
        by_source: dict[str, Row] = {}
        for row in rows:
            here = by_source.setdefault(row["reasons"], {})
            here[row["source"]] = {"failed": row["documents"], "alone": row["alone"]}
        found = [
            {"reason": one["reasons"], "failed": one["documents"], "alone": one["alone"]}
            | {"by_source": by_source[one["reasons"]]}
            for one in rolled(rows, "reasons")
        ]
        return sorted(found, key=lambda row: (-row["failed"], row["reason"]))

    def matrix(self, names: Names) -> dict[str, Any]:
        """How many documents fail both, for the commonest reasons; on the diagonal, how many fail it at all."""
        known = names.of("reasons")
        counted = Counter({(known[one], known[other]): n for (one, other), n in self._together.items()})
        counted |= Counter({(other, one): n for (one, other), n in counted.items()})
        commonest = sorted((-n, one) for (one, other), n in counted.items() if one == other)
        shown = [one for _, one in commonest[:REASONS_SHOWN]]
        return {"reasons": shown, "documents": [[counted[one, other] for other in shown] for one in shown]}
