"""Training text that stood in held-out or benchmark text: what left for it, on what evidence, and whether too much."""

from __future__ import annotations

from typing import Any

from pipelines.report.run_data import RunData


class Contamination:
    title = "Contamination"
    anchor = "contamination"
    absent = "curated/report.json is missing: curate first"

    def context(self, run: RunData) -> dict[str, Any] | None:
        if run.curation is None:
            return None
        hits = run.curation["contamination"]
        return {"hits": hits, "rows": [row | {"says": _says(hits, row)} for row in hits["removal"]["rows"]]}


def _says(hits: dict[str, Any], row: dict[str, Any]) -> str:
    """What a rule asks."""
    rule = next(one for one in hits["indexes"][row["role"]]["rules"] if one["rule"] == row["rule"])
    if rule["at_least"] is None:
        return f"a run of {rule['words']} words"
    return f"{rule['at_least']:.0%} of the runs of {rule['words']} words of the shorter text"
