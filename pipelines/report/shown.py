"""The rows and texts that the report shows, without the personal data that stands in them.

A text is stored as it goes into the corpus: what the recipe masks is masked there, what it only counts or drops is not.
A report travels farther than a corpus, so every excerpt and every piece of evidence is searched again and masked,
before it is cut: half an address would not be found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.report.ledger import rows, texts

LONGEST_SPAN = 300  # characters read beyond an excerpt, so that nothing personal is cut through at its end

COLUMNS = ("id", "source", "path", "position", "n_bytes", "fate", "stage", "reason", "evidence")
MATCHED = ("cluster", "duplicate_of", "similarity")


@dataclass(frozen=True, slots=True)
class Shown:
    rows: dict[int, dict[str, Any]]  # by number
    texts: dict[str, str]  # by id, masked and as long as was asked for

    def row(self, number: int, *columns: str) -> dict[str, Any]:
        return {column: self.rows[number].get(column) for column in columns}


def show(run: Path, numbers: Mapping[int, int], matched: Mapping[int, int], presidio: bool = False) -> Shown:
    """Rows by their number, with as many characters of their text as each asks for (0: none). The rows of `matched` are
    shown beside the copy that stayed."""
    found = rows(run, {*numbers, *matched}, [*COLUMNS, *MATCHED])
    asked: dict[str, int] = {}
    for number, characters in (*numbers.items(), *matched.items()):
        if characters:
            names = [found[number]["id"], found[number]["duplicate_of"] if number in matched else None]
            asked |= {name: max(characters, asked.get(name, 0)) for name in names if name}
    stored = texts(run, {name: characters + LONGEST_SPAN for name, characters in asked.items()})
    masked = without_personal_data(stored.values(), presidio)
    evidence = {number: row["evidence"] for number, row in found.items() if row["evidence"]}
    for number, said in zip(evidence, without_personal_data(evidence.values(), presidio), strict=True):
        found[number]["evidence"] = said
    return Shown(found, {name: text[: asked[name]] for name, text in zip(stored, masked, strict=True)})


def without_personal_data(given: Iterable[str], presidio: bool = False) -> list[str]:
    """Texts with every kind of personal data masked by its name: [email]."""
    from curate.pii.find import find
    from curate.settings import PII_KINDS, Pii
    from curate.text import TextBatch

    kinds = [kind for kind in PII_KINDS if presidio or kind not in ("person", "location")]
    batch = TextBatch(pa.array(list(given), pa.large_string()))
    masked: list[str] = find(batch, Pii(count=[], mask=kinds, presidio=presidio))[1].array.to_pylist()
    return masked
