"""Pass 4: training text against held-out text and benchmarks. Index the few, scan the many, remove what leaks.

held-out documents, benchmark items ─▶ two n-gram indexes ─▶ scan (parallel by unit) ─▶ leaks and common phrases

The sides are bytes that all workers map. Hits of a unit lie in a file; of an n-gram that stands in more training
documents than a common phrase may, only the count is kept, so what is held grows with the leaks and not with a licence
line that everybody quotes.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.contamination import CommonPhrases, Hits, Leaks, NgramIndex, phrase, resolve
from curate.dedup.partitions import distinct, positions
from curate.engine import Pass, Report, Tally, Where, run_pass
from curate.passes.decide import Corpus
from curate.passes.held_out_index import build_index
from curate.passes.sifted import Sifted
from curate.settings import Contamination
from curate.shards.fault import Fault
from curate.split import TEST, TRAIN, VALIDATION
from curate.text import Int64s, TextBatch

REASONS = {"held_out": "held_out_overlap", "benchmark": "benchmark_overlap"}
PHRASES_LISTED = 50
SIDES_FILE = "sides.npy"


class Scan(Pass):
    name = "scan"

    def __init__(self, folder: Path, sifted: Sifted) -> None:
        """`folder` holds the indexes, by name, and the side of every record."""
        super().__init__(folder, sifted.units)
        self.sifted = sifted

    def unit(self, rank: int, tally: Tally) -> None:
        part = self.sifted.records_of(rank)
        sides = np.load(self.folder / SIDES_FILE, mmap_mode="r")[part]
        indexes = {name: NgramIndex.load(self.folder / name) for name in REASONS}
        found: dict[str, list[Hits]] = {name: [] for name in REASONS}
        for records, texts in self.sifted.batches(part.start + np.flatnonzero(sides == TRAIN)):
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
    corpus: Corpus, benchmarks: Sifted, settings: Contamination, folder: Path, where: Where, report: Report
) -> dict[str, Any]:
    """Take the leaking documents out of the training side; returns what was found, for the report. `benchmarks`: the
    benchmarks' items, as the first pass left them."""
    folder = folder / "scan"
    folder.mkdir()
    words = settings.ngram_words
    indexes = {
        "held_out": build_index(_held_out_batches(corpus), words, folder / "held_out"),
        "benchmark": build_index(_benchmark_batches(benchmarks), words, folder / "benchmark"),
    }
    np.save(folder / SIDES_FILE, corpus.side)
    training_documents = int((corpus.side == TRAIN).sum())
    run_pass(Scan(folder, corpus.sifted), where, report)
    found = {
        name: _resolve(corpus, name, index, folder, settings) | {"training_documents": training_documents}
        for name, index in indexes.items()
    }
    shutil.rmtree(folder)
    return found


def _held_out_batches(corpus: Corpus) -> Iterator[tuple[pa.Array, TextBatch]]:
    for unit in range(corpus.sifted.units):
        records = corpus.on_side(unit, VALIDATION, TEST)
        for some, rows in corpus.sifted.some(records, ["id", "text"]):
            yield corpus.repeats.unique(some, rows["id"]), TextBatch(rows["text"])


def _benchmark_batches(benchmarks: Sifted) -> Iterator[tuple[pa.Array, TextBatch]]:
    for _, rows in benchmarks.every(["id", "text"]):
        readable = rows.filter(pc.is_valid(rows["text"]))
        yield readable["id"].combine_chunks(), TextBatch(readable["text"])


def require_text(benchmarks: Sifted, sources: Sequence[str]) -> None:
    """Fault where a benchmark has no text that could be read: a corpus would be certified against nothing. `sources`:
    the name of each unit's source."""
    readable: Counter[str] = Counter()
    for unit, name in enumerate(sources):
        readable[name] += sum(rows["reason"].null_count for _, rows in benchmarks.groups(unit, ["reason"]))
    for name, count in readable.items():
        if not count:
            raise Fault(
                f"no text could be read from the benchmark {name!r}",
                where=f"sources.{name}",
                hint="check its files, and the field that text: names",
            )


def _hits(folder: Path, name: str, units: int) -> Iterator[Hits]:
    """What the scan found with an index, unit by unit."""
    for unit in range(units):
        with np.load(folder / f"{name}-{unit:05d}.npz") as arrays:
            yield Hits(**{f.name: arrays[f.name] for f in fields(Hits)})


def _fold(parts: Iterable[Hits], common_in: int) -> tuple[Hits, Int64s, Int64s]:
    """(hits, n-grams, training documents that hold each): of a common n-gram, only the hits that show it to be one."""
    kept, ngrams, counts = [], np.zeros(0, np.int64), np.zeros(0, np.int64)
    for hits in parts:
        before = _count_of(hits.ngram, ngrams, counts)
        few = np.flatnonzero(before <= common_in)
        kept.append(Hits(*(getattr(hits, f.name)[few] for f in fields(Hits))))
        every = np.concatenate((ngrams, hits.ngram))
        ngrams, place = np.unique(every, return_inverse=True)
        weights = np.concatenate((counts, np.ones(len(hits), np.int64)))
        counts = np.bincount(place, weights, minlength=len(ngrams)).astype(np.int64)
    return Hits.joined(kept), ngrams, counts


def _count_of(wanted: Int64s, ngrams: Int64s, counts: Int64s) -> Int64s:
    """How many documents hold each wanted n-gram so far; `ngrams` ascend."""
    at = positions(wanted, ngrams)
    return np.where(at < 0, 0, np.append(counts, 0)[at])


def _leaks(folder: Path, name: str, units: int, common_in: int) -> tuple[Leaks, CommonPhrases]:
    hits, ngrams, counts = _fold(_hits(folder, name, units), common_in)
    leaks, common = resolve(hits, common_in)
    common = replace(common, n_documents=_count_of(common.ngram, ngrams, counts))
    order = np.lexsort((common.ngram, -common.n_documents))
    return leaks, CommonPhrases(*(getattr(common, f.name)[order] for f in fields(CommonPhrases)))


def _resolve(corpus: Corpus, name: str, index: NgramIndex, folder: Path, settings: Contamination) -> dict[str, Any]:
    """Remove the leaks an index finds, unless another index has removed them already."""
    leaks, common = _leaks(folder, name, corpus.sifted.units, settings.common_in)
    new = np.flatnonzero(corpus.kept[leaks.document])
    words = _quotes(corpus, index, leaks.document[new], leaks.word[new], leaks.ngram[new])
    evidence = [
        f"{quoted!r} stands in {index.owner_of(int(leaks.ngram[i]))} "
        f"({leaks.n_hits[i]} n-grams, {leaks.share[i]:.1%} of the document)"
        for i, quoted in zip(new.tolist(), words, strict=True)
    ]
    corpus.leave(leaks.document[new], REASONS[name], evidence)
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
    for some, texts in corpus.sifted.batches(distinct(records)):
        batch = TextBatch(texts)
        low, high = np.searchsorted(records[order], [some[0], some[-1] + 1])
        for i in order[low:high].tolist():
            at = int(np.searchsorted(some, records[i]))
            quoted[i] = phrase(batch, at, int(words[i]), int(index.n_words[ngrams[i]]))
    return quoted
