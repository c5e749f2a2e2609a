"""What an index is made of: the documents of a finished run, or files of documents in any format that can be read.

Of a run, all that it published enters, held-out and control text too: next month's copy of a document that is held out
must not be trained on. Files go through the readers and the default cleaners, as a run's sources do; a document without
an id of its own is called by its file and position, `notes.jsonl#17`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.cleaning import clean, load
from curate.index.folder import Origin
from curate.index.sketches import SketchRecipe
from curate.inputs import list_files
from curate.settings import Curate, Duplicates, Source
from curate.shards.fault import Fault
from curate.shards.seal import digest, sealed_with
from curate.text import TextBatch
from curate.units import Unit, read_unit
from pipelines.folder import RunFolder

Texts = Iterator[tuple[pa.LargeStringArray, TextBatch]]
SKETCHING = ("bands", "rows", "shingle_words", "shingle_characters")


@dataclass(frozen=True, slots=True)
class Fields:
    """Where the text and the id stand in records of files, and the format where names do not say it."""

    text: tuple[str, ...] = ("text",)
    id: str | None = None
    format: str | None = None


@dataclass(slots=True)
class Unread:
    """Records of files that hold no text that could be read, counted on the way."""

    records: int = 0


def origins(given: Sequence[str], fields: Fields, unread: Unread) -> list[Origin]:
    """One for each run, in the order given, and one for all files, folders and globs together."""
    files = [path for path in given if not is_run(path)]
    found = [_of_run(Path(path)) for path in given if is_run(path)]
    return [*found, _of_files(files, fields, unread)] if files else found


def sketching(given: Sequence[str], asked: Mapping[str, int | None]) -> SketchRecipe:
    """How an index of these is made: by what was asked for, else as the first run says, else by the defaults."""
    run = next((path for path in given if is_run(path)), None)
    said = _said_by(Path(run)) if run else {**Duplicates().model_dump(include=set(SKETCHING)), "seed": 1}
    said |= {name: value for name, value in asked.items() if value is not None}
    return SketchRecipe.of(Duplicates(**{name: said[name] for name in SKETCHING}), said["seed"])


def is_run(path: str) -> bool:
    return (Path(path) / "recipe.yaml").is_file()


def _said_by(run: Path) -> dict[str, Any]:
    """What the run was sketched by, as it was sealed: its recipe may name files that are gone since."""
    made = sealed_with(RunFolder(run).curated)
    if made is None:
        raise Fault(
            f"{run} has no finished corpus: there is no curated/ in it", hint=f"postgrad curate {run}/recipe.yaml"
        )
    settings = made["curate"]["duplicates"]
    return {name: settings.get(name) for name in SKETCHING} | {"seed": made["seed"]}


def _of_run(run: Path) -> Origin:
    curated = RunFolder(run).curated
    files = sorted((curated / "documents").glob("*/*.parquet"))
    return Origin({"run": str(run), "curated": digest(sealed_with(curated))}, _documents(files))


def _documents(files: Sequence[Path]) -> Texts:
    for path in files:
        with pq.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group, columns=["id", "text"])
                yield rows["id"].combine_chunks().cast(pa.large_string()), TextBatch(rows["text"])


def _of_files(given: Sequence[str], fields: Fields, unread: Unread) -> Origin:
    source = Source(name="published", path=list(given), text=list(fields.text), id=fields.id, format=fields.format)
    try:
        files = list_files(source, Path.cwd())
    except Fault as fault:  # there is no recipe that it could point into
        raise Fault(fault.what, hint=fault.hint) from None
    told = {"paths": list(given), "files": len(files), "bytes": sum(file.n_bytes for file in files)}
    return Origin(told, _read(Unit(source, tuple(files)), unread))


def _read(unit: Unit, unread: Unread) -> Texts:
    cleaners = load(Curate().clean)
    for raw in read_unit(unit):
        texts, _ = clean(pc.fill_null(raw["text"], ""), cleaners)
        holds = np.flatnonzero(pc.not_equal(pc.utf8_trim_whitespace(texts), "").to_numpy(zero_copy_only=False))
        unread.records += len(raw) - len(holds)
        if len(holds):
            rows = pa.array(holds)
            yield _ids(raw).take(rows), TextBatch(texts.take(rows))


def _ids(raw: pa.RecordBatch) -> pa.LargeStringArray:
    place = pc.binary_join_element_wise(raw["path"], raw["position"].cast(pa.string()), "#")
    return pc.coalesce(raw["own_id"], place).cast(pa.large_string())
