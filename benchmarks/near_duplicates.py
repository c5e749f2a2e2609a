r"""Pairs of near-duplicates: how many are right and how many are missed, beside datasketch, rensa and datatrove.

    python -m benchmarks.near_duplicates --data ../shared/data

Two sets whose truth is known (`neardup` in that folder): news collages with planted copies, and sections of a legal
code as they stood in two years, where boilerplate makes different sections alike. Without a folder, generated text with
copies of graded likeness. Everyone starts from the same Python strings and ends with pairs: word 5-grams, 112
permutations in 14 bands of 8, one thread.

    ours          pairs inside clusters, which grow on pairs whose exact Jaccard reaches 0.8
    ours, bands   pairs that share a band: what the others' answers are
    datasketch    pairs that MinHashLSH proposes, asked with every document
    rensa         the same of RMinHashLSH
    datatrove     pairs inside the clusters of its three steps, run in a temporary folder: what its filter goes by

A pair is right if the sets of the texts' 5-grams, by a regular expression, have a Jaccard of 0.8 or more. Recall is of
the truth's pairs that have. The libraries cut text their own ways: ours takes Unicode words, folded, datasketch and
rensa get lower-cased `\w+`, datatrove puts 0 for every number and drops marks and accents first. That ours are the
5-grams of the regular expression is checked, document by document.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
import struct
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, islice
from pathlib import Path

import datasketch
import numpy as np
import pyarrow as pa

from benchmarks.contest import Entrant, Table, Turns, Unequal, hold, parser, short, tell
from benchmarks.texts import n_bytes, synthetic
from curate.dedup.candidates import band_keys
from curate.dedup.exact import exact_keys
from curate.dedup.minhash import UInt32s, signatures
from curate.dedup.near import Bools
from curate.dedup.resolve import resolve
from curate.dedup.shingles import ShingleRecipe
from curate.settings import Duplicates
from curate.text import Int64s, TextBatch, UInt64s

SETTINGS = Duplicates(shingle_words=5, bands=14, rows=8, verify_at_least=0.8)
RECIPE, PERMUTATIONS, SEED = ShingleRecipe.of(SETTINGS), SETTINGS.bands * SETTINGS.rows, 1
GENERATED = 300  # documents, each third with a copy
DIFFERENT_AT_MOST = 0.02  # of the documents: words beyond ASCII are told apart otherwise
_WORD = re.compile(r"\w+")

Pair = tuple[int, int]  # numbers of documents, the lower first
Finder = Callable[[list[str]], set[Pair]]


def main(line: list[str] | None = None) -> None:
    asked = parser(__doc__, rounds=1)
    asked.add_argument("--data", type=Path, help="folder such as ../shared/data; else generated text")
    given = asked.parse_args(line)
    neardup = given.data / "neardup" if given.data else None
    known = [articles(neardup), code(neardup)] if neardup else [generated()]
    tell(given, [compared(one, given.rounds) for one in known])


# -- text whose pairs are known


@dataclass(frozen=True)
class Known:
    name: str
    texts: list[str]
    truth: set[Pair]
    """All pairs of a Jaccard of 0.8 or more."""

    @cached_property
    def sets(self) -> list[set[str]]:
        return [set(shingled(text)) for text in self.texts]

    def jaccard(self, pair: Pair) -> float:
        return jaccard(self.sets[pair[0]], self.sets[pair[1]])


def shingled(text: str) -> list[str]:
    words = _WORD.findall(text.lower())
    return [" ".join(words[i : i + 5]) for i in range(len(words) - 4)]


def jaccard(one: set[str], two: set[str]) -> float:
    return len(one & two) / max(1, len(one | two))


def articles(folder: Path) -> Known:
    """2,500 news collages; the truth is planted, and its list complete."""
    here = folder / "minhash_articles"
    with gzip.open(here / "articles_2500.train.gz", "rt", encoding="utf-8") as lines:
        documents = dict(line.rstrip("\n").split(" ", 1) for line in lines)
    listed = (here / "articles_2500.exact_jaccard_pairs.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return _known("news collages", documents, [line.split("\t") for line in listed])


def code(folder: Path) -> Known:
    """6,253 sections of two years; all pairs from a Jaccard of 0.3 on are listed."""
    here = folder / "dc_code_revisions"
    with gzip.open(here / "docs.jsonl.gz", "rt", encoding="utf-8") as lines:
        documents = {record["id"]: record["text"] for record in map(json.loads, lines)}
    with gzip.open(here / "pairs.tsv.gz", "rt", encoding="utf-8") as lines:
        return _known("sections of a legal code", documents, [line.split("\t") for line in islice(lines, 1, None)])


def _known(name: str, documents: dict[str, str], rows: Sequence[Sequence[str]]) -> Known:
    """`rows`: two ids and their Jaccard, with < before it where it is not worth telling."""
    number = {own: i for i, own in enumerate(documents)}
    alike = [(number[one], number[two]) for one, two, s, *_ in rows if not s.startswith("<") and float(s) >= 0.8]
    return Known(name, list(documents.values()), {(min(pair), max(pair)) for pair in alike})


def generated() -> Known:
    """Text from a seed; copies have up to one word in thirty replaced, so that they lie on both sides of the bound."""
    draw = np.random.default_rng(SEED)
    texts = []
    for number, text in enumerate(islice(synthetic(), GENERATED)):
        texts.append(text)
        if number % 3 == 0:
            words = text.split(" ")
            for at in draw.integers(0, len(words), int(draw.integers(0, len(words) // 30 + 2))):
                words[at] = f"other{at}"
            texts.append(" ".join(words))
    some = Known("generated text", texts, set())
    some.truth.update(pair for pair in combinations(range(len(texts)), 2) if some.jaccard(pair) >= 0.8)
    return some


# -- those who look for pairs


@dataclass(frozen=True)
class Held:
    """Sketches of texts in memory, as curate.dedup.resolve asks for them."""

    batch: TextBatch

    @cached_property
    def sketches(self) -> UInt32s:
        return signatures(self.batch, RECIPE, PERMUTATIONS, SEED)

    def exact_keys(self) -> Iterator[tuple[Int64s, UInt64s]]:
        yield np.arange(len(self.batch)), exact_keys(self.batch)

    def signatures(self, wanted: Bools) -> Iterator[tuple[Int64s, UInt32s]]:
        yield np.flatnonzero(wanted), self.sketches[wanted]

    def named(self, records: Int64s) -> tuple[pa.LargeStringArray, Int64s]:
        return pa.array([f"{i:09d}" for i in records], pa.large_string()), self.batch.n_chars[records]

    def shingle_sets(self, records: Int64s) -> Iterator[tuple[Int64s, Int64s, UInt64s]]:
        yield records, *RECIPE.sets(TextBatch(self.batch.array.take(pa.array(records))))


def ours(texts: list[str]) -> set[Pair]:
    with tempfile.TemporaryDirectory() as scratch:
        found = resolve(Held(TextBatch.of(texts)), np.ones(len(texts), np.bool_), SETTINGS, Path(scratch))
    return _inside(zip(found.cluster.tolist(), found.record.tolist(), strict=True))


def our_bands(texts: list[str]) -> set[Pair]:
    keys = band_keys(signatures(TextBatch.of(texts), RECIPE, PERMUTATIONS, SEED), SETTINGS.bands)
    return _inside((key, document) for document, row in enumerate(keys.tolist()) for key in row)


def by_datasketch(texts: list[str]) -> set[Pair]:
    index = datasketch.MinHashLSH(num_perm=PERMUTATIONS, params=(SETTINGS.bands, SETTINGS.rows))
    sketches = []
    for number, text in enumerate(texts):
        sketch = datasketch.MinHash(PERMUTATIONS, seed=SEED)
        sketch.update_batch([shingle.encode() for shingle in shingled(text)])
        index.insert(number, sketch)
        sketches.append(sketch)
    return _asked(index.query(sketch) for sketch in sketches)


def by_rensa(texts: list[str]) -> set[Pair]:
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(threshold=SETTINGS.verify_at_least, num_perm=PERMUTATIONS, num_bands=SETTINGS.bands)
    sketches = []
    for number, text in enumerate(texts):
        sketch = RMinHash(num_perm=PERMUTATIONS, seed=SEED)
        sketch.update(shingled(text))
        index.insert(number, sketch)
        sketches.append(sketch)
    return _asked(index.query(sketch) for sketch in sketches)


def by_datatrove(texts: list[str]) -> set[Pair]:
    """Its steps one after the other, without the executor around them."""
    from datatrove.data import Document
    from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupSignature

    from benchmarks.datatrove_chain import minhash_config
    from benchmarks.datatrove_words import Expression

    config = minhash_config()
    assert (config.n_grams, config.num_buckets, config.hashes_per_bucket) == (5, SETTINGS.bands, SETTINGS.rows)
    with tempfile.TemporaryDirectory() as folder:
        sketches, pairs, clusters = (f"{folder}/{name}" for name in ("signatures", "pairs", "clusters"))
        documents = (Document(text, str(number)) for number, text in enumerate(texts))
        MinhashDedupSignature(sketches, config, Expression()).run(documents, 0, 1)
        for band in range(SETTINGS.bands):
            MinhashDedupBuckets(sketches, pairs, config=config).run(None, band, SETTINGS.bands)
        MinhashDedupCluster(pairs, clusters, config=config, save_cluster_id=True).run(None, 0, 1)
        found = Path(clusters, "000000.clusters")
        raw = found.read_bytes() if found.exists() else b""
    return _inside((cluster, document) for document, cluster in struct.iter_unpack("<2I", raw))


def _inside(places: Iterator[Pair] | zip[Pair]) -> set[Pair]:
    """All pairs of documents with the same place; (place, document)."""
    together: dict[int, list[int]] = defaultdict(list)
    for place, document in places:
        together[place].append(document)
    return {pair for group in together.values() for pair in combinations(sorted(group), 2)}


def _asked(answers: Iterator[list[int]]) -> set[Pair]:
    """Pairs of each document and those it was answered with."""
    return {(min(i, j), max(i, j)) for i, found in enumerate(answers) for j in found if i != j}


# -- the comparison


def compared(known: Known, rounds: int) -> Table:
    same = check(known)
    finders: dict[str, Finder] = {"ours": ours, "ours, bands": our_bands, "datasketch": by_datasketch}
    if importlib.util.find_spec("rensa"):
        finders["rensa"] = by_rensa
    finders["datatrove"] = by_datatrove
    answers: dict[str, set[Pair]] = {}
    turns = hold([_entrant(name, find, known.texts, answers) for name, find in finders.items()], rounds)
    mb = n_bytes(known.texts) / 1e6
    return Table(
        f"{len(known.texts):,} {known.name}, {mb:.1f} MB, {len(known.truth):,} pairs of a Jaccard of 0.8 or more",
        (
            "who",
            "pairs found",
            "of them right",
            "precision",
            "of the truth",
            "recall",
            f"median of {rounds}, CPU",
            "MB/s",
        ),
        tuple(_row(one, answers[one.name], known, mb) for one in turns),
        (same,),
    )


def _entrant(name: str, find: Finder, texts: list[str], answers: dict[str, set[Pair]]) -> Entrant:
    def run() -> float:
        begun = time.process_time()
        answers[name] = find(texts)
        return time.process_time() - begun

    return Entrant(name, run, lambda: find(texts[:20]))


def _row(turns: Turns, found: set[Pair], known: Known, mb: float) -> tuple[str, ...]:
    right = sum(known.jaccard(pair) >= SETTINGS.verify_at_least for pair in found)
    of_truth = len(found & known.truth)
    precision = f"{right / len(found):.4f}" if found else "none found"
    recall = f"{of_truth / len(known.truth):.4f}" if known.truth else "none to find"
    seconds = (f"{short(turns.median)} s", short(mb / turns.median) if turns.median else "")
    return turns.name, f"{len(found):,}", f"{right:,}", precision, f"{of_truth:,}", recall, *seconds


def check(known: Known) -> str:
    """Raises Unequal where our 5-grams are not those that the peers are given."""
    offsets, _ = RECIPE.sets(TextBatch.of(known.texts))
    differ = sum(int(n) != len(one) for n, one in zip(np.diff(offsets), known.sets, strict=True))
    if differ > DIFFERENT_AT_MOST * len(known.texts):
        raise Unequal(f"{differ:,} of {len(known.texts):,} documents have other 5-grams for us than for the peers")
    return f"The same documents for everyone; {len(known.texts) - differ:,} have as many different 5-grams for us."


if __name__ == "__main__":
    main()
