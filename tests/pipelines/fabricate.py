"""A run folder as the design fixes it, without a run: every fate and reason, texts that attack the page."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)> </script><script src=http://evil.example/x.js></script>"
    " <!-- --> ]]> {{ 7*7 }} & \u2028 \u202e \" ' <style>*{display:none}</style> <a href='javascript:alert(3)'>x</a>"
)
RULES: list[dict[str, Any]] = [
    {"measure": "words", "at_least": 50, "at_most": 100_000, "too_low": "too_few_words", "too_high": "too_many_words"},
    {
        "measure": "mean_word_length",
        "at_least": 3,
        "at_most": 10,
        "too_low": "words_too_short",
        "too_high": "words_too_long",
    },
    {"measure": "stop_words", "at_least": 2, "at_most": None, "too_low": "too_few_stop_words", "too_high": None},
    {
        "measure": "duplicate_line_share",
        "at_least": None,
        "at_most": 0.3,
        "too_low": None,
        "too_high": "repeated_lines",
    },
]
for _rule in RULES:
    _rule["source"] = "Gopher, Rae et al. 2021"
OFF_DOMAIN: dict[str, Any] = {"measure": "domain_score", "at_least": 0.4, "at_most": None, "source": "curate.domain"}
OFF_DOMAIN |= {"too_low": "off_domain", "too_high": None}
HOLDS_EMAIL: dict[str, Any] = {"measure": "pii_email", "at_least": None, "at_most": 0, "source": "recipe"}
HOLDS_EMAIL |= {"too_low": None, "too_high": "holds_email"}
SOURCES = {"notes": "domain", "papers": "domain", "web": "general", "statutes": "control"}
SHORT_STATUTES = [RULES[0] | {"at_least": 30, "source": "recipe"}, *RULES[1:]]
BOOK: dict[str, Any] = {
    source: {
        "rules": [
            *(SHORT_STATUTES if source == "statutes" else RULES),
            *([OFF_DOMAIN] if source == "papers" else []),
            HOLDS_EMAIL,
        ],
        "language": {"keep": ["en"], "at_least": 0.72, "decide": True},
    }
    for source in SOURCES
}
"""Rules by source, as `curate.rulebook.as_json` gives them."""
FILTER = "datatrove:GopherQualityFilter"
CARD: dict[str, Any] = {
    "seeds": ["notes"],
    "against": ["web"],
    "threshold": 0.4,
    "chosen": {"by": "precision", "precision": 0.95, "reached": True, "text": "chosen on held-out documents"},
    "parameters": {"dim": 64},
    "training": {kind: {"documents": 90, "windows": 180, "bytes": 90_000} for kind in ("domain", "other")},
    "held_out": {
        "domain": 40,
        "other": 44,
        "domain_share": 0.5,
        "auc": 0.9812,
        "at_threshold": {"threshold": 0.4, "recall": 0.9, "recall_ci95": [0.77, 0.96], "fall_out": 0.02}
        | {"precision": 0.97, "precision_ci95": [0.86, 0.99], "fall_out_ci95": [0.0, 0.1]},
        "curve": [
            {"threshold": at, "precision": 0.6 + 0.38 * at, "recall": 1 - at**3, "fall_out": (1 - at) ** 3}
            for at in (0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99)
        ],
    },
    "importance": {"auc": 0.95, "documents": 84, "taken": 38, "spearman": 0.71, "kappa": 0.82}
    | {"only_classifier": 2, "only_importance": 2, "only_classifier_ids": ["notes/0004"], "only_importance_ids": []},
}
"""A card of the domain's classifier, as `curate.classify.domain` writes it."""
SCHEMA = pa.schema(
    [
        *[(name, pa.string()) for name in ("id", "source", "role", "path")],
        ("position", pa.int64()),
        ("n_bytes", pa.int64()),
        ("n_chars", pa.int64()),
        *[(name, pa.string()) for name in ("fate", "stage", "reason")],
        ("reasons", pa.list_(pa.string())),
        ("evidence", pa.string()),
        *[(rule["measure"], pa.float64()) for rule in RULES],
        *[(name, pa.float64()) for name in ("other_language_share", "pii_email", "pii_phone", "pii_ip")],
        ("language", pa.string()),
        ("language_score", pa.float32()),
        ("domain_score", pa.float32()),
        *[(name, pa.string()) for name in ("cluster", "duplicate_of")],
        ("similarity", pa.float32()),
        *[(name, pa.string()) for name in ("split", "shard")],
        ("row", pa.int64()),
        ("tokens", pa.int64()),
        ("bytes_cleaned", pa.int64()),
        ("bytes_trimmed", pa.int64()),
        ("licence", pa.string()),
        ("consent", pa.string()),
        ("text_sha", pa.string()),
    ]
)
_SENTENCE = "the patient of dose and renal mg therapy with trial was a mitral valve in follow up to 10⁶ µg history"
WORDS = _SENTENCE.split()


