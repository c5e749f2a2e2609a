"""The ledger: one row per input record, whatever became of it.

Nothing is dropped silently: records in = kept + removed + quarantined, per source, always. The columns up to
`tokens` are fixed; between `evidence` and `language` stands one column per measure. Measures, language and scores are
of the text as it was read; sizes are of the text that remains where a later pass (curate/passes/edits.py) cut some.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

FATES = ("kept", "removed", "quarantined")


def ledger_schema(measures: Sequence[str]) -> pa.Schema:
    return pa.schema(
        [
            ("id", pa.large_string()),
            ("source", pa.string()),
            ("role", pa.string()),
            ("path", pa.string()),  # below the source's root; inside an archive: archive!member
            ("position", pa.int64()),  # of the record in the file, from 0
            ("n_bytes", pa.int64()),  # UTF-8 of the text that remains; of the raw record where it is quarantined
            ("n_chars", pa.int64()),  # code points of the text that remains
            ("bytes_cleaned", pa.int64()),  # bytes that cleaners and masks took
            ("bytes_trimmed", pa.int64()),  # boilerplate and repeated spans: the three sizes together came in
            ("licence", pa.string()),  # SPDX identifier, or whatever the source or the record says; null: not told
            ("consent", pa.string()),
            ("fate", pa.string()),
            ("stage", pa.string()),  # read, clean, judge, boilerplate, dedup, contamination; null where kept
            ("reason", pa.string()),  # the first rule that decided
            ("reasons", pa.list_(pa.string())),  # every rule that failed
            ("evidence", pa.string()),
            *[(name, pa.float64()) for name in measures],
            ("language", pa.string()),
            ("language_score", pa.float32()),
            ("domain_score", pa.float32()),  # of a domain classifier; null where the recipe has none
            ("cluster", pa.large_string()),  # lowest id of its duplicate cluster; null where it stands alone
            ("duplicate_of", pa.large_string()),  # the copy that stayed, or the published document it is a copy of
            ("similarity", pa.float32()),  # exact Jaccard of the two shingle sets; estimated where the evidence says so
            ("split", pa.string()),
            ("weight", pa.uint8()),  # times an epoch trains on it; 1 where held out, null where it left
            ("shard", pa.string()),  # Arrow file below shards/
            ("row", pa.int64()),  # in that file, from 0
            ("tokens", pa.int64()),
        ]
    )


def read_ledger(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Columns of the ledger of a run, all parts in order. `folder` is curated/ledger."""
    import pyarrow.dataset as ds  # brings pandas where that is installed: not for those who only want the schema

    return ds.dataset(sorted(str(p) for p in folder.glob("*.parquet")), format="parquet").to_table(columns=columns)
