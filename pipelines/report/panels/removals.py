"""What left, why, and what it looked like; which reasons meet in one document; and what could not be read at all."""

from __future__ import annotations

from typing import Any

from pipelines.report.run_data import RunData

ROLES = ("domain", "general", "control")
STAGES = ("read", "clean", "judge", "boilerplate", "dedup", "contamination")
REASONS_MET = 12
SHADES = 5


class Removals:
    title = "What left, and why"
    anchor = "removals"
    absent = "curated/report.json is missing: curate first"

    def context(self, run: RunData) -> dict[str, Any] | None:
        if run.curation is None:
            return None
        quarantined = run.curation["quarantined"]
        return {
            "sources": [source["source"] for source in sorted(run.curation["sources"], key=_place)],
            "reasons": _by_reason(run.curation["removals"]),
            "unreadable": _by_reason(quarantined["by_reason"]),
            "quarantined": quarantined,
            "overlaps": _overlaps(run.curation.get("overlaps")),
            "removed_documents": run.curation["fates"].get("removed", 0),
            "records": run.curation["records"],
        }


def _place(source: dict[str, Any]) -> tuple[int, str]:
    role = source["role"]
    return (ROLES.index(role) if role in ROLES else len(ROLES), source["source"])


def _by_reason(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per stage and reason, the commonest first within the stages' order."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        reason = found.setdefault(
            (row["stage"], row["reason"]),
            {"stage": row["stage"], "reason": row["reason"], "documents": 0, "by_source": {}, "examples": []},
        )
        reason["documents"] += row["documents"]
        reason["by_source"][row["source"]] = reason["by_source"].get(row["source"], 0) + row["documents"]
        reason["examples"] += [example | {"source": row["source"]} for example in row.get("examples", ())]
    place = {stage: index for index, stage in enumerate(STAGES)}
    return sorted(found.values(), key=lambda row: (place.get(row["stage"], 9), -row["documents"], row["reason"]))


def _overlaps(found: dict[str, Any] | None) -> dict[str, Any] | None:
    """The commonest reasons against each other: how many documents fail both, shaded by the share of the row."""
    if not found or len(found["reasons"]) < 2:
        return None
    reasons = found["reasons"][:REASONS_MET]
    rows = []
    for place, reason in enumerate(reasons):
        counts = found["documents"][place][: len(reasons)]
        shades = [-(-SHADES * n // max(1, counts[place])) for n in counts]
        cells = [
            {"n": n, "own": other == place, "shade": shade}
            for other, (n, shade) in enumerate(zip(counts, shades, strict=True))
        ]
        rows.append({"number": place + 1, "reason": reason, "cells": cells})
    return {"rows": rows, "others": len(found["reasons"]) - len(reasons)}
