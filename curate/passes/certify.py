"""Pass 5: what stands on both sides of the split, asked once more of the texts as they will be trained on.

    held-out text ─index▶ n-grams ─trace (parallel)▶ where they stand in training text ─certify (parallel)▶ rows
    clusters, exact keys, groups of what is kept ─partitions▶ how many cross the split

Nothing that was decided before is believed: n-grams that were let stand as common phrases show here, and what crosses
is counted from the clusters, the keys and the fields themselves. Out come certificate.parquet, a row for each held-out
document, and certificate.json with the verdict and the rows that share most.

The n-grams are of 13 words whatever the recipe removed by, so that certificates of different recipes compare.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.certificate import SHORTEST, WORDS, Answers, Asked, Seen, Standing, Training
from curate.certified import summary
from curate.engine import Pass, Tally
from curate.ngram_index import NgramIndex
from curate.passes.crossings import Kept, crossings
from curate.passes.held_out_index import build_index
from curate.passes.sift import TableWriter, unit_file
from curate.passes.sifted import Sifted
from curate.settings import Curate
from curate.shards.seal import write_json
from curate.split import TEST, TRAIN, VALIDATION
from curate.text import TextBatch
from curate.written_forms import as_one_form
from curate.xxh64 import xxh64

ROWS = pa.schema(
    [
        ("id", pa.large_string()),
        ("source", pa.string()),
        ("role", pa.string()),
        ("split", pa.string()),
        ("words", pa.int64()),
        ("ngrams", pa.int64()),  # distinct; 0: too short to be asked
        ("containment", pa.float64()),
        ("contained_in", pa.large_string()),
        ("anywhere", pa.float64()),
        ("span_words", pa.int64()),
        ("span_at", pa.int64()),
        ("span_in", pa.large_string()),
        ("span_at_there", pa.int64()),
    ]
)
TRACED = pa.schema([("id", pa.large_string()), ("word", pa.int64()), ("ngrams", pa.list_(pa.int64()))])

CERTIFICATE_FILES = ("certificate.json", "certificate.parquet")


def certify(sifted: Sifted, decided: Path, settings: Curate, folder: Path, run: Callable[[Pass], object]) -> None:
    """Write certificate.parquet and certificate.json into `folder`. `sifted`: with all edits of texts in place."""
    kept = Kept(sifted, sifted.beside(decided))
    build_index(_held_out(kept), WORDS, SHORTEST, folder / "index")
    run(Trace(folder, kept))
    Training.of(read_seen(folder, kept.sifted.units)).save(folder / "training")
    run(Certify(folder, kept))
    certificate, rows = (folder / name for name in CERTIFICATE_FILES)
    with pq.ParquetWriter(rows, ROWS, compression="zstd") as writer:
        for unit in range(kept.sifted.units):
            writer.write_table(pq.read_table(unit_file(folder, unit)))
    used = {"ngram_words": WORDS, "shortest_text_words": SHORTEST}
    used |= {name: getattr(settings, name).model_dump(mode="json") for name in ("split", "duplicates", "contamination")}
    crossing = crossings(kept, settings.split, folder / "crossing")
    write_json(certificate, summary(rows, crossing, used, _certified(folder)))
    for path in [*folder.glob("unit-*"), *folder.glob("seen-*"), *folder.glob("digest-*")]:
        path.unlink()
    shutil.rmtree(folder / "index")
    shutil.rmtree(folder / "training")


def _held_out(kept: Kept) -> Iterator[tuple[pa.Array, TextBatch]]:
    for unit in range(kept.sifted.units):
        for rows in kept.of(unit, VALIDATION, TEST):
            yield rows["id"].combine_chunks(), as_one_form(rows["text"])


# -- the two passes over the units


class Trace(Pass):
    """Where n-grams of held-out text stand in a unit's training text."""

    name = "trace"

    def __init__(self, folder: Path, kept: Kept) -> None:
        super().__init__(folder, kept.sifted.units)
        self.kept = kept

    def unit(self, rank: int, tally: Tally) -> None:
        index, seen, digest = NgramIndex.load(self.folder / "index"), Seen(), Digest()
        for rows in self.kept.of(rank, TRAIN):
            seen.add(rows["id"].to_pylist(), Standing.of(index, as_one_form(rows["text"])))
            digest.add(rows, tally)
        _write_seen(seen, self.folder, rank)
        write_json(self.folder / f"digest-train-{rank:05d}.json", asdict(digest))


