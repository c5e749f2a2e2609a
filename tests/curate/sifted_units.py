"""Units as the first pass leaves them, written from texts in memory: what the laws of the later passes are tried on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from curate.dedup.exact import exact_keys
from curate.dedup.minhash import signatures
from curate.dedup.shingles import ShingleRecipe
from curate.passes.judge import VERDICTS
from curate.passes.sift import TableWriter, row_schema, unit_file
from curate.passes.sifted import Sifted
from curate.settings import Source
from curate.text import TextBatch

SCHEMA = row_schema([], 112)


@dataclass(frozen=True)
class Doc:
    id: str
    text: str
    path: str = "a.jsonl"
    position: int = 0
    is_removed: bool = False
    """By a rule, before the corpus is looked at as a whole."""
    meta: str | None = None


def write_units(
    folder: Path, units: Sequence[tuple[str, Sequence[Doc]]], rows_in_group: int = 7
) -> tuple[Sifted, Path]:
    """Sifted and judged files of units, each (name of its source, its documents)."""
    for name in ("sifted", "judged"):
        (folder / name).mkdir(parents=True)
    for rank, (source, docs) in enumerate(units):
        with (
            TableWriter(unit_file(folder / "sifted", rank), SCHEMA) as sifted,
            TableWriter(unit_file(folder / "judged", rank), VERDICTS) as judged,
        ):
            for at in range(0, len(docs), rows_in_group):
                sifted.write(_rows(source, docs[at : at + rows_in_group]))
            judged.write(_verdicts(docs))  # in other row groups
    return Sifted.open(folder / "sifted", len(units)), folder / "judged"


def _rows(source: str, docs: Sequence[Doc]) -> pa.Table:
    batch = TextBatch.of([doc.text for doc in docs])
    keys = exact_keys(batch)
    columns = {
        "id": [f"{source}/{doc.id}" for doc in docs],
        "path": [doc.path for doc in docs],
        "position": [doc.position for doc in docs],
        "n_bytes": batch.n_bytes,
        "bytes_cleaned": [0] * len(docs),
        "n_chars": batch.n_chars,
        "meta": [doc.meta for doc in docs],
        "key_high": keys[:, 0],
        "key_low": keys[:, 1],
        "signature": [row.tobytes() for row in signatures(batch, ShingleRecipe("words", 5), 112, 1)],
        "text": batch.array,
    }
    arrays = [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(len(docs), f.type) for f in SCHEMA]
    return pa.table(arrays, schema=SCHEMA)


def _verdicts(docs: Sequence[Doc]) -> pa.Table:
    given = {
        "fate": ["removed" if doc.is_removed else None for doc in docs],
        "stage": ["judge" if doc.is_removed else None for doc in docs],
        "reason": ["too_few_words" if doc.is_removed else None for doc in docs],
        "reasons": [["too_few_words", "other"] if doc.is_removed else [] for doc in docs],
        "evidence": ["words = 1" if doc.is_removed else None for doc in docs],
    }
    return pa.table([pa.array(given[field.name], field.type) for field in VERDICTS], schema=VERDICTS)


def sources(*names: str, control: str = "") -> list[Source]:
    """The source of each unit."""
    return [Source(name=name, path=name, role="control" if name == control else "domain") for name in names]
