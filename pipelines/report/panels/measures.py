"""Every measure as a histogram with the bounds that decide."""

from __future__ import annotations

from typing import Any

from pipelines.report.charts import measured
from pipelines.report.run_data import RunData


class Measures:
    title = "Measures"
    anchor = "measures"
    absent = "curated/report.json is missing: curate first"

    def context(self, run: RunData) -> dict[str, Any] | None:
        if run.curation is None or not run.curation["measures"]:
            return None
        charts = [measured(row) for row in run.curation["measures"] if row["measured"]]
        return {
            "deciding": [chart for chart in charts if chart["decides"]],
            "silent": [chart for chart in charts if not chart["decides"]],
            "never_taken": [row["measure"] for row in run.curation["measures"] if not row["measured"]],
        }
