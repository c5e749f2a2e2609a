"""Pass 4: training text against held-out text and benchmarks. Index the few, scan the many, remove what leaks.

held-out documents, benchmark items ─▶ an n-gram index for each rule ─▶ scan (parallel by unit) ─▶ leaks, common phrases

The sides are bytes that all workers map. What a rule finds in a unit lies in a file; of an n-gram that stands in more
training documents than a common phrase may, only the count is kept, so what is held grows with the leaks and not with a
licence line that everybody quotes.

Every leak is recorded by `leak_records`, a document that leaks from both kinds or by both rules several times; it
leaves for the first: held-out before benchmark text, the first rule before the second.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.contamination import CommonPhrases, Counts, Found, Leaks, Rule, resolve, rules_of
from curate.engine import Pass, Report, Tally, Where, run_pass
from curate.ngram_index import Hits, NgramIndex
from curate.passes.decide import Corpus
from curate.passes.held_out_index import build_index
from curate.passes.leak_records import LeakRecords, quotes, said
from curate.passes.sifted import Sifted
from curate.settings import Contamination
from curate.shards.fault import Fault
from curate.split import TEST, TRAIN, VALIDATION
from curate.text import TextBatch
from curate.written_forms import as_one_form

REASONS = {"held_out": "held_out_overlap", "benchmark": "benchmark_overlap"}
PHRASES_LISTED = 50
SIDES_FILE = "sides.npy"


class Scan(Pass):
    name = "scan"

    def __init__(self, folder: Path, sifted: Sifted, rules: Sequence[Rule]) -> None:
        """`folder` holds the indexes, by role and rule, and the side of every record."""
        super().__init__(folder, sifted.units)
        self.sifted, self.rules = sifted, rules

    def unit(self, rank: int, tally: Tally) -> None:
        part = self.sifted.records_of(rank)
        sides = np.load(self.folder / SIDES_FILE, mmap_mode="r")[part]
        indexes = {
            (role, rule): NgramIndex.load(self.folder / _name(role, rule)) for role in REASONS for rule in self.rules
        }
        found: dict[tuple[str, Rule], list[Found]] = {both: [] for both in indexes}
        for records, texts in self.sifted.batches(part.start + np.flatnonzero(sides == TRAIN)):
            batch = as_one_form(texts)
            for (role, rule), index in indexes.items():
                if len(index):
                    found[role, rule].append(rule.scan(index, batch).numbered(records))
            tally.add(len(records), int(batch.n_bytes.sum()))
        for (role, rule), parts in found.items():
            _save(_found_file(self.folder, role, rule, rank), Found.joined(parts))


def decontaminate(
    corpus: Corpus, benchmarks: Sifted, settings: Contamination, folder: Path, where: Where, report: Report
) -> dict[str, Any]:
    """Take the leaking documents out of the training side, and record each leak in `folder`/contamination; returns what
    was found, for the report. `benchmarks`: the benchmarks' items, as the first pass left them."""
    scratch = folder / "scan"
    scratch.mkdir()
    rules = rules_of(settings)
    texts = {"held_out": lambda: _held_out_batches(corpus), "benchmark": lambda: _benchmark_batches(benchmarks)}
    indexes = {
        (role, rule): build_index(batches(), rule.words, rule.shortest, scratch / _name(role, rule))
        for role, batches in texts.items()
        for rule in rules
    }
    np.save(scratch / SIDES_FILE, corpus.side)
    trained_on = _by_source(corpus, np.flatnonzero(corpus.side == TRAIN))
    run_pass(Scan(scratch, corpus.sifted, rules), where, report)
    with LeakRecords(folder / "contamination") as records:
        resolving = _Resolving(corpus, settings, scratch, records)
        found = {
            role: {
                "indexed_documents": len(indexes[role, rules[0]].owners),
                "too_short_to_index": indexes[role, rules[0]].too_short,
                "common_in": settings.common_in,
                "training_documents": sum(trained_on.values()),
                "by_source": trained_on,
                "rules": [resolving.rule(role, rule, indexes[role, rule]) for rule in rules],
            }
            for role in texts
        }
    shutil.rmtree(scratch)
    return found


def _name(role: str, rule: Rule) -> str:
    return f"{role}-{rule.name}"


