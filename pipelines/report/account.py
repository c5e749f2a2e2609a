"""What the facts say by source: what came in and stayed, in which languages, under which licence, with what in it."""

from __future__ import annotations

from typing import Any

from curate.settings import Curate
from pipelines.report.clusters import Found
from pipelines.report.facts import PERSONAL, Facts
from pipelines.report.tallies import Row, mean, rolled

FATES = ("kept", "removed", "quarantined")


def sources(fates: list[Row]) -> list[Row]:
    """Bytes that came in are those of the text that remains, and what cleaners and later passes cut of it."""
    found = []
    for row in rolled(fates, "role", "source"):
        its = [one for one in fates if (one["role"], one["source"]) == (row["role"], row["source"])]
        kept = [one for one in its if one["fate"] == "kept"]
        found.append(
            {
                "source": row["source"],
                "role": row["role"],
                "records": row["documents"],
                "bytes": row["bytes"],
                "bytes_in": row["bytes"] + row["cleaned"] + row["trimmed"],
                "cleaned_bytes": row["cleaned"],
                "trimmed_bytes": row["trimmed"],
                **{fate: sum(one["documents"] for one in its if one["fate"] == fate) for fate in FATES},
                **{f"{fate}_bytes": sum(one["bytes"] for one in its if one["fate"] == fate) for fate in FATES},
                "tokens": sum(one["tokens"] for one in kept),
            }
        )
    return found


def languages(facts: Facts) -> list[Row]:
    rows = facts.languages.rows(facts.names)
    kept = {row["language"]: row["documents"] for row in rolled(_kept(rows), "language")}
    found = [
        {
            "language": row["language"] or None,
            "documents": row["documents"],
            "bytes": row["bytes"],
            "kept": kept.get(row["language"], 0),
            "mean_score": mean(row["score"], row["scored"]),
        }
        for row in rolled(rows, "language")
    ]
    return sorted(found, key=lambda row: (-row["documents"], row["language"] or ""))


def languages_by_source(facts: Facts) -> list[Row]:
    """Abstentions: documents whose language nobody would guess. Mixed: sampled text surely in another language too."""
    rows = facts.languages.rows(facts.names)
    abstained = {row["source"]: row["documents"] for row in rolled((r for r in rows if not r["language"]), "source")}
    kept = {row["source"]: row for row in rolled(_kept(rows), "source")}
    found = []
    for row in rolled(rows, "source"):
        its = [one for one in rolled(rows, "source", "language") if one["source"] == row["source"] and one["language"]]
        commonest = sorted(its, key=lambda one: (-one["documents"], one["language"]))
        found.append(
            {
                "source": row["source"],
                "documents": row["documents"],
                "abstained": abstained.get(row["source"], 0),
                "mean_score": mean(row["score"], row["scored"]),
                "mixed": row["mixed"],
                "mixed_kept": kept.get(row["source"], {}).get("mixed", 0),
                "other_share": mean(row["mixed_share"], row["documents"]),
                "commonest": {one["language"]: one["documents"] for one in commonest[:4]},
            }
        )
    return found


def licences(facts: Facts) -> list[Row]:
    """Of what is kept. None where nobody told."""
    return [
        row | {name: row[name] or None for name in ("licence", "consent")} for row in facts.licences.rows(facts.names)
    ]


def personal(facts: Facts, settings: Curate | None) -> dict[str, Any]:
    """Counts of personal data, by kind and source, and what became of it. What is masked was counted before."""
    rows = facts.personal.rows(facts.names)
    by_kind = []
    for column in facts.kinds:
        kind = column.removeprefix(PERSONAL)
        for row in rolled(rows, "source"):
            kept = [one for one in _kept(rows) if one["source"] == row["source"]]
            by_kind.append(
                {"kind": kind, "source": row["source"], "treatment": _treatment(kind, settings)}
                | {"spans": row[f"{column}_spans"], "documents": row[column]}
                | {
                    "kept_spans": sum(one[f"{column}_spans"] for one in kept),
                    "kept_documents": sum(one[column] for one in kept),
                }
            )
    affected = [
        {"source": row["source"], "documents": row["documents"], "affected": row["any"]}
        for row in rolled(rows, "source")
    ]
    return {"by_kind": by_kind, "affected": affected}


def _treatment(kind: str, settings: Curate | None) -> str:
    """Dropped documents are dropped, masked or not."""
    if settings is not None and kind in settings.pii.drop:
        return "dropped"
    return "masked" if settings is not None and kind in settings.pii.mask else "counted"


def domain_scores(facts: Facts) -> list[Row]:
    return [
        {
            "source": row["source"],
            "scored": row["scored"],
            "mean_score": mean(row["score"], row["scored"]),
            "above": row["above"],
        }
        for row in facts.domain.rows(facts.names)
        if row["scored"]
    ]


def splits(fates: list[Row], clusters: Found) -> dict[str, Any]:
    """A document without a copy is a cluster of its own."""
    found = []
    for row in rolled(_kept(fates), "role", "source", "split"):
        with_copies, in_clusters = clusters.on_side(row["role"], row["source"], row["split"])
        found.append(
            {key: row[key] for key in ("role", "source", "split", "documents", "bytes", "tokens")}
            | {"clusters": row["documents"] - with_copies + in_clusters}
        )
    return {"rows": found, "crossing_clusters": clusters.crossing()}


def _kept(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["fate"] == "kept"]
