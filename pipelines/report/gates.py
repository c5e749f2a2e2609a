"""From records to training documents: which gate each record left at, and what passed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipelines.report.tallies import Row, rolled

STEPS = (
    ("records", "Records read"),
    ("readable", "Readable"),
    ("language", "In a kept language"),
    ("quality", "Pass the quality rules"),
    ("domain", "Of the domain"),
    ("personal", "Without personal data that is to leave"),
    ("boilerplate", "More than boilerplate"),
    ("published", "Not published before"),
    ("exact", "After exact dedup"),
    ("near", "After near dedup"),
    ("contamination", "After decontamination"),
    ("spans", "More than repeated passages"),
)
IF_USED = ("domain", "personal", "boilerplate", "published", "spans")  # gates that a recipe may lack
SPLITS = ("train", "validation", "test")


def funnel(rows: Sequence[Row]) -> dict[str, Any]:
    """`rows`: sums by role, source, fate, stage, reason and split."""
    sources = sorted({row["source"] for row in rows})
    places = {step: place for place, (step, _) in enumerate(STEPS)}
    left = [(places.get(gate(row) or "", len(STEPS)), row) for row in rows]
    used = {place for place, _ in left}
    steps = [
        {"step": step, "label": label, **_extent([row for at, row in left if at > place], sources)}
        for place, (step, label) in enumerate(STEPS)
        if step not in IF_USED or place in used
    ]
    kept = [row for at, row in left if at == len(STEPS)]
    splits = {split: _extent([row for row in kept if row["split"] == split], sources) for split in SPLITS}
    return {"steps": steps, "splits": splits}


def gate(row: Row) -> str | None:
    """Where a record left; None for one that stayed."""
    if row["fate"] == "kept":
        return None
    if row["stage"] in ("boilerplate", "contamination"):
        return str(row["stage"])
    if row["reason"] == "published_duplicate":
        return "published"
    if row["reason"] == "repeated_spans":
        return "spans"
    if row["stage"] == "dedup":
        return "exact" if row["reason"] == "exact_duplicate" else "near"
    if row["stage"] == "judge" and row["fate"] == "removed":
        return _rule_gate(row["reason"])
    return "readable"


def _rule_gate(reason: str) -> str:
    if reason.startswith("language_") or reason == "mixed_languages":
        return "language"
    if reason == "off_domain":
        return "domain"
    return "personal" if reason.startswith("holds_") else "quality"


def _extent(rows: Sequence[Row], sources: Sequence[str]) -> dict[str, Any]:
    by_source = {row["source"]: row["documents"] for row in rolled(rows, "source")}
    return {
        **{key: sum(row[key] for row in rows) for key in ("documents", "bytes", "tokens")},
        "by_source": {source: by_source.get(source, 0) for source in sources},
    }
