"""Personal data: how much of which kind stood in the texts, and what became of it. Never the data itself."""

from __future__ import annotations

from typing import Any

from pipelines.report.run_data import RunData


class Personal:
    title = "Personal data"
    anchor = "personal"
    absent = "no kind of personal data was counted"

    def context(self, run: RunData) -> dict[str, Any] | None:
        found = (run.curation or {}).get("personal") or {"by_kind": []}
        if not found["by_kind"]:
            return None
        rows = [_row(row) for row in found["by_kind"]]
        counted = {row["kind"] for row in rows}
        met = {row["kind"] for row in rows if row["documents"]}
        return {
            "rows": [row for row in rows if row["documents"]],
            "affected": found["affected"],
            "documents": sum(row["documents"] for row in found["affected"]),
            "holding": sum(row["affected"] for row in found["affected"]),
            "never": sorted(kind.replace("_", " ") for kind in counted - met),
        }


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """What is masked no longer stands in the kept texts; what is dropped left with its document."""
    left = row["treatment"] == "counted"
    return row | {
        "name": row["kind"].replace("_", " "),
        "left_documents": row["kept_documents"] if left else 0,
        "left_spans": row["kept_spans"] if left else 0,
    }
