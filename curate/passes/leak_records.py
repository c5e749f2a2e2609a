"""What leaked, told twice: as evidence of one line in the ledger, and as rows of a file of the run.

curated/contamination/leaks.parquet    a row per training document, kind of item and rule:
    id            the training document that left
    item          the held-out document or benchmark item: shared_run, one that holds the n-gram (of several the lowest
                  id); containment, the one that shares most
    role          held_out or benchmark
    rule          shared_run or containment (curate/contamination.py)
    ngram         the first shared n-gram that is no common phrase, as it stands in the training document
    ngram_words   its words: fewer than the rule's where a short item is looked for whole
    score         shared_run: share of the document's n-grams that are known; containment: what the rule asks
    hits          distinct n-grams that this rests on
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from curate.contamination import Leaks, Rule, phrase
from curate.dedup.partitions import distinct
from curate.passes.sifted import Sifted
from curate.text import Int64s
from curate.written_forms import as_one_form

LEAKS = pa.schema(
    [
        ("id", pa.large_string()),
        ("item", pa.large_string()),
        ("role", pa.string()),
        ("rule", pa.string()),
        ("ngram", pa.large_string()),
        ("ngram_words", pa.int32()),
        ("score", pa.float32()),
        ("hits", pa.int64()),
    ]
)
FILE = "leaks.parquet"


class LeakRecords:
    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._path = folder / FILE

    def __enter__(self) -> LeakRecords:
        self._writer = pq.ParquetWriter(self._path, LEAKS, compression="zstd")
        return self

    def add(
        self,
        ids: pa.Array,
        items: pa.Array,
        role: str,
        rule: Rule,
        words: list[str],
        n_words: npt.NDArray[np.uint8],
        leaks: Leaks,
    ) -> None:
        n = len(ids)
        columns = [ids, items, [role] * n, [rule.name] * n, words, n_words, leaks.score, leaks.n_hits]
        arrays = [pa.array(column).cast(field.type) for column, field in zip(columns, LEAKS, strict=True)]
        self._writer.write_table(pa.table(arrays, schema=LEAKS))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._writer.close()


def said(rule: Rule, quoted: str, item: str, n_hits: int, score: float) -> str:
    """The evidence of a leak.

    >>> from curate.contamination import Containment, SharedRun
    >>> said(SharedRun(13), "in which of …", "exam/7", 3, 0.05)
    "'in which of …' stands in exam/7 (3 n-grams of 13 words, 5.0% of the document)"
    >>> said(Containment(8), "in which of …", "exam/7", 9, 0.6)
    "'in which of …' stands in exam/7 (9 n-grams of 8 words, 60.0% of the shorter text)"
    """
    of = "the document" if rule.name == "shared_run" else "the shorter text"
    return f"{quoted!r} stands in {item} ({n_hits} n-grams of {rule.words} words, {score:.1%} of {of})"


def quotes(sifted: Sifted, records: Int64s, words: Int64s, n_words: npt.NDArray[np.uint8]) -> list[str]:
    """Runs of words as they stand in the records named, one row group of texts in memory at a time."""
    quoted = [""] * len(records)
    order = np.argsort(records, kind="stable")
    for some, texts in sifted.batches(distinct(records)):
        batch = as_one_form(texts)
        low, high = np.searchsorted(records[order], [some[0], some[-1] + 1])
        for i in order[low:high].tolist():
            at = int(np.searchsorted(some, records[i]))
            quoted[i] = phrase(batch, at, int(words[i]), int(n_words[i]))
    return quoted