def fabricate(run: Path, records: int = 400, trained: bool = True) -> Path:
    """Writes the folder and returns it. `trained=False`: curated only."""
    rng = random.Random(7)
    made = [_record(rng, number) for number in range(records)]
    by_id = {row["id"]: (row, text) for row, text in made}
    _duplicates(rng, by_id)
    rows = [row for row, _ in by_id.values()]
    _write(run / "curated" / "ledger" / "00000.parquet", rows[: records // 2], SCHEMA)
    _write(run / "curated" / "ledger" / "00001.parquet", rows[records // 2 :], SCHEMA)
    for split in ("train", "validation", "test"):
        rows = [_stored(row, text) for row, text in by_id.values() if row["split"] == split]
        _write(run / "curated" / "documents" / split / "00000.parquet", rows)
    removed = [
        _stored(row, text) | {"stage": row["stage"], "reason": row["reason"]}
        for row, text in by_id.values()
        if row["fate"] == "removed"
    ]
    _write(run / "curated" / "removed" / "00000.parquet", removed)
    (run / "recipe.yaml").write_text("name: made-up\nseed: 1\nsources:\n- {name: notes, path: raw/notes/*.jsonl}\n")
    if trained:
        _training(run, rng)
    return run


def _record(rng: random.Random, number: int) -> tuple[dict[str, Any], str]:
    source = list(SOURCES)[number % len(SOURCES)]
    n_words = int(rng.lognormvariate(5.2, 1.1)) + 5
    text = " ".join(rng.choice(WORDS) for _ in range(n_words))
    if number % 17 == 0:
        text = HOSTILE + " " + text
    email, phone = number % 19 == 2, number % 13 == 4
    text = "Write to " * email + email_of(number) * email + "Call +49 30 901820 now. " * phone + text
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    row |= {
        "id": f"{source}/{number:04d}",
        "source": source,
        "role": SOURCES[source],
        "path": f"{source}/part-{number % 3}.jsonl.gz",
        "position": number,
        "n_bytes": len(text.encode()),
        "n_chars": len(text),
        "fate": "kept",
        "reasons": [],
        "words": float(n_words),
        "mean_word_length": rng.gauss(4.6, 0.6),
        "stop_words": float(rng.randrange(0, 30)),
        "duplicate_line_share": max(0.0, rng.gauss(0.1, 0.12)),
        "language": "en" if number % 11 else "de",
        "language_score": rng.uniform(0.7, 1.0),
        "bytes_cleaned": number % 5,
        "bytes_trimmed": number % 7,
        "other_language_share": 0.25 if number % 10 == 1 else 0.0,
        "pii_email": float(email),
        "pii_phone": float(phone),
        "pii_ip": 0.0,
        "domain_score": rng.uniform(0.3, 1.0) if source in ("notes", "papers") else rng.uniform(0.0, 0.5),
        "licence": {"papers": "CC-BY-4.0", "statutes": "CC0-1.0", "web": HOSTILE}.get(source),
        "consent": "research_only" if source == "notes" else None,
    }
    _fate(rng, number, row)
    return row, text


def email_of(number: int) -> str:
    """The address that stands in a document, where one does."""
    return f"jane.doe.{number}@clinic.example.org "


def _fate(rng: random.Random, number: int, row: dict[str, Any]) -> None:
    reasons = ["language_not_kept"] if row["language"] != "en" else []
    for rule in BOOK[row["source"]]["rules"]:
        if rule["at_least"] is not None and row[rule["measure"]] < rule["at_least"]:
            reasons.append(rule["too_low"])
        if rule["at_most"] is not None and row[rule["measure"]] > rule["at_most"]:
            reasons.append(rule["too_high"])
    if number % 37 == 6:
        reasons.append("gopher_too_many_bullets")  # of a filter
    if row["language"] == "en" and row["language_score"] < 0.72:
        reasons.append("language_uncertain")
    if number % 23 == 5:
        measured = [field.name for field in SCHEMA if field.type in (pa.float64(), pa.float32())]
        row |= dict.fromkeys(measured) | {"language": None}
        row |= {"fate": "quarantined", "stage": "read", "reasons": ["broken_json"], "reason": "broken_json"}
        row["evidence"] = "Expecting ',' delimiter at character 88: " + HOSTILE
    elif reasons:
        row |= {"fate": "removed", "stage": "judge", "reasons": reasons, "reason": reasons[0]}
        row["evidence"] = f"{reasons[0]}: words {row['words']:.0f}"
    elif number % 29 == 3:
        row |= {
            "fate": "removed",
            "stage": "contamination",
            "reasons": ["held_out_overlap"],
            "reason": "held_out_overlap",
        }
        row["evidence"] = "13 words with papers/0001: " + HOSTILE
    if row["fate"] == "kept":
        draw = rng.random()
        row["split"] = "test" if row["role"] == "control" or draw < 0.1 else "validation" if draw < 0.2 else "train"
        corpus = "domain" if row["role"] == "domain" else row["source"]
        row |= {
            "shard": f"{corpus}/{row['split']}/data-00000-of-00001.arrow",
            "row": number,
            "tokens": row["n_bytes"] // 4,
        }


def _duplicates(rng: random.Random, by_id: dict[str, tuple[dict[str, Any], str]]) -> None:
    """Adds copies of the first kept documents, exact and edited."""
    kept = [(row, text) for row, text in by_id.values() if row["fate"] == "kept"][:12]
    for number, (row, text) in enumerate(kept):
        for copy in range(1 + number % 4):
            words = text.split(" ")
            if copy:
                for _ in range(copy * 2):
                    words[rng.randrange(len(words))] = "EDITED"
            reason = "near_duplicate" if copy else "exact_duplicate"
            twin = row | {"id": f"{row['id']}#{copy + 2}", "position": 10_000 + number * 10 + copy}
            twin |= {"fate": "removed", "stage": "dedup", "reason": reason, "reasons": [reason], "cluster": row["id"]}
            twin |= {"duplicate_of": row["id"], "similarity": 1.0 - 0.04 * copy}
            twin |= dict.fromkeys(("split", "shard", "row", "tokens"))
            by_id[twin["id"]] = (twin, " ".join(words))
        row["cluster"] = row["id"]


def _stored(row: dict[str, Any], text: str) -> dict[str, Any]:
    return {"id": row["id"], "text": text, "source": row["source"], "meta": json.dumps({"title": HOSTILE})}


def _write(path: Path, rows: list[dict[str, Any]], schema: pa.Schema | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, row_group_size=64)


def _training(run: Path, rng: random.Random) -> None:
    training = run / "training"
    training.mkdir(parents=True)
    lines = []
    for step in range(1, 301):
        loss = 3.2 + 4 * 2.7 ** (-step / 40) + rng.gauss(0, 0.06)
        line = {"step": step, "tokens": 65536, "loss": loss, "lr": 1e-3 * min(1, step / 20) * (1 - step / 330)}
        line |= {
            "tokens_per_second": 5900 + rng.gauss(0, 120),
            "grad_norm": abs(rng.gauss(1, 0.2)),
            "seconds": 11.1,
        }
        lines.append(line)
        if step % 50 == 0:
            lines.append({"step": step, "validation_loss": 3.25 + 4 * 2.7 ** (-step / 40)})
    (training / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    epochs = [
        {"epoch": n, "rows": 89, "tokens": 181_000, "trained": 181_000, "not_reached": 0, "padding": 1272}
        for n in (1, 2)
    ]
    ledger = {"documents": 120, "tokens": 181_000, "epochs": epochs}
    account = {"rows": 356, "row_length": 2048, "corpora": {"domain": ledger, "web": ledger}}
    (training / "token_ledger.json").write_text(json.dumps(account))
    stage = {"stage": "sift", "documents": 400, "bytes": 731_000, "seconds": 1.2, "peak_bytes": 5_000_000}
    (run / "stages.jsonl").write_text(json.dumps(stage) + "\n")
    for corpus in ("domain", "web", "statutes"):
        folder = run / "shards" / corpus
        folder.mkdir(parents=True)
        manifest = {"tokenizer": {"fingerprint": "a" * 64}, "documents": 120, "tokens": 181_000, "bytes": 724_000}
        (folder / "manifest.json").write_text(json.dumps(manifest))
    sets = {
        "domain": _set("domain", 2.2131, -0.1873, (-0.2051, -0.1702)),
        "web": _set("general", 2.4412, 0.0123, (0.0051, 0.0192)),
        "statutes": _set("control", 2.6012, 0.0021, (-0.0032, 0.0071)),
    }
    verdict = {
        "domain": "gain",
        "forgetting": "within",
        "headline": "Gain on the domain, forgetting within tolerance.",
        "text": "Gain on the domain, forgetting within tolerance. Held-out domain text takes fewer bits per byte.",
        "forgetting_tolerance": 0.03,
        "changes": {
            one["role"]: {side: one[side]["bits_per_byte"] for side in ("before", "after")} | one["change"]
            for one in sets.values()
        },
    }
    (run / "evaluation.json").write_text(json.dumps({"sets": sets, "verdict": verdict}))


def _set(role: str, before: float, change: float, interval: tuple[float, float]) -> dict[str, Any]:
    def scores(bits: float) -> dict[str, float]:
        perplexity = 2.0**bits
        return {
            "nats": bits * 0.6931 * 100_000,
            "bits_per_byte": bits,
            "byte_perplexity": perplexity,
            "word_perplexity": perplexity**5.3,
            "token_perplexity": perplexity**3.9,
        }

    moved = {"bits_per_byte": change, "ci95": list(interval), "p_value": 0.0001, "units": 63}
    return {"role": role, "split": "test", "documents": 63, "bytes": 100_000, "tokens": 25_000} | {
        "before": scores(before),
        "after": scores(before + change),
        "change": moved,
    }
