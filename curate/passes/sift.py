"""Pass 1: read, clean, measure, sketch. Every input record becomes one row of its unit's Parquet file.

    raw batch ─clean▶ texts ─▶ measures, language, exact key, MinHash signature ─▶ unit-00003.parquet

Nothing is decided here, so that a changed bound never means reading the text again: all documents that could be read
are measured and sketched, also those a rule will remove. The text is stored beside the numbers, as a column that later
passes read only where they need it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from curate.cleaning import clean, load
from curate.dedup.exact import exact_keys
from curate.dedup.minhash import signatures
from curate.dedup.shingles import ShingleRecipe
from curate.engine import Pass, Tally
from curate.filters import load_filters, verdicts
from curate.language import identify
from curate.measured import families, measure
from curate.pii.find import find
from curate.readers._fields import ABSENT, field_of
from curate.settings import Curate, Duplicates, FieldOf, Source
from curate.taken import sifted_measures
from curate.text import TextBatch
from curate.units import Unit, read_unit


def unit_file(folder: Path, rank: int) -> Path:
    return folder / f"unit-{rank:05d}.parquet"


class Sift(Pass):
    name = "sift"

    def __init__(self, folder: Path, units: Sequence[Unit], settings: Curate, seed: int, name: str = "sift") -> None:
        super().__init__(folder, len(units))
        self.name = name
        self.units, self.settings, self.seed = units, settings, seed

    def place(self, rank: int) -> str:
        return self.units[rank].files[0].url

    def unit(self, rank: int, tally: Tally) -> None:
        unit = self.units[rank]
        sifter = Sifter(self.settings, unit.source, self.seed)
        with TableWriter(unit_file(self.folder, rank), sifter.schema, "lz4") as writer:
            for raw in read_unit(unit):
                rows = sifter.sift(raw)
                writer.write(rows)
                tally.add(len(rows), pc.sum(rows["n_bytes"]).as_py() or 0)


class Sifter:
    """Turns raw batches of a source into rows; holds the loaded cleaners, filters and families of measures."""

    def __init__(self, settings: Curate, source: Source, seed: int) -> None:
        self.settings, self.source, self.seed = settings, source, seed
        self.cleaners = load(settings.clean)
        self.families = families(settings.measures)
        self.filters = load_filters(settings.filters, seed)
        self.language = source.language or settings.language
        self.schema = row_schema(list(sifted_measures(settings)), permutations(settings))

    def sift(self, raw: pa.RecordBatch) -> pa.RecordBatch:
        texts, taken = clean(pc.fill_null(raw["text"], ""), self.cleaners)
        reason, stage = _readable(raw, texts)
        rows = np.flatnonzero(reason.is_null().to_numpy(zero_copy_only=False))  # those that can be measured
        cleaned = TextBatch(texts.take(pa.array(rows)) if len(rows) < len(raw) else texts)
        found, batch = find(cleaned, self.settings.pii)
        n_bytes = np.zeros(len(raw), np.int64)
        n_bytes[rows] = batch.n_bytes
        masked = np.zeros(len(raw), np.int64)
        masked[rows] = cleaned.n_bytes - batch.n_bytes
        of_all = {
            "id": pa.array(ids(raw, self.source), pa.large_string()),
            "path": raw["path"],
            "position": raw["position"],
            "n_bytes": pc.if_else(reason.is_null(), n_bytes, raw["n_bytes"]),
            "bytes_cleaned": np.sum([masked, *taken.values()], axis=0, dtype=np.int64),
            "meta": raw["meta"],
            "stage": stage,
            "reason": reason,
            "evidence": raw["evidence"],
            **{name: _told(raw["meta"], getattr(self.source, name)) for name in ("licence", "consent")},
        }
        of_texts = self._measured(batch) | {name: pa.array(n, pa.float64()) for name, n in found.counts().items()}
        if self.filters:
            names, metas = (pc.take(of_all[name], pa.array(rows)) for name in ("id", "meta"))
            told = verdicts(self.filters, names, metas, batch.array)
            of_texts |= {"filter_reasons": told.reasons, "filter_evidence": told.evidence}
        columns = of_all | _spread(of_texts, rows, len(raw))
        if self.filters:
            columns["evidence"] = pc.coalesce(columns["evidence"], columns["filter_evidence"])
        empty = {"n_chars": pc.fill_null(columns["n_chars"], 0)}
        return pa.RecordBatch.from_arrays(
            [_array((columns | empty).get(one.name), one.type, len(raw)) for one in self.schema], schema=self.schema
        )

    def _measured(self, batch: TextBatch) -> dict[str, pa.Array]:
        """Measures, language and sketches of readable texts, as Arrow columns."""
        columns = {name: pa.array(values, pa.float64()) for name, values in measure(batch, self.families).items()}
        told = identify(batch, self.language.model)
        columns |= sketched(batch, self.settings.duplicates, self.seed)
        return columns | {
            "language": told.languages,
            "language_score": pa.array(told.scores, pa.float32()),
            "other_language_share": pa.array(told.other_share, pa.float64()),
        }


def sketched(batch: TextBatch, settings: Duplicates, seed: int) -> dict[str, pa.Array]:
    """Texts and what follows from them alone: length, exact key, MinHash signature. Also of texts that are edited."""
    keys = exact_keys(batch)
    sketch = signatures(batch, ShingleRecipe.of(settings), settings.bands * settings.rows, seed)  # (n, k) uint32
    buffers = [None, pa.py_buffer(np.ascontiguousarray(sketch))]
    return {
        "n_chars": pa.array(batch.n_chars),
        "key_high": pa.array(keys[:, 0]),
        "key_low": pa.array(keys[:, 1]),
        "signature": pa.Array.from_buffers(pa.binary(sketch.shape[1] * 4), len(batch), buffers),
        "text": batch.array,
    }


def _spread(columns: Mapping[str, pa.Array], rows: npt.NDArray[np.int64], n: int) -> dict[str, pa.Array]:
    """Columns of the readable records as columns of all: null where a record is quarantined."""
    if len(rows) == n:
        return dict(columns)
    back = np.full(n, -1)
    back[rows] = np.arange(len(rows))
    at = pa.array(back, mask=back < 0)
    return {name: column.take(at) for name, column in columns.items()}


def _told(meta: pa.StringArray, value: str | FieldOf | None) -> pa.StringArray:
    """A licence or consent: the source's own for all, or what each record's field says."""
    if not isinstance(value, FieldOf):
        return pa.array([value] * len(meta), pa.string())
    rows = (field_of(json.loads(one), value.field) if one else None for one in meta.to_pylist())
    return pa.array([None if one is None or one is ABSENT else str(one) for one in rows], pa.string())


def permutations(settings: Curate) -> int:
    return settings.duplicates.bands * settings.duplicates.rows


def row_schema(measures: Sequence[str], signature_values: int) -> pa.Schema:
    """One row per input record; measures and sketches are null where the record could not be read."""
    return pa.schema(
        [
            ("id", pa.large_string()),
            ("path", pa.string()),
            ("position", pa.int64()),
            ("n_bytes", pa.int64()),
            ("bytes_cleaned", pa.int64()),
            ("n_chars", pa.int64()),
            ("meta", pa.string()),
            ("stage", pa.string()),
            ("reason", pa.string()),
            ("evidence", pa.string()),
            ("licence", pa.string()),
            ("consent", pa.string()),
            ("filter_reasons", pa.list_(pa.string())),
            *[(name, pa.float64()) for name in measures],
            ("language", pa.string()),
            ("language_score", pa.float32()),
            ("key_high", pa.uint64()),
            ("key_low", pa.uint64()),
            ("signature", pa.binary(signature_values * 4)),
            ("text", pa.large_string()),
        ]
    )


def ids(raw: pa.RecordBatch, source: Source) -> Iterator[str]:
    """`<source>/<own id>`, or `<source>/<hash of path and position>`. Repeats are numbered later, over all units."""
    for own, path, position in zip(*(raw[name].to_pylist() for name in ("own_id", "path", "position")), strict=True):
        place = f"{path}\n{position}".encode()
        yield f"{source.name}/{own or xxhash.xxh64_hexdigest(place)}"


def _readable(raw: pa.RecordBatch, texts: pa.LargeStringArray) -> tuple[pa.StringArray, pa.StringArray]:
    """(quarantine reason, stage): the reader's, or empty_text where nothing is left to read."""
    is_empty = _is_blank(texts)
    came_empty = _is_blank(pc.fill_null(raw["text"], "")) if pc.any(is_empty).as_py() else is_empty
    unread = raw["reason"].is_valid()
    reason = pc.if_else(unread, raw["reason"], pc.if_else(is_empty, "empty_text", pa.scalar(None, pa.string())))
    stage = pc.if_else(
        pc.or_(unread, pc.and_(is_empty, came_empty)),
        "read",
        pc.if_else(is_empty, "clean", pa.scalar(None, pa.string())),
    )
    return reason, stage


