"""What the run found, in words and four numbers."""

from __future__ import annotations

from typing import Any

from pipelines.report.run_data import RunData

ROLES = ("domain", "general", "control")


class Headline:
    title = "Result at a glance"
    anchor = "headline"
    absent = "the run has neither been curated nor evaluated"

    def context(self, run: RunData) -> dict[str, Any] | None:
        if run.curation is None and run.evaluation is None:
            return None
        return {
            **_words((run.evaluation or {}).get("verdict", {})),
            "changes": _changes(run.evaluation),
            "documents": _documents(run.curation),
        }


def _words(verdict: dict[str, Any]) -> dict[str, str]:
    """The verdict's own words; its text opens with its headline, which is not said twice."""
    headline, text = verdict.get("headline", ""), verdict.get("text", "")
    return {"headline": headline, "text": text.removeprefix(headline).strip()}


def _changes(evaluation: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Before and after by role: the verdict's pooled numbers, else the first set of the role."""
    if evaluation is None:
        return []
    pooled = evaluation.get("verdict", {}).get("changes", {})
    found = []
    for role in ROLES:
        sets = [one for _, one in sorted(evaluation["sets"].items()) if one["role"] == role]
        if role in pooled:
            found.append(
                {"role": role, "before": pooled[role]["before"], "after": pooled[role]["after"], "change": pooled[role]}
            )
        elif sets:
            before, after = (sets[0][side]["bits_per_byte"] for side in ("before", "after"))
            found.append({"role": role, "before": before, "after": after, "change": sets[0]["change"]})
    return found


def _documents(curation: dict[str, Any] | None) -> dict[str, Any] | None:
    if curation is None:
        return None
    domain = [source for source in curation["sources"] if source["role"] == "domain"]
    totals = {key: sum(source[key] for source in domain) for key in ("records", "kept", "tokens", "kept_bytes")}
    return totals | {"all_records": curation["records"], "all_kept": curation["fates"].get("kept", 0)}
