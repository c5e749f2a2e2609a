"""Lines and paragraphs that stand in many documents of a source: which, where, and what became of them."""

from __future__ import annotations

from typing import Any

from pipelines.report.run_data import RunData

DONE = {
    "count": "They were counted and stay where they are.",
    "remove": "They were cut, and the documents stay; one that is nothing else left.",
    "mask": "[boilerplate] stands in their place.",
}


class Boilerplate:
    title = "Boilerplate"
    anchor = "boilerplate"
    absent = "curated/report.json does not say what stands in many documents: curate first"

    def context(self, run: RunData) -> dict[str, Any] | None:
        found = (run.curation or {}).get("boilerplate")
        if found is None:
            return None
        return {
            "found": found,
            "unit": found["unit"],
            "done": DONE[found["action"]],
            "is_cut": found["action"] != "count",
            "passages": sum(row["passages"] for row in found["by_source"]),
        }
