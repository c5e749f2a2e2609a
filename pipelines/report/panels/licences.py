"""Licences and consent of what is kept, by source."""

from __future__ import annotations

from typing import Any

from pipelines.report.run_data import RunData

SHOWN = 60


class Licences:
    title = "Licences and consent"
    anchor = "licences"
    absent = "no source and no record names a licence or a consent"

    def context(self, run: RunData) -> dict[str, Any] | None:
        rows = (run.curation or {}).get("licences") or []
        if not any(row["licence"] or row["consent"] for row in rows):
            return None
        untold = [row for row in rows if not row["licence"]]
        rows = sorted(
            rows, key=lambda row: (-row["documents"], row["source"], row["licence"] or "", row["consent"] or "")
        )
        return {
            "rows": rows[:SHOWN],
            "rest": {key: sum(row[key] for row in rows[SHOWN:]) for key in ("documents", "bytes", "tokens")},
            "others": len(rows[SHOWN:]),
            "kept": sum(row["documents"] for row in rows),
            "untold": sum(row["documents"] for row in untold),
        }
