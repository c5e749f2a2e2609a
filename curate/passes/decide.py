"""Passes 3 and 4: the questions about the whole corpus. Which copies leave, where each cluster stands, what leaks.

    survivors of the rules ─▶ exact and near duplicates ─▶ clusters ─▶ split ─▶ n-grams of held-out text ─scan▶ fates

Everything is keyed by a record's number in the corpus (its unit and row), never by a worker or a file listing; ties
break on the id. Two bytes of a record are held throughout, its state and its side; one that has a copy takes 30 more.
Ids, verdicts and texts are read by row group where they are needed, and written the same way.

Legend: N records.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.dedup.resolve import NEAR, NOT_REMOVED, resolve
from curate.dedup.shingles import ShingleRecipe
from curate.passes.copies import Copies, weights
from curate.passes.judge import VERDICTS
from curate.passes.merits import SiftedMerits
from curate.passes.published import Published, find_published
from curate.passes.repeats import Repeats, find_repeats
from curate.passes.sides import assign_sides, holds_out_test, where_empty
from curate.passes.sift import TableWriter, unit_file
from curate.passes.sifted import Int64s, Rows, Sifted
from curate.passes.sketches import SiftedSketches
from curate.passes.ties import Whole
from curate.settings import Duplicates, Source, Split
from curate.shards.fault import Fault
from curate.split import NOWHERE, SIDES, TEST, TRAIN, Sides

Bools = npt.NDArray[np.bool_]

DECIDED = pa.schema(
    [
        ("id", pa.large_string()),
        ("source", pa.string()),
        ("role", pa.string()),
        ("fate", pa.string()),
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("evidence", pa.string()),
        ("cluster", pa.large_string()),
        ("duplicate_of", pa.large_string()),
        ("similarity", pa.float32()),
        ("split", pa.string()),
        ("weight", pa.uint8()),
    ]
)

# A record's state: goes on, left before (its verdict says why), or the place of what it left for
GOES_ON, LEFT_BEFORE = np.uint8(0), np.uint8(1)
LEFT_FOR = {
    2: ("dedup", "exact_duplicate"),
    3: ("dedup", "near_duplicate"),
    4: ("contamination", "held_out_overlap"),
    5: ("contamination", "benchmark_overlap"),
    6: ("dedup", "published_duplicate"),
    7: ("dedup", "repeated_spans"),
}
STATE = {reason: np.uint8(state) for state, (_, reason) in LEFT_FOR.items()}


@dataclass(slots=True)
class Corpus:
    """All records while their fates are decided."""

    sifted: Sifted
    judged: Path
    sources: Sequence[Source]  # of each unit
    scratch: Path
    repeats: Repeats
    state: npt.NDArray[np.uint8]  # (N,)
    side: Sides  # (N,)
    copies: Copies | None = None
    published: Published = field(default_factory=Published.none)
    leaking: Int64s = field(default_factory=lambda: np.zeros(0, np.int64))  # ascending
    leaks: pa.StringArray = field(default_factory=lambda: pa.array([], pa.string()))  # the evidence of each

    @classmethod
    def load(cls, sifted: Sifted, judged: Path, sources: Sequence[Source]) -> Corpus:
        """`sources`: the source of each unit. What does not fit memory lies beside `sifted` until `write` is done."""
        scratch = sifted.folder.with_name("scratch")
        shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed
        scratch.mkdir()
        state = np.zeros(len(sifted), np.uint8)
        for unit in range(sifted.units):
            fate = pq.read_table(unit_file(judged, unit), columns=["fate"])["fate"]
            state[sifted.records_of(unit)] = np.where(fate.is_null().to_numpy(), GOES_ON, LEFT_BEFORE)
        side = np.full(len(sifted), NOWHERE, np.uint8)
        return cls(sifted, judged, sources, scratch, find_repeats(sifted, scratch), state, side)

    @property
    def kept(self) -> Bools:  # (N,)
        """Records that have not left so far: those that passed every rule, to begin with."""
        return self.state == GOES_ON

    survivors = kept

    def amount(self, records: Bools) -> tuple[int, int]:
        """(documents, bytes of text) of some records."""
        n_bytes = sum(int(rows["n_bytes"].to_numpy()[records[at]].sum()) for at, rows in self.sifted.every(["n_bytes"]))
        return int(records.sum()), n_bytes

    def drop_published(self, settings: Duplicates, seed: int) -> None:
        """Copies of what is published already leave; control text stays."""
        wanted = self.survivors.copy()
        for unit, source in enumerate(self.sources):
            if source.role == "control":
                wanted[self.sifted.records_of(unit)] = False
        self.published = find_published(self.sifted, wanted, settings, seed, self.scratch / "published.arrow")
        self.state[self.published.record] = STATE["published_duplicate"]

    def drop_duplicates(self, settings: Duplicates, scored: Path | None = None) -> None:
        """Clusters among the survivors, and which copies leave. `scored`: the classifiers' scores, if there are any."""
        taking_part = self.survivors
        sketches = SiftedSketches(self.sifted, self.repeats, taking_part, ShingleRecipe.of(settings))
        scores = None if scored is None else self.sifted.beside(scored)
        merits = SiftedMerits(self.sifted, [source.name for source in self.sources], scores)
        found = resolve(sketches, taking_part, settings, self.scratch, merits)
        for level, reason in ((NEAR, "near_duplicate"), (NEAR - 1, "exact_duplicate")):
            self.state[found.record[found.level == level]] = STATE[reason]
        names, path = self.ids(found.record), self.scratch / "copies.arrow"
        self.copies = Copies.named(found, names, path, settings.rehydrate, merits.numbers())

    def ids(self, records: Int64s) -> Iterator[pa.LargeStringArray]:
        """Unique ids of records in ascending order, some at a time."""
        for some, rows in self.sifted.some(records, ["id"]):
            yield self.repeats.unique(some, rows["id"])

    def assign_splits(
        self, settings: Split, seed: int, bytes_per_token: Mapping[str, float] | None = None
    ) -> dict[str, Any]:
        """The side of every record; returns what there is to tell of it. `bytes_per_token`: by source, where known."""
        whole = Whole(self.sifted, self.repeats, self.sources, self.kept, self.copies, self.scratch)
        self.side, told = assign_sides(whole, settings, seed, bytes_per_token)
        return told

    def leave(self, records: Int64s, reason: str, evidence: Sequence[str]) -> None:
        """Take documents that leak out; `records` are none that have left before."""
        self.state[records], self.side[records] = STATE[reason], NOWHERE
        every = np.concatenate((self.leaking, records))
        order = np.argsort(every)
        self.leaking = every[order]
        self.leaks = pa.concat_arrays([self.leaks, pa.array(evidence, pa.string())]).take(pa.array(order))

    def on_side(self, unit: int, *sides: np.uint8) -> Int64s:
        """Records of a unit that stand on one of the sides."""
        part = self.sifted.records_of(unit)
        return part.start + np.flatnonzero(np.isin(self.side[part], sides))

    def write(self, folder: Path) -> None:
        """One file of decisions per unit."""
        for unit in range(self.sifted.units):
            with (
                Rows(self.judged, unit, VERDICTS.names) as verdicts,
                TableWriter(unit_file(folder, unit), DECIDED) as writer,
            ):
                for at, rows in self.sifted.groups(unit, ["id"]):
                    writer.write(self._decisions(self.sources[unit], at, rows["id"], verdicts.take(len(rows))))
        self.copies, self.published = None, Published.none()  # whose names lie in the scratch folder
        shutil.rmtree(self.scratch)

    def _decisions(self, source: Source, at: slice, ids: pa.ChunkedArray, verdicts: pa.Table) -> pa.Table:
        state = self.state[at]
        n, left, place = len(state), state > LEFT_BEFORE, np.maximum(state.astype(np.int64) - 2, 0)
        columns = {
            "id": self.repeats.unique(np.arange(at.start, at.stop), ids),
            "source": pa.array([source.name] * n, pa.string()),
            "role": pa.array([source.role] * n, pa.string()),
            "fate": _or(_or(verdicts["fate"], left, ["removed"], 0), state == GOES_ON, ["kept"], 0),
            "stage": _or(verdicts["stage"], left, [stage for stage, _ in LEFT_FOR.values()], place),
            "reason": _or(verdicts["reason"], left, [reason for _, reason in LEFT_FOR.values()], place),
            "reasons": _or(verdicts["reasons"], left, [[reason] for _, reason in LEFT_FOR.values()], place),
            "split": pa.array(SIDES, pa.string()).take(pa.array(self.side[at])),
            "weight": weights(self.copies, at, state == GOES_ON, self.side[at] == TRAIN),
        } | self._copies(at)
        evidence = self._evidence(at, columns["duplicate_of"], columns["similarity"])
        columns["evidence"] = _or(verdicts["evidence"], left, evidence, np.cumsum(left) - 1)
        columns |= self.published.over(at, columns)
        return pa.table([columns[name] for name in DECIDED.names], schema=DECIDED)

    def _copies(self, at: slice) -> dict[str, pa.Array]:
        """cluster, duplicate_of and similarity: null where a record stands alone, the latter two where it stays."""
        n = at.stop - at.start
        if self.copies is None:
            return {name: pa.nulls(n, DECIDED.field(name).type) for name in ("cluster", "duplicate_of", "similarity")}
        found, here = self.copies.found, self.copies.between(at)
        back = np.full(n, -1)
        back[found.record[here] - at.start] = np.arange(here.stop - here.start)
        row = pa.array(back, mask=back < 0)
        similarity = pa.array(found.similarity[here], pa.float32(), mask=found.level[here] == NOT_REMOVED)
        return {
            "cluster": self.copies.name(found.cluster[here]).combine_chunks().take(row),
            "duplicate_of": self.copies.name(found.duplicate_of[here]).combine_chunks().take(row),
            "similarity": similarity.take(row),
        }

    def _evidence(self, at: slice, duplicate_of: pa.Array, similarity: pa.Array) -> list[str]:
        """Of the records that left here, in order."""
        low, high = np.searchsorted(self.leaking, [at.start, at.stop])
        copies = zip(duplicate_of.drop_null().to_pylist(), similarity.drop_null().to_pylist(), strict=True)
        told = iter([f"Jaccard {jaccard:.3f} with {copy}, the copy preferred" for copy, jaccard in copies])
        leaks = iter(self.leaks[low:high].to_pylist())
        published = iter(self.published.among(at)[1]["evidence"].to_pylist())
        by_state = {STATE["exact_duplicate"]: told, STATE["near_duplicate"]: told}
        by_state[STATE["published_duplicate"]] = published
        state = self.state[at]
        return [next(by_state.get(one, leaks)) for one in state[state > LEFT_BEFORE].tolist()]