def _by_source(corpus: Corpus, records: np.ndarray) -> dict[str, int]:
    """How many of some records each source that has any of them has."""
    units = np.searchsorted(corpus.sifted.first_row, records, side="right") - 1
    counts: Counter[str] = Counter()
    for source, n in zip(corpus.sources, np.bincount(units, minlength=len(corpus.sources)).tolist(), strict=True):
        counts[source.name] += n
    return {name: n for name, n in sorted(counts.items()) if n}


def _held_out_batches(corpus: Corpus) -> Iterator[tuple[pa.Array, TextBatch]]:
    for unit in range(corpus.sifted.units):
        records = corpus.on_side(unit, VALIDATION, TEST)
        for some, rows in corpus.sifted.some(records, ["id", "text"]):
            yield corpus.repeats.unique(some, rows["id"]), as_one_form(rows["text"])


def _benchmark_batches(benchmarks: Sifted) -> Iterator[tuple[pa.Array, TextBatch]]:
    for _, rows in benchmarks.every(["id", "text"]):
        readable = rows.filter(pc.is_valid(rows["text"]))
        yield readable["id"].combine_chunks(), as_one_form(readable["text"])


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


# -- what the workers leave


def _found_file(folder: Path, role: str, rule: Rule, rank: int) -> Path:
    return folder / f"{_name(role, rule)}-{rank:05d}.npz"


def _save(path: Path, found: Found) -> None:
    hits = {f.name: getattr(found.hits, f.name) for f in fields(Hits)}
    with path.open("wb") as file:
        np.savez(file, **hits, counted=found.counts.ngram, documents=found.counts.documents)


def _load(path: Path) -> Found:
    with np.load(path) as arrays:
        hits = Hits(**{f.name: arrays[f.name] for f in fields(Hits)})
        return Found(hits, Counts(arrays["counted"], arrays["documents"]))


# -- what becomes of it


class _Resolving:
    """Takes the leaks of one rule and role after another."""

    def __init__(self, corpus: Corpus, settings: Contamination, folder: Path, records: LeakRecords) -> None:
        self.corpus, self.settings, self.folder, self.records = corpus, settings, folder, records

    def rule(self, role: str, rule: Rule, index: NgramIndex) -> dict[str, Any]:
        """Remove the leaks that a rule finds, unless others have removed them already; says what was found."""
        files = (_found_file(self.folder, role, rule, unit) for unit in range(self.corpus.sifted.units))
        found = Found.gathered(map(_load, files), self.settings.common_in)
        leaks, common = resolve(rule, index, found, self.settings.common_in)
        new = self.corpus.kept[leaks.document]
        told = self._tell(role, rule, index, leaks)
        self.corpus.leave(
            leaks.document[new], REASONS[role], [one for one, is_new in zip(told, new, strict=True) if is_new]
        )
        return {
            "rule": rule.name,
            "words": rule.words,
            "at_least": rule.at_least,
            "indexed_ngrams": len(index),
            "found": len(leaks.document),
            "removed": int(new.sum()),
            "removed_by_source": _by_source(self.corpus, leaks.document[new]),
            "common_ngrams": len(common.ngram),
            "common_phrases": self._phrases(index, common),
        }

    def _tell(self, role: str, rule: Rule, index: NgramIndex, leaks: Leaks) -> list[str]:
        """Records the leaks; the evidence of each."""
        words = quotes(self.corpus.sifted, leaks.document, leaks.word, index.n_words[leaks.ngram])
        items = index.owners.take(pa.array(leaks.item))
        ids = pa.concat_arrays([pa.array([], pa.large_string()), *self.corpus.ids(leaks.document)])
        self.records.add(ids, items, role, rule, words, index.n_words[leaks.ngram], leaks)
        return [
            said(rule, *one)
            for one in zip(words, items.to_pylist(), leaks.n_hits.tolist(), leaks.score.tolist(), strict=True)
        ]

    def _phrases(self, index: NgramIndex, common: CommonPhrases) -> list[dict[str, Any]]:
        at = slice(PHRASES_LISTED)
        words = quotes(self.corpus.sifted, common.document[at], common.word[at], index.n_words[common.ngram[at]])
        return [
            {"phrase": quoted, "training_documents": n}
            for quoted, n in zip(words, common.n_documents[at].tolist(), strict=True)
        ]
