"""Pass 1: read, clean, measure, sketch. Every input record becomes one row of its unit's Parquet file.

    raw batch ─clean▶ texts ─▶ measures, language, exact key, MinHash signature ─▶ unit-00003.parquet

Nothing is decided here, so that a changed bound never means reading the text again: all documents that could be read
are measured and sketched, also those a rule will remove. The text is stored beside the numbers, as a column that later
passes read only where they need it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from curate.cleaning import clean, load
from curate.dedup.exact import exact_keys
from curate.dedup.minhash import signatures
from curate.engine import Pass, Tally
from curate.inputs import read
from curate.language import detect
from curate.measured import families, measure, measures_of
from curate.settings import Curate, Source
from curate.text import TextBatch
from curate.units import Unit


def unit_file(folder: Path, rank: int) -> Path:
    return folder / f"unit-{rank:05d}.parquet"


class Sift(Pass):
    name = "sift"

    def __init__(self, folder: Path, units: Sequence[Unit], settings: Curate, seed: int) -> None:
        super().__init__(folder, len(units))
        self.units, self.settings, self.seed = units, settings, seed

    def unit(self, rank: int, tally: Tally) -> None:
        unit = self.units[rank]
        sifter = Sifter(self.settings, self.seed)
        with TableWriter(unit_file(self.folder, rank), sifter.schema) as writer:
            for file in unit.files:
                for raw in read(file, unit.source):
                    rows = sifter.sift(raw, unit.source)
                    writer.write(rows)
                    tally.add(len(rows), pc.sum(rows["n_bytes"]).as_py() or 0)


class Sifter:
    """Turns raw batches into rows; holds the loaded cleaners and families of measures."""

    def __init__(self, settings: Curate, seed: int) -> None:
        self.cleaners = load(settings.clean)
        self.families = families(settings.measures)
        self.duplicates, self.seed = settings.duplicates, seed
        self.schema = row_schema(list(measures_of(settings.measures)), permutations(settings))

    def sift(self, raw: pa.RecordBatch, source: Source) -> pa.RecordBatch:
        texts, taken = clean(pc.fill_null(raw["text"], ""), self.cleaners)
        reason, stage = _readable(raw, texts)
        rows = np.flatnonzero(reason.is_null().to_numpy(zero_copy_only=False))  # those that can be measured
        measured = self._measure(texts.take(pa.array(rows)))
        back = np.full(len(raw), -1)
        back[rows] = np.arange(len(rows))
        at = pa.array(back, mask=back < 0)  # null where a record is quarantined: so are its measures
        columns: dict[str, Any] = {
            "id": pa.array(ids(raw, source), pa.large_string()),
            "path": raw["path"],
            "position": raw["position"],
            "n_bytes": pc.if_else(reason.is_null(), pc.binary_length(texts), raw["n_bytes"]),
            "bytes_cleaned": np.sum([taken[name] for name in self.cleaners], axis=0, dtype=np.int64)
            if self.cleaners
            else np.zeros(len(raw), np.int64),
            "n_chars": pc.if_else(reason.is_null(), pc.utf8_length(texts), 0),
            "meta": raw["meta"],
            "stage": stage,
            "reason": reason,
            "evidence": raw["evidence"],
            "text": pc.if_else(reason.is_null(), texts, pa.scalar(None, pa.large_string())),
        }
        columns |= {name: column.take(at) for name, column in measured.items()}
        return pa.RecordBatch.from_arrays(
            [_array(columns[field.name], field.type) for field in self.schema], schema=self.schema
        )

    def _measure(self, texts: pa.LargeStringArray) -> dict[str, pa.Array]:
        """Measures, language and sketches of readable texts, as Arrow columns."""
        batch = TextBatch(texts)
        columns = {name: pa.array(values, pa.float64()) for name, values in measure(batch, self.families).items()}
        language, score = detect(texts)
        keys = exact_keys(batch)
        d = self.duplicates
        sketch = signatures(batch, d.shingle_words, d.bands * d.rows, self.seed)  # (n, k) uint32
        width = sketch.shape[1] * 4
        buffers = [None, pa.py_buffer(np.ascontiguousarray(sketch))]
        return columns | {
            "language": language,
            "language_score": pa.array(score, pa.float32()),
            "key_high": pa.array(keys[:, 0]),
            "key_low": pa.array(keys[:, 1]),
            "signature": pa.Array.from_buffers(pa.binary(width), len(batch), buffers),
        }


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
    came_empty = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(pc.fill_null(raw["text"], ""))), 0)
    is_empty = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(texts)), 0)
    unread = raw["reason"].is_valid()
    reason = pc.if_else(unread, raw["reason"], pc.if_else(is_empty, "empty_text", pa.scalar(None, pa.string())))
    stage = pc.if_else(
        pc.or_(unread, pc.and_(is_empty, came_empty)),
        "read",
        pc.if_else(is_empty, "clean", pa.scalar(None, pa.string())),
    )
    return reason, stage


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    array = values if isinstance(values, pa.Array) else pa.array(values, kind)
    return array if array.type == kind else array.cast(kind)


class TableWriter:
    """A Parquet file that appears whole, a row group per batch: random bytes stored plainly, text compressed."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self.beside = path, path.with_name(f".{path.name}.tmp")
        plain = {"signature", "key_high", "key_low"}
        self.file = pq.ParquetWriter(
            self.beside,
            schema,
            compression={name: "none" if name in plain else "zstd" for name in schema.names},
            compression_level=None,
            use_dictionary=[name for name in ("path", "source", "stage", "reason", "language") if name in schema.names],
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
