"""Passages that stand in several training documents: found, reported, and cut where the recipe says so.

    training texts ─anchors▶ ┐   ┌▶ runs of documents that share one ─▶ ┐  ┌▶ figures, edits, documents that leave
       parallel by unit      └ sort ┘        parallel by unit           └ sort ┘      parallel by unit

curate/dedup/spans.py says what counts as what. The first sweep reads every training text, the second those that share
an anchor, the third those that hold a repeated span. Whether anything is cut or not, it comes after splits and
decontamination: held-out text is not looked at and not touched.

A document of which no word is left leaves; of any other its edited text stands in the folder `edits`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.contamination import phrase
from curate.cutting import without
from curate.dedup.anchors import anchored_runs, anchors
from curate.dedup.partitions import distinct
from curate.dedup.spans import HOLDER, RECORD, WORD, WORDS, Found, find, shared_anchors
from curate.engine import Pass, Report, Tally, Where, run_pass
from curate.passes.decide import Corpus
from curate.passes.edits import Edits
from curate.passes.sifted import Int64s, Sifted
from curate.settings import Duplicates
from curate.shards.seal import write_json
from curate.split import TRAIN
from curate.text import TextBatch, UInt64s

FOUND = "spans.json"
EDITS = "edits"
REASON = "repeated_spans"
SAMPLE_WORDS = 60
SMALL_BYTES = 32 << 20  # of training text, which one process sweeps in less than half a second
DOUBLINGS = 7  # of a span's length: 40 to 79 words, 80 to 159, ...


def find_repeated(corpus: Corpus, settings: Duplicates, seed: int, folder: Path, where: Where, report: Report) -> None:
    """Writes figures for the report into `folder`. Where spans are to be cut, so are the edits, and documents leave."""
    of, scratch, sifted = settings.spans, corpus.scratch / "spans", corpus.sifted
    scratch.mkdir()
    np.save(scratch / "sides.npy", corpus.side)
    is_small = corpus.amount(corpus.side == TRAIN)[1] < SMALL_BYTES

    def run(step: Pass) -> None:
        if is_small:
            _run_here(step)
        else:
            run_pass(step, where, report)

    first, second, third = (scratch / f"sweep-{n}" for n in (1, 2, 3))
    run(Anchors(first, sifted, of.words))
    n_anchors = _count(first, 2)
    items, shared = shared_anchors(_entries(first, sifted.units, 2), n_anchors, len(sifted), scratch)
    np.save(scratch / "items.npy", items)
    np.save(scratch / "shared.npy", shared)
    run(Runs(second, sifted, of.words))
    rank, n_runs = _ranks(corpus, items, scratch), _count(second, 3)
    found = find(_entries(second, sifted.units, 3), n_runs, items, rank, of.words, scratch)
    run(Cut(third, sifted, found, folder / EDITS, settings, seed))
    _leave(corpus, third)
    told = {"words": of.words, "action": of.action} | _figures(corpus, first, third, of.words)
    write_json(folder / FOUND, told | {"most_repeated": _listed(corpus, found)})


def _run_here(step: Pass) -> None:
    """All units, in this process: of little text, starting workers is most of the work."""
    for rank in range(step.tasks):
        with Tally.at(step.engine, rank) as tally:
            step.unit(rank, tally)


class Anchors(Pass):
    name = "spans"

    def __init__(self, folder: Path, sifted: Sifted, words: int) -> None:
        """Beside `folder` lies the side of every record."""
        super().__init__(folder, sifted.units)
        self.sifted, self.words = sifted, words

    def unit(self, rank: int, tally: Tally) -> None:
        part = self.sifted.records_of(rank)
        sides = np.load(self.folder.with_name("sides.npy"), mmap_mode="r")[part]
        with _entries_file(self.folder, rank).open("wb") as file:
            for records, texts in self.sifted.batches(part.start + np.flatnonzero(sides == TRAIN)):
                batch = TextBatch(texts)
                of, anchor = anchors(batch, self.words)
                file.write(np.stack((anchor, records[of].astype(np.uint64)), axis=1).data)
                tally.add(len(records), int(batch.n_bytes.sum()))
        _tell(self.folder, rank, {"documents": tally.documents, "bytes": tally.n_bytes})


class Runs(Pass):
    name = "spans"

    def __init__(self, folder: Path, sifted: Sifted, words: int) -> None:
        """Beside `folder` lie the records to look at and the filter of the anchors that they share."""
        super().__init__(folder, sifted.units)
        self.sifted, self.words = sifted, words

    def unit(self, rank: int, tally: Tally) -> None:
        items, shared = (np.load(self.folder.with_name(f"{name}.npy"), mmap_mode="r") for name in ("items", "shared"))
        part = self.sifted.records_of(rank)
        first, stop = np.searchsorted(items, [part.start, part.stop])
        with _entries_file(self.folder, rank).open("wb") as file:
            for records, texts in self.sifted.batches(np.array(items[first:stop])):
                batch = TextBatch(texts)
                of, word, run = anchored_runs(batch, self.words, shared)
                item = np.searchsorted(items, records)[of]
                file.write(np.stack((run, item.astype(np.uint64), word.astype(np.uint64)), axis=1).data)
                tally.add(len(records), int(batch.n_bytes.sum()))


class Cut(Pass):
    name = "spans"

    def __init__(
        self, folder: Path, sifted: Sifted, found: Found, edits: Path, settings: Duplicates, seed: int
    ) -> None:
        """Beside `folder` lie the files of what was found."""
        super().__init__(folder, sifted.units)
        self.sifted, self.edits, self.settings, self.seed = sifted, edits, settings, seed
        self.spans_at, self.copies_at = (  # (units + 1,) those of a unit
            np.searchsorted(part[:, RECORD], sifted.first_row) for part in (found.spans, found.copies)
        )

    def unit(self, rank: int, tally: Tally) -> None:
        found = Found.load(self.folder.parent, [])
        spans = np.array(found.spans[self.spans_at[rank] : self.spans_at[rank + 1]])
        copies = np.array(found.copies[self.copies_at[rank] : self.copies_at[rank + 1]])
        first, is_cut = self.sifted.records_of(rank).start, self.settings.spans.action == "remove"
        figures, left = _Figures(self.settings.spans.words), [np.zeros((0, 3), np.int64)]
        with Edits(self.edits, rank, self.settings, self.seed) as edits:
            for records, texts in self.sifted.batches(distinct(spans[:, RECORD])):
                batch = TextBatch(texts)
                figures.add(batch, records, _of(spans, records))
                if is_cut:
                    here, whole, remains = _cut(batch, records, _of(copies, records))
                    edits.write(records[here] - first, remains.array, batch.n_bytes[here])
                    figures.add_cut(batch.n_bytes[here], remains.n_bytes, len(whole))
                    left.append(whole)
                tally.add(len(records), int(batch.n_bytes.sum()))
        np.save(self.folder / f"left-{rank:05d}.npy", np.concatenate(left))
        _tell(self.folder, rank, figures.numbers())


def _of(stretches: Int64s, records: Int64s) -> Int64s:
    """Those of some records: of the first to the last, all that have any."""
    low, high = np.searchsorted(stretches[:, RECORD], [records[0], records[-1] + 1])
    return stretches[low:high]


def _cut(batch: TextBatch, records: Int64s, copies: Int64s) -> tuple[Int64s, Int64s, TextBatch]:
    """(documents that are cut, what leaves (l, 3): record, words and a holder; the texts that remain of the former)."""
    document = np.searchsorted(records, copies[:, RECORD])
    n_words = np.diff(batch.words.first)
    is_whole = copies[:, WORDS] == n_words[document]
    partly, document = copies[~is_whole], document[~is_whole]
    here = distinct(document)
    texts = []
    for one, stretches in zip(here.tolist(), np.split(partly, np.flatnonzero(np.diff(document)) + 1), strict=False):
        texts.append(without(batch, one, [(row[WORD], row[WORDS]) for row in stretches.tolist()]))
    return here, copies[is_whole][:, [RECORD, WORDS, HOLDER]], TextBatch.of(texts)


class _Figures:
    """What was found in a unit, and what became of it."""

    def __init__(self, words: int) -> None:
        self.edges = words << np.arange(DOUBLINGS)
        self.lengths = np.zeros(DOUBLINGS, np.int64)
        self.documents = self.words = self.bytes = 0
        self.documents_cut = self.bytes_cut = self.documents_left = 0

    def add(self, batch: TextBatch, records: Int64s, spans: Int64s) -> None:
        document = np.searchsorted(records, spans[:, RECORD])
        begin = batch.words.first[document] + spans[:, WORD]
        self.documents += len(records)
        self.words += int(spans[:, WORDS].sum())
        self.bytes += int((batch.words.end[begin + spans[:, WORDS] - 1] - batch.words.start[begin]).sum())
        self.lengths += np.bincount(np.searchsorted(self.edges, spans[:, WORDS], "right") - 1, minlength=DOUBLINGS)

    def add_cut(self, before: Int64s, after: Int64s, left: int) -> None:
        self.documents_cut += len(before)
        self.bytes_cut += int(before.sum() - after.sum())
        self.documents_left += left

    def numbers(self) -> dict[str, Any]:
        return {
            "documents_with_spans": self.documents,
            "spans": int(self.lengths.sum()),
            "span_words": self.words,
            "span_bytes": self.bytes,
            "documents_cut": self.documents_cut,
            "bytes_cut": self.bytes_cut,
            "documents_left": self.documents_left,
            "lengths": self.lengths.tolist(),
        }


def _leave(corpus: Corpus, folder: Path) -> None:
    """Take the documents out of which nothing remains."""
    left = np.concatenate([np.load(folder / f"left-{unit:05d}.npy") for unit in range(corpus.sifted.units)])
    holders = distinct(left[:, 2])
    names = pa.concat_arrays([pa.array([], pa.large_string()), *corpus.ids(holders)])
    evidence = [
        f"all of its {words:,} words stand in other documents too, some of them in {names[at].as_py()}"
        for words, at in zip(left[:, 1].tolist(), np.searchsorted(holders, left[:, 2]).tolist(), strict=True)
    ]
    corpus.leave(left[:, 0], REASON, evidence)


def _figures(corpus: Corpus, searched_in: Path, found_in: Path, words: int) -> dict[str, Any]:
    """By source, and how long the spans are."""
    lengths = np.zeros(DOUBLINGS, np.int64)
    by_source: dict[str, dict[str, int]] = {}
    for unit, source in enumerate(corpus.sources):
        searched, found = _told(searched_in, unit), _told(found_in, unit)
        lengths += found.pop("lengths")
        row = by_source.setdefault(source.name, dict.fromkeys([*searched, *found], 0))
        for name, value in (searched | found).items():
            row[name] += value
    return {
        "by_source": [{"source": name} | row for name, row in by_source.items() if row["documents"]],
        "lengths": [{"words_from": words << k, "spans": int(n)} for k, n in enumerate(lengths)],
    }


def _listed(corpus: Corpus, found: Found) -> list[dict[str, Any]]:
    """The passages most repeated, with the words they begin with and two documents that hold them."""
    records = distinct(np.array([record for one in found.passages for record in (one.record, one.another)], np.int64))
    names: dict[int, str] = {}
    texts: dict[int, str] = {}
    for some, rows in corpus.sifted.some(records, ["id", "text"]):
        names |= dict(zip(some.tolist(), corpus.repeats.unique(some, rows["id"]).to_pylist(), strict=True))
        batch = TextBatch(rows["text"])
        for at, one in enumerate(found.passages):
            if one.record in names and at not in texts:
                document = int(np.searchsorted(some, one.record))
                texts[at] = phrase(batch, document, one.word, min(one.words, SAMPLE_WORDS))
    return [
        {
            "text": texts[at],
            "words": one.words,
            "documents": one.documents,
            "examples": [names[one.record], names[one.another]],
        }
        for at, one in enumerate(found.passages)
    ]


def _ranks(corpus: Corpus, items: Int64s, scratch: Path) -> Int64s:
    """(m,) the place of each item in the order of their ids, which lie in a mapped file while they are sorted."""
    schema = pa.schema([("id", pa.large_string())])
    with pa.OSFile(str(scratch / "ids.arrow"), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        for some in corpus.ids(items):
            writer.write_batch(pa.record_batch([some], schema=schema))
    ids = pa.ipc.open_file(pa.memory_map(str(scratch / "ids.arrow"))).read_all()["id"]
    rank = np.empty(len(items), np.int64)
    rank[pc.sort_indices(ids).to_numpy()] = np.arange(len(items))
    return rank


# -- what sweeps leave for each other


def _entries_file(folder: Path, unit: int) -> Path:
    return folder / f"entries-{unit:05d}"


def _count(folder: Path, columns: int) -> int:
    return sum(path.stat().st_size for path in folder.glob("entries-*")) // (8 * columns)


def _entries(folder: Path, units: int, columns: int) -> Iterator[UInt64s]:
    """Of all units, in order; a unit's file is gone once it has been read."""
    for unit in range(units):
        path = _entries_file(folder, unit)
        with path.open("rb") as file:
            while len(some := np.fromfile(file, np.uint64, columns << 20)):
                yield some.reshape(-1, columns)
        path.unlink()


def _tell(folder: Path, unit: int, numbers: dict[str, Any]) -> None:
    write_json(folder / f"told-{unit:05d}.json", numbers)


def _told(folder: Path, unit: int) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / f"told-{unit:05d}.json").read_text(encoding="utf-8"))
    return told
