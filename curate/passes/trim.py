"""Pass 3: boilerplate, counted, cut or masked. Each source for itself.

    texts ─count (curate/passes/passages.py)▶ what stands in many documents ─trim, by unit▶ edits, verdicts

The texts are read once to be counted, and once more where something is to be cut. Copies of a document are trimmed as
it is, so they stay copies; held-out documents as those for training, for the corpus is what it is. Benchmarks are not.
A document of which nothing would be left is not cut, it leaves.

The folder that is filled holds `texts/` (edits), `judged/` where documents may have left, and `boilerplate.json`: what
was found, for the report.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from curate.boilerplate import MASK, Counts, Passages, are_among, without
from curate.engine import Pass, Tally
from curate.passes.edits import Edits, leave
from curate.passes.passages import (
    COPY,
    COUNTED,
    Boiler,
    CountPassages,
    find_boilerplate,
    mark,
    quoted,
    scratch,
    texts_of,
)
from curate.passes.sifted import Int64s, Sifted
from curate.settings import Boilerplate, Duplicates
from curate.shards.seal import write_json
from curate.text import TextBatch, UInt64s

FOUND = "boilerplate.json"
STAGE, REASON = "boilerplate", "only_boilerplate"
SHOWN = 50  # passages
SHOWN_CHARS = 400


def trim(
    folder: Path,
    sifted: Sifted,
    judged: Path,
    names: Sequence[str],
    settings: Duplicates,
    seed: int,
    run: Callable[[Pass], None],
) -> None:
    """Fill `folder`, going on where a run that was killed had got to. `names`: of each unit's source."""
    if (folder / FOUND).exists():
        return
    scratch(folder).mkdir(exist_ok=True)
    mark(folder, sifted, judged, names)
    of = settings.boilerplate
    run(CountPassages(folder, sifted, of))
    found = list(find_boilerplate(folder, sifted, names, of))
    for one in found:
        np.save(_keys(folder, one.source), one.passages.key)
    if of.action != "count":
        run(Trim(folder, sifted, judged, names, settings, seed))
    write_json(folder / FOUND, _figures(folder, sifted, names, of, found))


def trimmed(sifted: Sifted, judged: Path, folder: Path) -> tuple[Sifted, Path]:
    """(texts, verdicts) that the later passes go on with."""
    anew = folder / "judged"
    return sifted.edited(folder / "texts"), anew if anew.exists() else judged


class Trim(Pass):
    name = "trim"

    def __init__(
        self, folder: Path, sifted: Sifted, judged: Path, names: Sequence[str], settings: Duplicates, seed: int
    ) -> None:
        super().__init__(folder, sifted.units)
        self.sifted, self.judged, self.names, self.settings, self.seed = sifted, judged, tuple(names), settings, seed

    def unit(self, rank: int, tally: Tally) -> None:
        first, source = self.sifted.records_of(rank).start, self.names[rank]
        keys = np.load(_keys(self.folder, source))
        left = [np.zeros(0, np.int64)]
        touched = cut = 0
        with Edits(self.folder / "texts", rank, self.settings, self.seed) as edits:
            for records, batch in texts_of(self.sifted, self.folder, rank, COUNTED, COPY):
                here, texts, gone = self._trimmed(batch, keys)
                edits.write(records[here] - first, texts.array, batch.n_bytes[here])
                left.append(records[gone] - first)
                touched += len(here)
                cut += int(batch.n_bytes[here].sum() - texts.n_bytes.sum())
                tally.add(len(records), int(batch.n_bytes.sum()))
        rows, of = np.concatenate(left), self.settings.boilerplate
        if of.action == "remove":
            evidence = [f"every {of.unit} of it stands in many documents of {source}"] * len(rows)
            leave(self.judged, self.folder / "judged", rank, rows, STAGE, REASON, evidence)
        write_json(_tally(self.folder, rank), {"touched": touched, "bytes_cut": cut, "left": len(rows)})

    def _trimmed(self, batch: TextBatch, keys: UInt64s) -> tuple[Int64s, TextBatch, Int64s]:
        """(documents that are edited, their texts, documents of which nothing is left)."""
        of = self.settings.boilerplate
        passages = Passages.of(batch, of.unit)
        leaves = (passages.words >= of.words) & are_among(passages.key, keys)
        n = np.diff(np.concatenate(([0], np.cumsum(leaves)))[passages.first])
        is_gone = (n == np.diff(passages.first)) & (of.action == "remove") & (n > 0)
        here = np.flatnonzero((n > 0) & ~is_gone)
        texts = without(batch, passages, leaves, MASK if of.action == "mask" else "")
        return here, TextBatch(texts.take(here)), np.flatnonzero(is_gone)


def _figures(
    folder: Path, sifted: Sifted, names: Sequence[str], of: Boilerplate, found: Sequence[Boiler]
) -> dict[str, Any]:
    """What is told of it all. Of a source: documents and passages that were found, and what became of them."""
    sums = {one.source: Counter(touched=0, bytes_cut=0, left=0) for one in found}
    if of.action != "count":
        for unit, name in enumerate(names):
            sums[name].update(json.loads(_tally(folder, unit).read_text(encoding="utf-8")))
    return {
        "unit": of.unit,
        "action": of.action,
        "words": of.words,
        "by_source": [
            {
                "source": one.source,
                "documents": one.documents,
                "bound": one.bound,
                "passages": len(one.passages),
                "bytes": int(one.passages.n_bytes.sum()),
                **sums[one.source],
            }
            for one in found
        ],
        "shown": _shown(sifted, of.unit, found),
    }


def _shown(sifted: Sifted, unit: str, found: Sequence[Boiler]) -> list[dict[str, Any]]:
    """The passages that stand in the most documents."""
    rows = [(source.source, source.passages, at) for source in found for at in _most(source.passages)]
    rows.sort(key=lambda row: (-row[1].documents[row[2]], -row[1].n_bytes[row[2]], row[0], row[1].key[row[2]]))
    rows = rows[:SHOWN]
    records = np.array([counts.record[at] for _, counts, at in rows], np.int64)
    keys = np.array([counts.key[at] for _, counts, at in rows], np.uint64)
    return [
        {
            "text": text[:SHOWN_CHARS],
            "source": source,
            "documents": int(counts.documents[at]),
            "bytes": int(counts.n_bytes[at]),
        }
        for text, (source, counts, at) in zip(quoted(sifted, records, keys, unit), rows, strict=True)
    ]


def _most(counts: Counts) -> list[int]:
    order = np.lexsort((counts.key, -counts.n_bytes, -counts.documents))
    return [int(at) for at in order[:SHOWN]]


def _keys(folder: Path, source: str) -> Path:
    return scratch(folder) / f"found-{source}.npy"


def _tally(folder: Path, unit: int) -> Path:
    return scratch(folder) / f"trimmed-{unit:05d}.json"
