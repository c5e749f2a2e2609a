"""Repeated passages: how much of the training text stands in more than one document, and what it says."""

from __future__ import annotations

from typing import Any

from pipelines.report.drawings import Axis
from pipelines.report.run_data import RunData


class Spans:
    title = "Repeated passages"
    anchor = "spans"
    absent = "repeated passages were not looked for (curate.duplicates.spans.action)"

    def context(self, run: RunData) -> dict[str, Any] | None:
        found = (run.curation or {}).get("spans")
        if not found:
            return None
        axis = Axis(0, max([row["spans"] for row in found["lengths"]], default=1))
        lengths = [_length(row, axis) for row in found["lengths"]]
        totals = {
            name: sum(row[name] for row in found["by_source"])
            for name in ("documents", "bytes", "documents_with_spans", "spans", "span_bytes")
        }
        return {
            "found": found,
            "totals": totals,
            "rows": found["by_source"],
            "lengths": lengths if totals["spans"] else [],
            "is_cut": found["action"] == "remove",
        }


def _length(row: dict[str, int], axis: Axis) -> dict[str, Any]:
    return row | {"width": axis.at(row["spans"]), "below": 2 * row["words_from"]}
