"""Pass 4: training text against held-out text and benchmarks. Index the few, scan the many, remove what leaks.

held-out documents, benchmark items ─▶ two n-gram indexes ─▶ scan (parallel by unit) ─▶ leaks and common phrases
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.cleaning import clean, load
from curate.contamination import Hits, NgramIndex, phrase, resolve
from curate.engine import Pass, Report, Tally, run_pass
from curate.inputs import read
from curate.passes.decide import Corpus
from curate.passes.sift import ids
from curate.passes.sifted import Sifted
from curate.settings import Contamination, Curate
from curate.shards.fault import Fault
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
    """Benchmark items as (ids, texts), cleaned as the corpus is. Records that can't be read are left out.

    Raises Fault at the end where a source has none that can: a corpus would be certified against nothing.
    """
    cleaners = load(settings.clean)
    n_readable: Counter[str] = Counter()
    for unit in units:
        for file in unit.files:
            for raw in read(file, unit.source):
                readable = raw.filter(pc.is_null(raw["reason"]))
                n_readable[unit.source.name] += len(readable)
                texts, _ = clean(readable["text"], cleaners)
                yield list(ids(readable, unit.source)), TextBatch(texts)
    for source in (unit.source for unit in units):
        if not n_readable[source.name]:
            raise Fault(
                f"no text could be read from the benchmark {source.name!r}",
                where=f"sources.{source.name}",
                hint="check its files, and the field that text: names",
            )


def _all_hits(folder: Path, name: str, units: int) -> Hits:
    def one(path: Path) -> Hits:
        with np.load(path) as arrays:
            return Hits(**{f.name: arrays[f.name] for f in fields(Hits)})

    return Hits.joined(one(folder / f"{name}-{unit:05d}.npz") for unit in range(units))


def _resolve(corpus: Corpus, name: str, index: NgramIndex, hits: Hits, settings: Contamination) -> dict[str, Any]:
    """Remove the leaks an index finds, unless another index has removed them already."""
    leaks, common = resolve(hits, settings.common_in)
    new = [i for i, record in enumerate(leaks.document.tolist()) if record not in corpus.left]
    words = _quotes(corpus, index, leaks.document[new], leaks.word[new], leaks.ngram[new])
    for i, quoted in zip(new, words, strict=True):
        share = f"{leaks.n_hits[i]} n-grams, {leaks.share[i]:.1%} of the document"
        evidence = f"{quoted!r} stands in {index.owner_of(int(leaks.ngram[i]))} ({share})"
        corpus.leave(int(leaks.document[i]), "contamination", REASONS[name], evidence)
    listed = slice(PHRASES_LISTED)
    phrases = _quotes(corpus, index, common.document[listed], common.word[listed], common.ngram[listed])
    return {
        "indexed_documents": len(index.owners),
        "indexed_ngrams": len(index),
        "too_short_to_index": index.too_short,
        "ngram_words": settings.ngram_words,
        "common_in": settings.common_in,
        "removed": len(new),
        "common_ngrams": len(common.ngram),
        "common_phrases": [
            {"phrase": quoted, "training_documents": n}
            for quoted, n in zip(phrases, common.n_documents[listed].tolist(), strict=True)
        ],
    }


def _quotes(corpus: Corpus, index: NgramIndex, records: Int64s, words: Int64s, ngrams: Int64s) -> list[str]:
    """The words of each n-gram as they stand in the record named, one row group of texts in memory at a time."""
    quoted = [""] * len(records)
    order = np.argsort(records, kind="stable")
    for some, texts in corpus.sifted.batches(np.unique(records)):
        batch = TextBatch(texts)
        low, high = np.searchsorted(records[order], [some[0], some[-1] + 1])
        for i in order[low:high].tolist():
            at = int(np.searchsorted(some, records[i]))
            quoted[i] = phrase(batch, at, int(words[i]), int(index.n_words[ngrams[i]]))
    return quoted
