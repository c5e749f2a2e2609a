"""Pass 4: training text against held-out text and benchmarks. Index the few, scan the many, remove what leaks.

held-out documents, benchmark items ─▶ two n-gram indexes ─▶ scan (parallel by unit) ─▶ leaks and common phrases
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.cleaning import clean
from curate.contamination import Hits, NgramIndex, phrase, resolve
from curate.engine import Pass, Report, Tally, run_pass
from curate.inputs import read
from curate.passes.decide import Corpus
from curate.passes.sift import ids
from curate.passes.sifted import Sifted
from curate.plugins import plugin
from curate.settings import Contamination, Curate
from curate.text import Int64s, TextBatch
from curate.units import Unit

REASONS = {"held_out": "held_out_overlap", "benchmark": "benchmark_overlap"}
PHRASES_LISTED = 50


class Scan(Pass):
    name = "scan"

    def __init__(self, folder: Path, sifted: Sifted, training: Int64s) -> None:
        super().__init__(folder, sifted.units)
        self.sifted, self.training = sifted, training

    def unit(self, rank: int, tally: Tally) -> None:
        low, high = np.searchsorted(self.training, self.sifted.first_row[rank : rank + 2])
        found: dict[str, list[Hits]] = {name: [] for name in REASONS}
        indexes = {name: NgramIndex.load(self.folder / name) for name in REASONS}
        for records, texts in self.sifted.batches(self.training[low:high]):
            batch = TextBatch(texts)
            for name, index in indexes.items():
                if len(index):
                    found[name].append(index.scan(batch).numbered(records))
            tally.add(len(records), int(batch.n_bytes.sum()))
        for name, parts in found.items():
            hits = Hits.joined(parts)
            with (self.folder / f"{name}-{rank:05d}.npz").open("wb") as file:
                np.savez(file, **{f.name: getattr(hits, f.name) for f in fields(Hits)})


def decontaminate(
    corpus: Corpus, benchmarks: Sequence[Unit], settings: Curate, folder: Path, workers: int, report: Report
) -> dict[str, Any]:
    """Take the leaking documents out of the training side; returns what was found, for the report."""
    words = settings.contamination.ngram_words
    held_out = corpus.on_side("validation", "test")
    indexes = {
        "held_out": NgramIndex.build(_held_out_batches(corpus, held_out), words),
        "benchmark": NgramIndex.build(benchmark_batches(benchmarks, settings), words),
    }
    for name, index in indexes.items():
        index.save(folder / name)
    training = corpus.on_side("train")
    run_pass(Scan(folder, corpus.sifted, training), workers, report)
    return {
        name: _resolve(corpus, name, index, _all_hits(folder, name, corpus.sifted.units), settings.contamination)
        | {"training_documents": len(training)}
        for name, index in indexes.items()
    }


def _held_out_batches(corpus: Corpus, records: Int64s) -> Iterator[tuple[pa.Array, TextBatch]]:
    for some, texts in corpus.sifted.batches(records):
        yield corpus.ids.take(pa.array(some)), TextBatch(texts)


def benchmark_batches(units: Sequence[Unit], settings: Curate) -> Iterator[tuple[list[str], TextBatch]]:
    """Benchmark items as (ids, texts), cleaned as the corpus is. Records that can't be read are left out."""
    cleaners = {name: plugin("curate.cleaners", name)() for name in settings.clean}
    for unit in units:
        for file in unit.files:
            for raw in read(file, unit.source):
                readable = raw.filter(pc.is_null(raw["reason"]))
                texts, _ = clean(readable["text"], cleaners)
                yield list(ids(readable, unit.source)), TextBatch(texts)


def _all_hits(folder: Path, name: str, units: int) -> Hits:
    def one(path: Path) -> Hits:
        with np.load(path) as arrays:
            return Hits(**{f.name: arrays[f.name] for f in fields(Hits)})

    return Hits.joined(one(folder / f"{name}-{unit:05d}.npz") for unit in range(units))


def _resolve(corpus: Corpus, name: str, index: NgramIndex, hits: Hits, settings: Contamination) -> dict[str, Any]:
    """Remove the leaks an index finds, unless another index has removed them already."""
    leaks, common = resolve(hits, settings.common_in)
    quote = _quoter(corpus, np.union1d(leaks.document, common.document[:PHRASES_LISTED]), index)
    removed = 0
    for i, record in enumerate(leaks.document.tolist()):
        if record not in corpus.left:
            words = quote(record, int(leaks.word[i]), int(leaks.ngram[i]))
            share = f"{leaks.n_hits[i]} n-grams, {leaks.share[i]:.1%} of the document"
            evidence = f"{words!r} stands in {index.owner_of(int(leaks.ngram[i]))} ({share})"
            corpus.leave(record, "contamination", REASONS[name], evidence)
            removed += 1
    phrases = [
        {"phrase": quote(int(d), int(w), int(g)), "training_documents": int(n)}
        for d, w, g, n in list(zip(common.document, common.word, common.ngram, common.n_documents, strict=True))[
            :PHRASES_LISTED
        ]
    ]
    return {
        "indexed_documents": len(index.owners),
        "indexed_ngrams": len(index),
        "too_short_to_index": index.too_short,
        "ngram_words": settings.ngram_words,
        "common_in": settings.common_in,
        "removed": removed,
        "common_ngrams": len(common.ngram),
        "common_phrases": phrases,
    }


def _quoter(corpus: Corpus, records: Int64s, index: NgramIndex) -> Callable[[int, int, int], str]:
    """(record, word, n-gram) -> its words, for the records named."""
    batch = TextBatch(corpus.sifted.texts(records))

    def quote(record: int, word: int, ngram: int) -> str:
        at = int(np.searchsorted(records, record))
        return phrase(batch, at, word, int(index.n_words[ngram]))

    return quote
