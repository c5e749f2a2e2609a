"""From records to training tokens: what each gate let through, and what it cost, by source."""

from __future__ import annotations

from typing import Any

from pipelines.report.drawings import Axis
from pipelines.report.run_data import RunData

ROLE_ORDER = ("domain", "general", "control")


class Funnel:
    title = "From records to training tokens"
    anchor = "funnel"
    absent = "curated/report.json is missing: curate first"

    def context(self, run: RunData) -> dict[str, Any] | None:
        if run.curation is None:
            return None
        funnel = run.curation["funnel"]
        axis = Axis(0, max(1, funnel["steps"][0]["documents"]))
        return {
            "steps": _steps(funnel["steps"], axis),
            "splits": [
                {"split": split, **funnel["splits"][split], "width": axis.at(funnel["splits"][split]["documents"])}
                for split in ("train", "validation", "test")
            ],
            "by_source": _by_source(run.curation),
            "in_bytes": all("bytes_in" in row for row in run.curation["sources"]),
            "step_labels": [step["label"] for step in funnel["steps"]],
        }


def _steps(steps: list[dict[str, Any]], axis: Axis) -> list[dict[str, Any]]:
    drawn = []
    before = steps[0]
    for step in steps:
        lost = before["documents"] - step["documents"]
        drawn.append(
            step
            | {"lost": lost, "of": before["documents"], "width": axis.at(step["documents"])}
            | {"ghost": axis.at(before["documents"])}
        )
        before = step
    return drawn


def _by_source(curation: dict[str, Any]) -> list[dict[str, Any]]:
    order = {role: place for place, role in enumerate(ROLE_ORDER)}
    sources = sorted(curation["sources"], key=lambda row: (order.get(row["role"], 9), row["source"]))
    steps = curation["funnel"]["steps"]
    return [row | {"at": [step["by_source"].get(row["source"], 0) for step in steps]} for row in sources]
