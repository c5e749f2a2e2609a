"""Every number and sample that the page shows about curation, from the ledger: written once as `curated/report.json`.

The ledger is read by column, so this is a pass of seconds for a million documents. Samples are chosen by the hash of
the id, so that the same corpus shows the same ones, and their texts are the only texts read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from pipelines.report.histograms import fails, histogram
from pipelines.report.ledger import Ledger, read_ledger, texts

Rule = Mapping[str, Any]
"""What `curate.rules.as_dicts` gives: measure, at_least, at_most, too_low, too_high, source, only_languages and
except_languages (these two may be missing)."""

EXAMPLES = 3
"""Documents shown for each source, stage and reason."""
QUARANTINED_SHOWN = 100
EVIDENCE_SHOWN = 12
LARGEST_CLUSTERS = 6
FARTHEST_PAIRS = 4
EXCERPT_CHARS = 320
MATCH_CHARS = 6000

STEPS = (
    ("records", "Records read"),
    ("readable", "Readable"),
    ("language", "In a kept language"),
    ("quality", "Pass the quality rules"),
    ("exact", "After exact dedup"),
    ("near", "After near dedup"),
    ("contamination", "After decontamination"),
)


def curation_numbers(
    run: Path, rules: Sequence[Rule], contamination: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What `curated/report.json` holds. JSON-ready, and the same for the same ledger.

    contamination: what the pass said of its indexes and common phrases, where it is at hand.
    """
    ledger = read_ledger(run)
    everything = np.ones(len(ledger), bool)
    return {
        "records": len(ledger),
        "fates": ledger.by("fate", everything),
        "sources": _sources(ledger),
        "funnel": _funnel(ledger),
        "removals": _removals(run, ledger),
        "quarantined": _quarantined(ledger),
        "rules": _rules(ledger, rules),
        "measures": _measures(ledger, rules),
        "duplicates": _duplicates(run, ledger),
        "languages": _languages(ledger),
        "splits": _splits(ledger),
        "contamination": _contamination(ledger) | {"indexes": dict(contamination or {})},
    }


def _sources(ledger: Ledger) -> list[dict[str, Any]]:
    rows = []
    for (role, source), records in ledger.groups(["role", "source"], np.ones(len(ledger), bool)):
        here = np.zeros(len(ledger), bool)
        here[records] = True
        kept = here & ledger.has("fate", "kept")
        fates = ledger.by("fate", here)
        rows.append(
            {
                "source": source,
                "role": role,
                "records": len(records),
                "bytes": int(ledger.counts["n_bytes"][records].sum()),
                **{fate: fates.get(fate, 0) for fate in ("kept", "removed", "quarantined")},
                "kept_bytes": int(ledger.counts["n_bytes"][kept].sum()),
                "tokens": int(ledger.counts["tokens"][kept].sum()),
            }
        )
    return rows


def left_at(ledger: Ledger) -> np.ndarray:
    """At which of STEPS each record left, by its place there; len(STEPS) for those that stayed."""
    place = {step: index for index, (step, _) in enumerate(STEPS)}
    left = np.full(len(ledger), len(STEPS))
    judged = ledger.has("stage", "judge")
    language = np.zeros(len(ledger), bool)
    for reason in ledger.names["reason"]:
        if reason.startswith("language_"):
            language |= ledger.has("reason", reason)
    left[ledger.has("stage", "read", "clean") | ledger.has("fate", "quarantined")] = place["readable"]
    left[judged & language] = place["language"]
    left[judged & ~language] = place["quality"]
    left[ledger.has("stage", "dedup")] = place["near"]
    left[ledger.has("reason", "exact_duplicate")] = place["exact"]
    left[ledger.has("stage", "contamination")] = place["contamination"]
    left[ledger.has("fate", "kept")] = len(STEPS)
    return left


def _funnel(ledger: Ledger) -> dict[str, Any]:
    left = left_at(ledger)
    steps = []
    for index, (step, label) in enumerate(STEPS):
        steps.append({"step": step, "label": label, **_extent(ledger, left > index)})
    kept = left == len(STEPS)
    splits = {split: _extent(ledger, kept & ledger.has("split", split)) for split in ("train", "validation", "test")}
    return {"steps": steps, "splits": splits}


def _extent(ledger: Ledger, where: np.ndarray) -> dict[str, Any]:
    return {
        "documents": int(where.sum()),
        "bytes": int(ledger.counts["n_bytes"][where].sum()),
        "tokens": int(ledger.counts["tokens"][where].sum()),
        "by_source": ledger.by("source", where),
    }


