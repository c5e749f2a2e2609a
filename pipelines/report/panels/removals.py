"""What left, why, and what it looked like; and what could not be read at all."""

from __future__ import annotations

from typing import Any

from pipelines.report.run_data import RunData

ROLES = ("domain", "general", "control")
STAGES = ("read", "clean", "judge", "dedup", "contamination")


class Removals:
    title = "What left, and why"
    anchor = "removals"
    absent = "curated/report.json is missing: curate first"

    def context(self, run: RunData) -> dict[str, Any] | None:
        if run.curation is None:
            return None
        quarantined = run.curation["quarantined"]
        rows = [row | {"fate": "removed"} for row in run.curation["removals"]]
        rows += [row | {"fate": "quarantined", "examples": []} for row in quarantined["by_reason"]]
        return {
            "sources": [source["source"] for source in sorted(run.curation["sources"], key=_place)],
            "reasons": _by_reason(rows),
            "quarantined": quarantined,
            "removed_documents": run.curation["fates"].get("removed", 0),
            "records": run.curation["records"],
        }


def _place(source: dict[str, Any]) -> tuple[int, str]:
    role = source["role"]
    return (ROLES.index(role) if role in ROLES else len(ROLES), source["source"])


def _by_reason(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per stage and reason, the commonest first within the stages' order."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:
        key = (row["stage"], row["reason"], row["fate"])
        reason = found.setdefault(
            key,
            {"stage": row["stage"], "reason": row["reason"], "fate": row["fate"]}
            | {"documents": 0, "by_source": {}, "examples": []},
        )
        reason["documents"] += row["documents"]
        reason["by_source"][row["source"]] = reason["by_source"].get(row["source"], 0) + row["documents"]
        reason["examples"] += [example | {"source": row["source"]} for example in row["examples"]]
    place = {stage: index for index, stage in enumerate(STAGES)}
    return sorted(found.values(), key=lambda row: (place.get(row["stage"], 9), -row["documents"], row["reason"]))
