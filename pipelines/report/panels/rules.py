"""Each rule, source by source: what it refuses, what it alone refuses, and the documents on both sides of its bound."""

from __future__ import annotations

from typing import Any

from pipelines.report.charts import language_words, named
from pipelines.report.run_data import RunData


class Rules:
    title = "Rules and their bounds"
    anchor = "rules"
    absent = "no rule judged the documents"

    def context(self, run: RunData) -> dict[str, Any] | None:
        if run.curation is None or not (run.curation["rules"] or run.curation.get("filters")):
            return None
        rules = [_rule(row) for row in run.curation["rules"]]
        meanings = {row["measure"]: row.get("meaning") for row in run.curation["measures"]}
        return {
            "rules": rules,
            "meanings": meanings,
            "near": sorted((rule for rule in rules if rule["by_source"]), key=lambda rule: -rule["failed"]),
            "filters": run.curation.get("filters", []),
            "filter_reasons": [row for row in run.curation.get("reasons", []) if row["given_by"] == "filter"],
        }


def _rule(row: dict[str, Any]) -> dict[str, Any]:
    """Reports of before rules could differ by source have no counts by source."""
    return row | {
        "languages": language_words(row),
        "of": named(row.get("sources") or []),
        "by_source": row.get("by_source") or {},
        "shared": row["failed"] - row["alone"],
    }