class Certify(Pass):
    """A row for each held-out document of a unit."""

    name = "certify"

    def __init__(self, folder: Path, kept: Kept) -> None:
        super().__init__(folder, kept.sifted.units)
        self.kept = kept

    def unit(self, rank: int, tally: Tally) -> None:
        index, digest = NgramIndex.load(self.folder / "index"), Digest()
        answers = Answers(Training.load(self.folder / "training"))
        with TableWriter(unit_file(self.folder, rank), ROWS) as writer:
            for rows in self.kept.of(rank, VALIDATION, TEST):
                writer.write(_rows(rows, answers, index))
                digest.add(rows, tally)
        write_json(self.folder / f"digest-held-out-{rank:05d}.json", asdict(digest))


def _rows(rows: pa.Table, answers: Answers, index: NgramIndex) -> pa.Table:
    batch = as_one_form(rows["text"])
    n_grams, found = answers.of(index, batch)
    asked = [found.get(at, Asked()) for at in range(len(batch))]
    columns = {name: rows[name].combine_chunks() for name in ("id", "source", "role", "split")}
    columns |= {"words": pa.array(np.diff(batch.words.first)), "ngrams": pa.array(n_grams)}
    for one in fields(Asked):
        columns[one.name] = pa.array([getattr(answer, one.name) for answer in asked], ROWS.field(one.name).type)
    return pa.table([columns[name] for name in ROWS.names], schema=ROWS)


def _write_seen(seen: Seen, folder: Path, rank: int) -> None:
    """Sets with the word -1, then stretches."""
    held = [(name, -1, ngrams) for ngrams, name in seen.sets.items()]
    held += [(name, word, run) for run, (name, word) in seen.stretches.items()]
    columns = [[one[0] for one in held], [one[1] for one in held], [np.frombuffer(one[2], np.int64) for one in held]]
    table = pa.table([pa.array(*both) for both in zip(columns, TRACED.types, strict=True)], schema=TRACED)
    pq.write_table(table, folder / f"seen-{rank:05d}.parquet")


def read_seen(folder: Path, units: int) -> Seen:
    """What all units saw."""
    seen = Seen()
    for rank in range(units):
        for batch in pq.ParquetFile(folder / f"seen-{rank:05d}.parquet").iter_batches():
            names, words, runs = (batch[name] for name in TRACED.names)
            for name, word, run in zip(names.to_pylist(), words.to_pylist(), runs, strict=True):
                ngrams = run.values.to_numpy().tobytes()
                if word < 0:
                    seen.add_set(ngrams, name)
                else:
                    seen.add_stretch(ngrams, (name, word))
    return seen


# -- what was certified


@dataclass(slots=True)
class Digest:
    """Names what was certified, in any order: sums modulo 2^64 of the XXH64 of `<split>/<id>`, and of the texts."""

    documents: int = 0
    ids: int = 0
    texts: int = 0

    def add(self, rows: pa.Table, tally: Tally) -> None:
        slash = pa.scalar("/", pa.large_string())
        names = pc.binary_join_element_wise(rows["split"].cast(pa.large_string()), rows["id"], slash)
        self.documents += len(rows)
        self.ids = (self.ids + int(xxh64(names).sum())) % (1 << 64)
        self.texts = (self.texts + int(xxh64(rows["text"]).sum())) % (1 << 64)
        tally.add(len(rows), int(pc.sum(pc.binary_length(rows["text"])).as_py() or 0))


def _certified(folder: Path) -> dict[str, Any]:
    parts = [Digest(**json.loads(path.read_text(encoding="utf-8"))) for path in sorted(folder.glob("digest-*.json"))]
    ids, texts = (sum(getattr(part, name) for part in parts) % (1 << 64) for name in ("ids", "texts"))
    return {
        "documents": sum(part.documents for part in parts),
        "ids": f"{ids:016x}",
        "texts": f"{texts:016x}",
        "rule": "sums modulo 2^64 of XXH64 over all documents that stay: of '<split>/<id>', and of the text",
    }
