"""What the tokens appended to a vocabulary save, on held-out text: what they were learnt from would flatter them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.fertility import PAYS_FROM, SourceText
from curate.tokenizing import Tokenizer
from pipelines.extended import BASE, pieces_of
from pipelines.progress import say
from pipelines.report.fit import samples

DOMAIN = "domain"


def extension_numbers(run: Path, tokenizer: Path, corpora: Mapping[str, Sequence[str]]) -> dict[str, Any] | None:
    """By source, tokens of validation and test text under both tokenizers; None where no vocabulary was extended."""
    pieces = pieces_of(tokenizer)
    if pieces is None:
        return None
    base, extended = Tokenizer.load(tokenizer / BASE), Tokenizer.load(tokenizer)
    rows: dict[str, dict[str, Any]] = {}
    for corpus in sorted(corpora):
        for split in ("validation", "test"):
            for one in samples(run / "curated" / "documents" / split, corpus):
                none = {"source": one.source, "documents": 0, "bytes": 0, "base_tokens": 0, "tokens": 0}
                _add(rows.setdefault(one.source, none), one, base, extended)
    told = [row for name, row in rows.items() if name in corpora.get(DOMAIN, ())]
    of_base = sum(row["base_tokens"] for row in told)
    share = 1 - sum(row["tokens"] for row in told) / of_base if of_base else 0.0
    if share < PAYS_FROM:
        say(
            f"warning: {len(pieces):,} appended tokens save {share:.1%} of the tokens of held-out domain text; it has "
            f"paid from about {PAYS_FROM:.0%} on: without shards.tokenizer.extend every embedding is learnt already"
        )
    return {
        "new_tokens": len(pieces),
        "of": DOMAIN,
        "sources": [rows[name] for name in sorted(rows)],
        "share": share,
        "pays": share >= PAYS_FROM,
        "pays_from": PAYS_FROM,
    }


def _add(row: dict[str, Any], sample: SourceText, base: Tokenizer, extended: Tokenizer) -> None:
    row["documents"] += len(sample.texts)
    row["bytes"] += int(pc.sum(pc.binary_length(sample.texts)).as_py())
    row["base_tokens"] += _text_tokens(base, sample.texts)
    row["tokens"] += _text_tokens(extended, sample.texts)


def _text_tokens(tokenizer: Tokenizer, texts: pa.LargeStringArray) -> int:
    """Without those that stand around every document."""
    around = len(tokenizer.encode(pa.array([""], pa.large_string()))[0])
    return len(tokenizer.encode(texts)[0]) - around * len(texts)
