"""Pass 2: hold every document's measures against the rules. Reads numbers only, never text.

All rules are judged for all documents; the first that fails (another language, the preset's rules in their order, a
language too uncertain) is the reason a document leaves for, and all that failed are recorded beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.engine import Pass, Tally
from curate.passes.sift import TableWriter, unit_file
from curate.rulebook import Rulebook, SourceRules
from curate.rules import Finding, judge, language_rule

VERDICTS = pa.schema(
    [
        ("fate", pa.string()),  # removed, quarantined, or null: goes on
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("evidence", pa.string()),
    ]
)


class Judge(Pass):
    name = "judge"

    def __init__(self, folder: Path, sifted: Path, scored: Path | None, sources: Sequence[str], book: Rulebook) -> None:
        """`sources`: the name of each unit's source. `scored`: the classifiers' scores, where there are any."""
        super().__init__(folder, len(sources))
        self.sifted, self.scored, self.sources, self.book = sifted, scored, tuple(sources), book

    def unit(self, rank: int, tally: Tally) -> None:
        law = self.book[self.sources[rank]]
        rows = self._rows(rank, sorted({rule.measure for rule in law.rules}))
        with TableWriter(unit_file(self.folder, rank), VERDICTS) as writer:
            writer.write(verdicts(rows, law))
        tally.add(len(rows), pc.sum(rows["n_bytes"]).as_py() or 0)

    def _rows(self, rank: int, measures: Sequence[str]) -> pa.Table:
        """The columns that verdicts rest on, of a unit."""
        columns = ["n_bytes", "stage", "reason", "evidence", "language", "language_score", "filter_reasons"]
        with pq.ParquetFile(unit_file(self.sifted, rank)) as file:
            here = [name for name in (*columns, *measures) if name in file.schema_arrow.names]
            rows = file.read(columns=here)
        elsewhere = [name for name in measures if name not in here]
        if self.scored is not None and elsewhere:
            scores = pq.read_table(unit_file(self.scored, rank), columns=elsewhere)
            for name in elsewhere:
                rows = rows.append_column(name, scores[name])
        return rows


def verdicts(rows: pa.Table, law: SourceRules) -> pa.Table:
    """One verdict per row; a record that could not be read keeps the reader's reason and fails no rule."""
    quarantined = rows["reason"].is_valid().combine_chunks()
    columns = {name: rows[name].to_numpy() for name in {rule.measure for rule in law.rules}}
    # surely another language comes first; a language nobody can tell is the least telling reason, so it comes last
    another, uncertain = language_rule(rows["language"], rows["language_score"], law.language)
    after = [*_of_filters(rows), uncertain]
    verdict = judge(columns, law.rules, [another], after, rows["language"])
    none = pa.scalar(None, pa.string())
    removed = pc.and_(verdict.first.is_valid(), pc.invert(quarantined))
    return pa.table(
        [
            pc.if_else(quarantined, "quarantined", pc.if_else(removed, "removed", none)),
            pc.if_else(quarantined, rows["stage"], pc.if_else(removed, "judge", none)),
            pc.if_else(quarantined, rows["reason"], pc.if_else(removed, verdict.first, none)),
            _reasons(quarantined, rows["reason"].combine_chunks(), verdict.reasons),
            pc.if_else(quarantined, rows["evidence"], pc.if_else(removed, verdict.evidence, none)),
        ],
        schema=VERDICTS,
    )


def _of_filters(rows: pa.Table) -> list[Finding]:
    """One finding per reason that datatrove filters gave while the text was read."""
    if "filter_reasons" not in rows.column_names:
        return []
    lists, errors = rows["filter_reasons"].combine_chunks(), rows["evidence"].to_pylist()
    given = lists.flatten().to_numpy(zero_copy_only=False)
    document = np.repeat(np.arange(len(lists)), pc.fill_null(pc.list_value_length(lists), 0).to_numpy())
    found = []
    for reason in dict.fromkeys(given.tolist()):
        failed = np.zeros(len(lists), np.bool_)
        failed[document[given == reason]] = True
        found.append(Finding(reason, failed, lambda i: errors[i] or "a datatrove filter of the recipe"))
    return found


def _reasons(quarantined: pa.BooleanArray, reason: pa.StringArray, failed: pa.ListArray) -> pa.ListArray:
    """All reasons of a document: the reader's alone, or every rule that failed."""
    pairs = zip(quarantined.to_pylist(), reason.to_pylist(), failed.to_pylist(), strict=True)
    return pa.array([[r] if q else rs for q, r, rs in pairs], pa.list_(pa.string()))