def _is_blank(texts: pa.LargeStringArray) -> pa.BooleanArray:
    """Whether nothing but white space stands in a text. Those that begin with an ASCII letter need no look."""
    batch = TextBatch(texts)
    blank = batch.n_bytes == 0
    holds = np.flatnonzero(~blank)
    first = batch.data[batch.offsets[holds]]
    unsure = holds[(first <= ord(" ")) | (first >= 0x80)]
    trimmed = pc.utf8_trim_whitespace(texts.take(pa.array(unsure)))
    blank[unsure] = pc.equal(pc.binary_length(trimmed), 0).to_numpy(zero_copy_only=False)
    return pa.array(blank)


def _array(values: Any, kind: pa.DataType, n: int) -> pa.Array:
    if values is None:
        return pa.nulls(n, kind)
    array = values if isinstance(values, pa.Array) else pa.array(values, kind)
    return array if array.type == kind else array.cast(kind)


class TableWriter:
    """A Parquet file that appears whole, a row group per batch: random bytes stored plainly, text compressed.

    `compression`: zstd for what stays, lz4 for what other passes read soon (read twice as fast, 1.4 times as large).
    """

    def __init__(self, path: Path, schema: pa.Schema, compression: str = "zstd") -> None:
        self.path, self.beside = path, path.with_name(f".{path.name}.tmp")
        plain = {"signature", "key_high", "key_low"}
        self.file = pq.ParquetWriter(
            self.beside,
            schema,
            compression={name: "none" if name in plain else compression for name in schema.names},
            compression_level=None,
            use_dictionary=[
                name
                for name in ("path", "source", "stage", "reason", "language", "licence", "consent")
                if name in schema.names
            ],
            write_statistics=False,
        )

    def __enter__(self) -> TableWriter:
        return self

    def write(self, rows: pa.RecordBatch | pa.Table) -> None:
        if len(rows):
            self.file.write(rows)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.file.close()
        if kind is None:
            os.replace(self.beside, self.path)
        else:
            self.beside.unlink(missing_ok=True)
