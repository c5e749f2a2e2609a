"""The domain classifier: what it learned from, what it is worth on held-out documents, whom it refuses."""

from __future__ import annotations

from typing import Any

from pipelines.report.charts import measured
from pipelines.report.run_data import RunData


class Domain:
    title = "Domain classifier"
    anchor = "domain"
    absent = "the recipe has no domain classifier"

    def context(self, run: RunData) -> dict[str, Any] | None:
        curation = run.curation or {}
        found = curation.get("domain") or {}
        if not found.get("by_source"):
            return None
        card = found.get("card")
        rows = [row for row in curation["measures"] if row["measure"] in ("domain_score", "dsir_score")]
        return {
            "card": card,
            "at": card["held_out"]["at_threshold"] if card else None,
            "curve": _curve(card) if card else None,
            "charts": [measured(row) for row in rows if row["measured"]],
            "by_source": found["by_source"],
        }


def _curve(card: dict[str, Any]) -> dict[str, Any]:
    """Precision and recall at every threshold, with a line where it was set."""
    points = card["held_out"]["curve"]
    return {
        "kind": "lines",
        "fraction": True,
        "xLabel": "threshold",
        "x": [point["threshold"] for point in points],
        "mark": card["threshold"],
        "series": [
            {"label": "precision", "colour": "kept", "values": [point["precision"] for point in points]},
            {"label": "recall", "colour": "left", "values": [point["recall"] for point in points]},
        ],
    }
