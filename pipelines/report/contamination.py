"""What decontamination took, by corpus, kind of item and rule, and whether that is so much that it looks like an error.

A held-out set or a benchmark is quoted by few training documents. Where many share its words, these are as a rule set
phrases of the genre, and the rule removes text for being written in it. AI2's runbook for pretraining data backs off
where decontamination takes more than 0.1 % of the documents: above that the alarm goes off, unless it is a handful.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.report.shown import without_personal_data

ALARM_ABOVE = 0.001  # of the training documents, by one rule
ALARM_FROM = 10  # documents: fewer are no rate
Row = dict[str, Any]


def contamination_numbers(found: Mapping[str, Any] | None, presidio: bool = False) -> dict[str, Any]:
    """`found`: what the pass said, by kind of item. Phrases are words of documents, so personal data in them is
    masked."""
    found = found or {}
    rows = [row for role, one in found.items() for row in _shares(role, one)]
    return {
        "indexes": {
            role: {**one, "rules": [_masked(rule, presidio) for rule in one["rules"]]} for role, one in found.items()
        },
        "removal": {
            "alarm_above": ALARM_ABOVE,
            "alarm_from": ALARM_FROM,
            "alarm": any(row["alarm"] for row in rows),
            "rows": rows,
        },
    }


def _shares(role: str, one: Mapping[str, Any]) -> Iterator[Row]:
    """By rule, the documents of each source and of all, of which it removed any."""
    for rule in one["rules"]:
        trained_on = {None: one["training_documents"], **one["by_source"]}
        for source, documents in trained_on.items():
            removed = rule["removed"] if source is None else rule["removed_by_source"].get(source, 0)
            if removed or source is None:
                share = removed / max(1, documents)
                alarm = share > ALARM_ABOVE and removed >= ALARM_FROM
                yield {"role": role, "rule": rule["rule"], "words": rule["words"], "source": source} | {
                    "training_documents": documents, "removed": removed, "share": share, "alarm": alarm
                }  # fmt: skip


def _masked(rule: Mapping[str, Any], presidio: bool) -> Row:
    phrases = rule["common_phrases"]
    masked = without_personal_data([row["phrase"] for row in phrases], presidio)
    return {**rule, "common_phrases": [row | {"phrase": p} for row, p in zip(phrases, masked, strict=True)]}
