"""Which languages the readable documents are in, how surely, and which of them stayed."""

from __future__ import annotations

from typing import Any

from pipelines.report.charts import measured
from pipelines.report.run_data import RunData

SHOWN = 30


class Language:
    title = "Language"
    anchor = "language"
    absent = "no language was detected"

    def context(self, run: RunData) -> dict[str, Any] | None:
        rows = run.curation["languages"] if run.curation else []
        if run.curation is None or not any(row["language"] for row in rows):
            return None
        rest = rows[SHOWN:]
        language = run.curation.get("language") or {"by_source": [], "scores": {"measured": 0}, "rules": []}
        return {
            "rows": rows[:SHOWN],
            "total": sum(row["documents"] for row in rows),
            "rest": {"languages": len(rest), **{key: sum(row[key] for row in rest) for key in ("documents", "kept")}},
            "by_source": language["by_source"],
            "scores": measured(language["scores"] | {"measure": "language_score"})
            if language["scores"]["measured"]
            else None,
            "rules": language["rules"],
        }
