"""Pass 2: hold every document's measures against the rules. Reads numbers only, never text.

All rules are judged for all documents; the first that fails (another language, the preset's rules in their order, a
language too uncertain) is the reason a document leaves for, and all that failed are recorded beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.engine import Pass, Tally
from curate.passes.sift import TableWriter, unit_file
from curate.rules import Rule, judge, language_rule
from curate.settings import Language

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

    def __init__(self, folder: Path, sifted: Path, tasks: int, rules: Sequence[Rule], language: Language) -> None:
        super().__init__(folder, tasks)
        self.sifted, self.rules, self.language = sifted, tuple(rules), language

    def unit(self, rank: int, tally: Tally) -> None:
        measures = sorted({rule.measure for rule in self.rules})
        columns = ["n_bytes", "stage", "reason", "evidence", "language", "language_score", *measures]
        rows = pq.read_table(unit_file(self.sifted, rank), columns=columns)
        with TableWriter(unit_file(self.folder, rank), VERDICTS) as writer:
            writer.write(self.verdicts(rows))
        tally.add(len(rows), pc.sum(rows["n_bytes"]).as_py() or 0)

    def verdicts(self, rows: pa.Table) -> pa.Table:
        """One verdict per row; a record that could not be read keeps the reader's reason and fails no rule."""
        quarantined = rows["reason"].is_valid().combine_chunks()
        columns = {name: rows[name].to_numpy() for name in {rule.measure for rule in self.rules}}
        # surely another language comes first; a language nobody can tell is the least telling reason, so it comes last
        another, uncertain = language_rule(rows["language"], rows["language_score"], self.language)
        verdict = judge(columns, self.rules, [another], [uncertain], rows["language"])
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


def _reasons(quarantined: pa.BooleanArray, reason: pa.StringArray, failed: pa.ListArray) -> pa.ListArray:
    """All reasons of a document: the reader's alone, or every rule that failed."""
    pairs = zip(quarantined.to_pylist(), reason.to_pylist(), failed.to_pylist(), strict=True)
    return pa.array([[r] if q else rs for q, r, rs in pairs], pa.list_(pa.string()))