def _or(
    column: pa.ChunkedArray | pa.Array, elsewhere: Bools, values: Sequence[object], which: Int64s | int
) -> pa.Array:
    """The column with values[which] in place of its own where `elsewhere`."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    place = np.where(elsewhere, len(array) + which, np.arange(len(array)))
    return pa.concat_arrays([array, pa.array(values, array.type)]).take(pa.array(place))


def require_held_out(corpus: Corpus, settings: Split) -> None:
    """Fault where the domain has nothing to train on or to test on: the run could prove nothing."""
    counts = np.zeros(len(SIDES), np.int64)
    for unit, source in enumerate(corpus.sources):
        if source.role == "domain":
            counts += np.bincount(corpus.side[corpus.sifted.records_of(unit)], minlength=len(SIDES))
    n_domain = int(counts.sum() - counts[NOWHERE])
    if not n_domain:
        raise Fault(
            f"nothing of the domain is left: all {len(corpus.sifted):,} records were removed or could not be read "
            f"({_commonest_reasons(corpus)})",
            hint="check the sources' text fields, curate.language.keep, and the bounds in curate.quality.rules",
        )
    for side, is_asked in ((TRAIN, True), (TEST, holds_out_test(settings, corpus.sources))):
        if is_asked and not counts[side]:
            where, hint = where_empty(settings, side)
            raise Fault(f"the domain's {SIDES[side]} set is empty: 0 of {n_domain:,} documents", where=where, hint=hint)


def _commonest_reasons(corpus: Corpus) -> str:
    """Of all records, whatever their role: nothing else says them where no ledger is written."""
    reasons: Counter[str] = Counter()
    for unit in range(corpus.sifted.units):
        column = pq.read_table(unit_file(corpus.judged, unit), columns=["reason"])["reason"]
        reasons.update({one["values"]: one["counts"] for one in pc.value_counts(column.drop_null()).to_pylist()})
    left = np.bincount(corpus.state, minlength=len(LEFT_FOR) + 2)
    reasons.update({reason: int(left[state]) for state, (_, reason) in LEFT_FOR.items() if left[state]})
    return ", ".join(f"{reason} {n:,}" for reason, n in reasons.most_common(3)) or "the sources hold none"
