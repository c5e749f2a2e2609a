"""Train, validation and test: what stands where, and that no copy and no long quotation stands on both sides."""

from __future__ import annotations

from typing import Any

from pipelines.report.run_data import RunData

ROLE_ORDER = {"domain": 0, "general": 1, "control": 2}
SPLIT_ORDER = {"train": 0, "validation": 1, "test": 2}


class Splits:
    title = "Splits and contamination"
    anchor = "splits"
    absent = "curated/report.json is missing: curate first"

    def context(self, run: RunData) -> dict[str, Any] | None:
        if run.curation is None:
            return None
        rows = run.curation["splits"]["rows"]
        return {
            "rows": sorted(
                rows,
                key=lambda row: (ROLE_ORDER.get(row["role"], 9), row["source"], SPLIT_ORDER.get(row["split"], 9)),
            ),
            "crossing": run.curation["splits"]["crossing_clusters"],
            "hits": run.curation["contamination"],
        }
