"""Tokens by corpus and split, how many bytes each carries, and where every one of them went in training."""

from __future__ import annotations

from typing import Any

from pipelines.report.run_data import RunData


class Tokens:
    title = "Tokens"
    anchor = "tokens"
    absent = "there are no shards: nothing was tokenised"

    def context(self, run: RunData) -> dict[str, Any] | None:
        if run.curation is None or not any(source["tokens"] for source in run.curation["sources"]):
            return None
        corpora: dict[tuple[str, str], dict[str, int]] = {}
        for row in run.curation["splits"]["rows"]:
            corpus = "domain" if row["role"] == "domain" else row["source"]
            sums = corpora.setdefault((corpus, row["split"]), {"documents": 0, "bytes": 0, "tokens": 0})
            for key in sums:
                sums[key] += row[key]
        return {
            "corpora": [{"corpus": corpus, "split": split, **sums} for (corpus, split), sums in _in_order(corpora)],
            "tokenizers": [
                {"corpus": corpus, "fingerprint": _text(manifest.get("tokenizer"))}
                for corpus, manifest in run.manifests.items()
                if manifest.get("tokenizer")
            ],
            "policy": run.curation.get("policy"),
            "fit": _fit(run.curation.get("fertility")),
            "ledger": _ledger(run.token_ledger),
        }


def _fit(fertility: dict[str, Any] | None) -> dict[str, Any] | None:
    """How the tokenizer fits, with the verdict on more vocabulary in words."""
    if not fertility or not any(row["tokens"] for row in fertility["sources"]):
        return None
    savings = fertility["savings"]
    most = max(savings, key=lambda row: row["share"]) if savings else None
    return fertility | {"most": most, "pays": most is not None and most["share"] >= fertility["pays_from"]}


def _in_order(corpora: dict[tuple[str, str], dict[str, int]]) -> list[tuple[tuple[str, str], dict[str, int]]]:
    splits = {"train": 0, "validation": 1, "test": 2}
    return sorted(corpora.items(), key=lambda item: (item[0][0] != "domain", item[0][0], splits.get(item[0][1], 9)))


def _text(tokenizer: Any) -> str:
    return (
        ", ".join(f"{key} {tokenizer[key]}" for key in sorted(tokenizer))
        if isinstance(tokenizer, dict)
        else str(tokenizer)
    )


def _ledger(token_ledger: dict[str, Any] | None) -> dict[str, Any] | None:
    """The trainer's account as a table: a row per corpus and epoch, a column per kind of token."""
    given = token_ledger or {}
    rows = [
        {"corpus": corpus, **{key: value for key, value in epoch.items() if _is_number(value)}}
        for corpus, one in given.get("corpora", {}).items()
        for epoch in one.get("epochs") or [one]
    ]
    if not rows:
        return None
    for row in rows:
        places = row.get("trained", 0) + row.get("padding", 0)
        row["full"] = row["trained"] / places if places else None
    columns = list(dict.fromkeys(key for row in rows for key in row if key not in ("corpus", "full")))
    return {"columns": columns, "rows": rows, "row_length": given.get("row_length")}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
