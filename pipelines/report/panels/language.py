"""Which languages the readable documents are in, and which of them stayed."""

from __future__ import annotations

from typing import Any

from pipelines.report.run_data import RunData

SHOWN = 30


class Language:
    title = "Language"
    anchor = "language"
    absent = "no language was detected"

    def context(self, run: RunData) -> dict[str, Any] | None:
        rows = run.curation["languages"] if run.curation else []
        if not any(row["language"] for row in rows):
            return None
        rest = rows[SHOWN:]
        return {
            "rows": rows[:SHOWN],
            "total": sum(row["documents"] for row in rows),
            "rest": {"languages": len(rest), **{key: sum(row[key] for row in rest) for key in ("documents", "kept")}},
        }