def _removals(run: Path, ledger: Ledger) -> list[dict[str, Any]]:
    groups = list(ledger.groups(["stage", "reason", "source"], ledger.has("fate", "removed")))
    shown = {names: ledger.pick(records, EXAMPLES) for names, records in groups}
    rows = ledger.rows(_together(shown.values()), ["id", "path", "position", "evidence"])
    excerpts = texts(run, (row["id"] for row in rows.values()), EXCERPT_CHARS)
    return [
        {
            "stage": stage,
            "reason": reason,
            "source": source,
            "documents": len(records),
            "bytes": int(ledger.counts["n_bytes"][records].sum()),
            "examples": [
                rows[int(record)] | {"excerpt": excerpts.get(rows[int(record)]["id"])}
                for record in shown[stage, reason, source]
            ],
        }
        for (stage, reason, source), records in groups
    ]


def _quarantined(ledger: Ledger) -> dict[str, Any]:
    where = ledger.has("fate", "quarantined")
    groups = list(ledger.groups(["source", "stage", "reason"], where))
    each = max(1, QUARANTINED_SHOWN // max(1, len(groups)))
    columns = ["id", "source", "path", "position", "stage", "reason", "evidence", "n_bytes"]
    shown = ledger.rows(_together([ledger.pick(records, each) for _, records in groups][:QUARANTINED_SHOWN]), columns)
    return {
        "documents": int(where.sum()),
        "by_reason": [
            {"source": source, "stage": stage, "reason": reason, "documents": len(records)}
            for (source, stage, reason), records in groups
        ],
        "shown": sorted(
            shown.values(), key=lambda row: (row["source"], row["path"] or "", row["position"] or 0, row["id"])
        ),
    }


def _rules(ledger: Ledger, rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """Each bound with what failed it, and what failed nothing but it: removing the rule would keep the latter."""
    failed: dict[str, int] = {}
    alone: dict[str, int] = {}
    for _, reasons, together in ledger.reasons():
        for tally, given in ((failed, reasons), (alone, reasons.filter(together == 1))):
            for pair in pc.value_counts(given).to_pylist():
                tally[pair["values"]] = tally.get(pair["values"], 0) + pair["counts"]
    rows = []
    for rule in rules:
        for bound, reason in (("at_least", "too_low"), ("at_most", "too_high")):
            if rule.get(bound) is not None:
                name = rule.get(reason)
                rows.append(
                    {"measure": rule["measure"], "bound": bound, "value": rule[bound], "reason": name}
                    | {key: list(rule.get(key) or ()) for key in ("only_languages", "except_languages")}
                    | {
                        "failed": failed.get(name or "", 0),
                        "alone": alone.get(name or "", 0),
                        "source": rule.get("source"),
                    }
                )
    return rows


def _measures(ledger: Ledger, rules: Sequence[Rule]) -> list[dict[str, Any]]:
    kept = ledger.has("fate", "kept")
    decide = {rule["measure"] for rule in rules}
    # those that decide come first, in the rules' order
    order = list(dict.fromkeys(rule["measure"] for rule in rules if rule["measure"] in ledger.measures))
    order += [name for name in ledger.measures if name not in decide]
    found = []
    for name in order:
        values = ledger.measure(name)
        own = [rule for rule in rules if rule["measure"] == name]
        at_least = max((rule["at_least"] for rule in own if rule.get("at_least") is not None), default=None)
        at_most = min((rule["at_most"] for rule in own if rule.get("at_most") is not None), default=None)
        failed = np.zeros(len(ledger), bool)
        for rule in own:
            failed |= fails(values, rule.get("at_least"), rule.get("at_most")) & _judged(ledger, rule)
        shape = histogram(values, kept, failed, at_least, at_most)
        found.append({"measure": name, "at_least": at_least, "at_most": at_most, **shape})
    return found


def _judged(ledger: Ledger, rule: Rule) -> np.ndarray:
    """The documents whose language a rule is for."""
    where = ~ledger.has("language", *(rule.get("except_languages") or ()))
    only = rule.get("only_languages")
    return where & (ledger.has("language", *only) | (ledger.codes["language"] < 0)) if only else where


def _duplicates(run: Path, ledger: Ledger) -> dict[str, Any]:
    duplicate = ledger.has("stage", "dedup")
    hashes, sizes = np.unique(ledger.cluster_hash, return_counts=True)
    in_clusters = sizes >= 2
    near = duplicate & ~ledger.has("reason", "exact_duplicate")
    similarity = ledger.scores["similarity"]
    counts, edges = np.histogram(similarity[near & np.isfinite(similarity)], np.linspace(0, 1, 51))
    distribution = np.bincount(np.minimum(sizes[in_clusters], 20)) if in_clusters.any() else np.zeros(0, np.int64)
    return {
        "clusters": int(in_clusters.sum()),
        "members": int(sizes[in_clusters].sum()),
        "exact": int(ledger.has("reason", "exact_duplicate").sum()),
        "near": int(near.sum()),
        "sizes": [{"size": size, "clusters": int(n)} for size, n in enumerate(distribution) if n],
        "similarity": {"edges": edges.round(4).tolist(), "documents": counts.tolist()},
        "shown": _matches(run, ledger, duplicate, dict(zip(hashes.tolist(), sizes.tolist(), strict=True))),
    }


def _matches(run: Path, ledger: Ledger, duplicate: np.ndarray, size_of: Mapping[int, int]) -> list[dict[str, Any]]:
    """The largest clusters, each by its least similar copy, then the pairs that were least similar of all."""
    records = np.flatnonzero(duplicate)
    likeness = np.nan_to_num(ledger.scores["similarity"][records], nan=1.0)
    records = records[np.lexsort((ledger.id_hash[records], likeness))]  # least similar first, ties on the id's hash
    farthest: dict[int, int] = {}
    for record in records.tolist():
        farthest.setdefault(int(ledger.cluster_hash[record]), record)
    largest = sorted(farthest, key=lambda cluster: (-size_of[cluster], cluster))[:LARGEST_CLUSTERS]
    chosen = [farthest[cluster] for cluster in largest]
    chosen += [record for record in farthest.values() if record not in chosen][:FARTHEST_PAIRS]
    rows = ledger.rows(chosen, ["id", "source", "reason", "cluster", "duplicate_of", "similarity"])
    both = [name for row in rows.values() for name in (row["id"], row["duplicate_of"]) if name]
    stored = texts(run, both, MATCH_CHARS)
    return [
        rows[record]
        | {"size": size_of[int(ledger.cluster_hash[record])]}
        | {"left": stored.get(rows[record]["duplicate_of"] or ""), "right": stored.get(rows[record]["id"])}
        for record in chosen
    ]


def _languages(ledger: Ledger) -> list[dict[str, Any]]:
    kept = ledger.has("fate", "kept")
    rows = []
    for (language,), records in ledger.groups(["language"], ~ledger.has("fate", "quarantined")):
        scores = ledger.scores["language_score"][records]
        scores = scores[np.isfinite(scores)]
        rows.append(
            {
                "language": language or None,
                "documents": len(records),
                "bytes": int(ledger.counts["n_bytes"][records].sum()),
                "kept": int(kept[records].sum()),
                "mean_score": float(scores.mean()) if len(scores) else None,
            }
        )
    return sorted(rows, key=lambda row: (-row["documents"], row["language"] or ""))


def _splits(ledger: Ledger) -> dict[str, Any]:
    kept = ledger.has("fate", "kept")
    rows = []
    for (role, source, split), records in ledger.groups(["role", "source", "split"], kept):
        rows.append(
            {
                "role": role,
                "source": source,
                "split": split,
                "documents": len(records),
                "bytes": int(ledger.counts["n_bytes"][records].sum()),
                "tokens": int(ledger.counts["tokens"][records].sum()),
                "clusters": len(np.unique(ledger.cluster_hash[records])),
            }
        )
    held_out = kept & ledger.has("split", "validation", "test")
    train = kept & ledger.has("split", "train")
    crossing = np.intersect1d(ledger.cluster_hash[held_out], ledger.cluster_hash[train])
    return {"rows": rows, "crossing_clusters": len(crossing)}


def _contamination(ledger: Ledger) -> dict[str, Any]:
    groups = list(ledger.groups(["reason", "source"], ledger.has("stage", "contamination")))
    each = max(1, EVIDENCE_SHOWN // max(1, len(groups)))
    chosen = _together([ledger.pick(records, each) for _, records in groups])
    return {
        "by_reason": [
            {"reason": reason, "source": source, "documents": len(records)} for (reason, source), records in groups
        ],
        "shown": list(ledger.rows(chosen, ["id", "reason", "evidence"]).values()),
    }


def _together(parts: Any) -> list[int]:
    return [int(record) for part in parts for record in part]
