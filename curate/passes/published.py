"""Copies of what was published before: survivors that an index (curate/index) holds leave, and name their match.

    exact keys, signatures of the first pass ─▶ every index ─▶ the best match of each record ─▶ published_duplicate

This comes before duplicates are looked for inside the corpus: of several copies of a published text all leave, and not
all but the one that was preferred. Documents leave wherever they would have been split to; control text stays, for
nothing is trained on it. Texts are read only of records that meet a published document, for their shingle sets.

Of several indexes the better match counts (an exact copy before a near one, then the greater similarity), then the one
that the recipe names first. Matches lie in an Arrow file that is mapped; 8 bytes of each stay in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.dedup.shingles import ShingleRecipe
from curate.index.folder import Index
from curate.index.matches import Asked, Matches, ShingleSets, matches, standard_error
from curate.index.sketches import SketchRecipe, require_same
from curate.passes.sifted import Int64s, Sifted
from curate.passes.sketches import signature_values
from curate.settings import Duplicates
from curate.text import TextBatch, UInt64s

Bools = npt.NDArray[np.bool_]

TOLD = pa.schema([("duplicate_of", pa.large_string()), ("similarity", pa.float32()), ("evidence", pa.string())])


@dataclass(frozen=True, slots=True)
class Published:
    """The records that leave for a published document, and which one that is."""

    record: Int64s  # (p,) ascending
    told: pa.Table  # (p,) rows of TOLD

    @classmethod
    def none(cls) -> Published:
        return cls(np.zeros(0, np.int64), TOLD.empty_table())

    def among(self, at: slice) -> tuple[Int64s, pa.Table]:
        """(rows, what is told of them) of the records `at` that are among these."""
        low, high = np.searchsorted(self.record, [at.start, at.stop])
        return self.record[low:high] - at.start, self.told.slice(low, high - low).combine_chunks()

    def over(self, at: slice, columns: dict[str, Any]) -> dict[str, pa.Array]:
        """The columns duplicate_of and similarity of records, with what is told here in place of their own."""
        rows, told = self.among(at)
        place = np.arange(at.stop - at.start)
        place[rows] = len(place) + np.arange(len(rows))
        return {
            name: pa.concat_arrays([columns[name], *told[name].chunks]).take(pa.array(place))
            for name in ("duplicate_of", "similarity")
        }


def require_indexes(settings: Duplicates, seed: int) -> None:
    """Fault where one of the indexes is none, or sketches were made in another way there."""
    for path in settings.against:
        index = Index.open(Path(path))
        require_same(index.recipe.as_json(), SketchRecipe.of(settings, seed).as_json(), path, "this recipe")


def find_published(sifted: Sifted, wanted: Bools, settings: Duplicates, seed: int, path: Path) -> Published:
    """Hold the wanted records (N,) against the indexes. `path`: where what is told of the matches lies."""
    if not settings.against:
        return Published.none()
    require_indexes(settings, seed)
    indexes = [Index.open(Path(one), verify=True) for one in settings.against]
    found = [np.zeros(0, np.int64)]
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, TOLD) as writer:
        for records, asked in _asked(sifted, wanted, ShingleRecipe.of(settings)):
            best = _best(indexes, [matches(index, asked, settings.verify_at_least) for index in indexes])
            if best:
                found.append(records[[row for row, _ in best]])
                writer.write_batch(pa.RecordBatch.from_pylist([told for _, told in best], TOLD))
    return Published(np.concatenate(found), pa.ipc.open_file(pa.memory_map(str(path))).read_all())


def _asked(sifted: Sifted, wanted: Bools, shingle: ShingleRecipe) -> Iterator[tuple[Int64s, Asked]]:
    """(records, their sketches) by row group, records ascending."""
    for unit in range(sifted.units):
        if not wanted[sifted.records_of(unit)].any():
            continue
        for at, rows in sifted.groups(unit, ["key_high", "key_low", "signature"]):
            here = np.flatnonzero(wanted[at])
            if len(here):
                taken = rows.take(pa.array(here))
                keys = np.column_stack([taken[name].to_numpy().astype(np.uint64) for name in ("key_high", "key_low")])
                records, sketch = at.start + here, signature_values(rows["signature"])[here]
                yield records, Asked(keys, sketch, _sets_of(sifted, records, shingle))


def _sets_of(sifted: Sifted, records: Int64s, shingle: ShingleRecipe) -> ShingleSets:
    def sets(rows: Int64s) -> tuple[Int64s, UInt64s]:
        parts = [shingle.sets(TextBatch(texts)) for _, texts in sifted.batches(records[rows])]
        sizes = np.concatenate([np.diff(offsets) for offsets, _ in parts])
        return np.concatenate(([0], np.cumsum(sizes))), np.concatenate([hashes for _, hashes in parts])

    return sets


def _best(indexes: Sequence[Index], found: Sequence[Matches]) -> list[tuple[int, dict[str, Any]]]:
    """(row, what is told of it), rows ascending: the best of all indexes' matches of each."""
    row = np.concatenate([one.row for one in found])
    number = np.repeat(np.arange(len(found)), [len(one) for one in found])
    place = np.concatenate([np.arange(len(one)) for one in found])
    is_exact = np.concatenate([one.is_exact for one in found])
    similarity = np.concatenate([one.similarity for one in found])
    order = np.lexsort((number, -similarity, ~is_exact, row))
    first = order[np.diff(row[order], prepend=-1) != 0]
    return [(int(row[i]), _told(indexes[number[i]], found[number[i]], int(place[i]))) for i in first.tolist()]


def _told(index: Index, found: Matches, place: int) -> dict[str, Any]:
    match, similarity = found.ids[place].as_py(), float(found.similarity[place])
    if found.is_exact[place]:
        alike = f"the same words as {match}"
    elif index.carries_sets:
        alike = f"Jaccard {similarity:.3f} with {match}"
    else:
        error = float(standard_error(found.similarity[place : place + 1], index.recipe.permutations)[0])
        alike = f"Jaccard estimated at {similarity:.3f} ± {error:.3f} with {match}"
    return {"duplicate_of": match, "similarity": similarity, "evidence": f"{alike}, published in {index.path}"}
