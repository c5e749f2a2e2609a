"""Near-duplicates in a datatrove pipeline: three stages, keyed by document id and verified by exact Jaccard.

    from datatrove.executor import LocalPipelineExecutor as Run
    from curate.blocks.duplicates import DropDuplicates, ReadSketched, Resolve, Sketch

    sketch = Run([JsonlReader("raw"), GopherQualityFilter(), Sketch("sketches")], tasks=64)
    resolve = Run([Resolve("sketches")], tasks=1, depends=sketch)
    Run([ReadSketched("sketches"), DropDuplicates("sketches"), JsonlWriter("kept")], tasks=8, depends=resolve).run()

Each document is sketched on its way and goes on. What is left in the folder is a file per task: the documents whole,
their exact keys and signatures. Resolve decides over all of them as our own pipeline does (curate/dedup/resolve.py): a
document leaves only for a copy that stays, whatever the number of tasks and the order of the input. DropDuplicates
knows documents by their ids, so it may read them from anywhere: from the sketches, which saves reading and filtering
them again, or from a reader of your own.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters.base_filter import BaseFilter

from curate.blocks.documents import DOCUMENTS, documents_of, in_batches, table_of
from curate.dedup.prefer import policies
from curate.settings import BestOf, Duplicates, SourcesFirst
from curate.shards.fault import Fault

TYPE = "🫂 - POSTGRAD"
COPIES = pa.schema(
    [
        ("id", pa.large_string()),
        ("cluster", pa.large_string()),  # the lowest id of its members
        ("duplicate_of", pa.large_string()),  # the copy that stays in its place; null: this one stays
        ("similarity", pa.float32()),  # exact Jaccard to that copy
        ("reason", pa.string()),
    ]
)
REASONS = (None, "exact_duplicate", "near_duplicate")
"""By the level of curate/dedup/resolve.py."""


class Sketch(PipelineStep):
    """Hands documents on, and leaves what deduplication wants to know of them in a file of its task's."""

    type = TYPE
    name = "postgrad sketch"

    def __init__(
        self, folder: str | Path, duplicates: Duplicates | Mapping[str, Any] | None = None, seed: int = 1
    ) -> None:
        super().__init__()
        self.folder = str(Path(folder).resolve())
        self.duplicates = duplicates if isinstance(duplicates, Duplicates) else Duplicates(**(duplicates or {}))
        self.seed = seed
        _require_known(self.duplicates)

    def run(self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        from curate.passes.sift import TableWriter, unit_file

        folder = Path(self.folder)
        folder.mkdir(parents=True, exist_ok=True)
        made_with = {"tasks": world_size, "seed": self.seed, "duplicates": self.duplicates.model_dump(mode="json")}
        schema = _sketches(self.duplicates).with_metadata({"postgrad": json.dumps(made_with, sort_keys=True)})
        position = 0
        with TableWriter(unit_file(folder, rank), schema, "lz4") as writer:
            for documents in in_batches(data or ()):
                with self.track_time("batch"):
                    writer.write(self._rows(documents, rank, position).cast(schema))
                position += len(documents)
                for document in documents:
                    self.update_doc_stats(document)
                    yield document

    def _rows(self, documents: list[Document], rank: int, position: int) -> pa.Table:
        from curate.dedup.exact import exact_keys
        from curate.dedup.minhash import signatures
        from curate.dedup.shingles import ShingleRecipe
        from curate.text import TextBatch

        table = table_of(documents)
        batch, of = TextBatch(table["text"]), self.duplicates
        keys = exact_keys(batch)
        sketch = signatures(batch, ShingleRecipe.of(of), of.bands * of.rows, self.seed)  # (n, k) uint32
        buffers = [None, pa.py_buffer(np.ascontiguousarray(sketch))]
        columns = [
            *table.columns,
            pa.array([str(rank)] * len(batch), pa.string()),
            pa.array(np.arange(position, position + len(batch))),
            pa.array(batch.n_chars),
            pa.array(keys[:, 0]),
            pa.array(keys[:, 1]),
            pa.Array.from_buffers(pa.binary(sketch.shape[1] * 4), len(batch), buffers),
        ]
        return pa.table(columns, schema=_sketches(of))


class ReadSketched(PipelineStep):
    """The documents that were sketched, as they were then; each task reads its share of the files."""

    type = "📖 - READER"
    name = "postgrad sketched documents"

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.folder = str(Path(folder).resolve())

    def run(self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        yield from data or ()
        _, files = _sketched(Path(self.folder))
        for path in files[rank::world_size]:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    for document in documents_of(file.read_row_group(group, columns=DOCUMENTS.names)):
                        self.update_doc_stats(document)
                        yield document


class Resolve(PipelineStep):
    """Which documents are copies of which, and which copy stays: one task, after all sketches are there."""

    type = TYPE
    name = "postgrad resolve"

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.folder = str(Path(folder).resolve())

    def run(self, data: Iterable[Document] | None = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        yield from data or ()
        if rank == 0:
            copies = self._copies(Path(self.folder))
            path = _copies_file(Path(self.folder))
            pq.write_table(copies, path.with_name(f".{path.name}.tmp"))
            path.with_name(f".{path.name}.tmp").replace(path)
            self.stat_update("documents_with_a_copy", value=len(copies))

    def _copies(self, folder: Path) -> pa.Table:
        from curate.dedup.resolve import resolve
        from curate.dedup.shingles import ShingleRecipe
        from curate.passes.merits import SiftedMerits
        from curate.passes.repeats import find_repeats
        from curate.passes.sifted import Sifted
        from curate.passes.sketches import SiftedSketches

        made_with, files = _sketched(folder)
        settings, sifted = Duplicates(**made_with["duplicates"]), Sifted.open(folder, len(files))
        with tempfile.TemporaryDirectory(dir=folder, prefix=".scratch-") as scratch:
            repeats = find_repeats(sifted, Path(scratch))
            if len(repeats.record):
                raise Fault(
                    f"{len(repeats.record):,} documents bear the id of another: duplicates are dropped by id",
                    where=sifted.take(repeats.record[:1], ["id"])["id"][0].as_py(),
                    hint="give documents ids that are unique over all tasks, in the reader or in a step after it",
                )
            everything = np.ones(len(sifted), np.bool_)
            sketches = SiftedSketches(sifted, repeats, everything, ShingleRecipe.of(settings))
            merits = SiftedMerits(sifted, meta="metadata")
            found = resolve(sketches, everything, settings, Path(scratch), merits)
            ids, _ = sketches.named(found.record)
        self.stat_update("candidate_pairs", value=found.pairs_candidates)
        self.stat_update("verified_pairs", value=found.pairs_verified)
        stays = found.duplicate_of < 0
        at_cluster, at_copy = (np.searchsorted(found.record, of) for of in (found.cluster, found.duplicate_of))
        columns = [
            ids,
            ids.take(pa.array(at_cluster)),
            ids.take(pa.array(at_copy, mask=stays)),
            pa.array(found.similarity, mask=stays),
            pa.array(REASONS, pa.string()).take(pa.array(found.level)),
        ]
        return pa.table([_one(column) for column in columns], schema=COPIES)


class Copy(NamedTuple):
    cluster: str
    duplicate_of: str | None
    similarity: float | None
    reason: str | None


class DropDuplicates(BaseFilter):
    """Drops what has a copy that stays. `cluster` and, of what leaves, `duplicate_of` and `similarity` become metadata.

    A document that was not sketched has no copy that anybody knows of, and stays."""

    name = "postgrad duplicates"

    def __init__(self, folder: str | Path, exclusion_writer: Any = None) -> None:
        super().__init__(exclusion_writer)
        self.folder = str(Path(folder).resolve())
        self._copies: dict[str, Copy] | None = None  # read by the task, not by who sets the pipeline up

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        if self._copies is None:
            self._copies = _read_copies(Path(self.folder))
        copy = self._copies.get(doc.id)
        if copy is None:
            return True
        doc.metadata["cluster"] = copy.cluster
        if copy.reason is None:
            return True
        doc.metadata |= {"duplicate_of": copy.duplicate_of, "similarity": copy.similarity}
        return False, copy.reason


def _require_known(settings: Duplicates) -> None:
    """Fault where a policy goes by what datatrove's documents don't tell, or what stays would have to bear a weight."""
    foreign = [one for one in policies(settings.keep) if isinstance(one, BestOf | SourcesFirst)]
    if foreign or settings.rehydrate:
        what = f"keep: {foreign[0].model_dump()}" if foreign else "rehydrate"
        raise Fault(
            f"a datatrove pipeline knows nothing of {what}",
            where="duplicates",
            hint="keep: longest, lowest_id or {earliest: FIELD} of the metadata",
        )


def _sketches(duplicates: Duplicates) -> pa.Schema:
    return pa.schema(
        [
            *DOCUMENTS,
            ("path", pa.string()),  # the task: with the position, where a document came from
            ("position", pa.int64()),
            ("n_chars", pa.int64()),
            ("key_high", pa.uint64()),
            ("key_low", pa.uint64()),
            ("signature", pa.binary(duplicates.bands * duplicates.rows * 4)),
        ]
    )


def _copies_file(folder: Path) -> Path:
    return folder / "copies.parquet"


def _sketched(folder: Path) -> tuple[dict[str, Any], list[Path]]:
    """(what the sketches were made with, their files in order). Raises Fault where files are missing or foreign."""
    from curate.passes.sift import unit_file

    files = sorted(folder.glob("unit-*.parquet"))
    made_with = {path: (pq.read_schema(path).metadata or {}).get(b"postgrad", b"{}") for path in files}
    told = json.loads(next(iter(made_with.values()), b"{}"))
    if len(set(made_with.values())) != 1 or files != [unit_file(folder, rank) for rank in range(told.get("tasks", 0))]:
        raise Fault(
            f"the sketches are not whole, or of several runs: {len(files)} files for {told.get('tasks', 0)} tasks",
            where=str(folder),
            hint="let all tasks of Sketch end first (depends=), and give each run a folder of its own",
        )
    return told, files


def _read_copies(folder: Path) -> dict[str, Copy]:
    path = _copies_file(folder)
    if not path.exists():
        raise Fault(
            "nothing is known of duplicates: copies.parquet is not there",
            where=str(folder),
            hint="run Resolve on that folder before DropDuplicates (depends=)",
        )
    rows = pq.read_table(path)
    columns = [rows[name].to_pylist() for name in ("cluster", "duplicate_of", "similarity", "reason")]
    return dict(zip(rows["id"].to_pylist(), (Copy(*values) for values in zip(*columns, strict=True)), strict=True))


def _one(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
