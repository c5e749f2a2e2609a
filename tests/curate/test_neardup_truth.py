"""Near-duplicates with ground truth: every planted pair of articles, all revisions of a legal code, and nothing else.

The truth is not ours: planted pairs, and lists of all pairs above a Jaccard that were made apart from this code
(../shared/data/neardup). What is found is held against Jaccards of the texts, by words of a regular expression.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from curate.dedup.exact import exact_keys
from curate.dedup.minhash import UInt32s, signatures
from curate.dedup.near import Bools
from curate.dedup.resolve import EXACT, NEAR, NOT_REMOVED, Resolution, resolve
from curate.dedup.shingles import ShingleRecipe
from curate.settings import Duplicates
from curate.text import Int64s, TextBatch, UInt64s

pytestmark = pytest.mark.real

SETTINGS = Duplicates()
Pair = frozenset[str]


@dataclass(frozen=True)
class Held:
    """Sketches of texts in memory."""

    documents: dict[str, str]
    given: Duplicates

    @cached_property
    def batch(self) -> TextBatch:
        return TextBatch.of(list(self.documents.values()))

    @cached_property
    def ids(self) -> list[str]:
        return list(self.documents)

    def exact_keys(self) -> Iterator[tuple[Int64s, UInt64s]]:
        yield np.arange(len(self.ids)), exact_keys(self.batch)

    def signatures(self, wanted: Bools) -> Iterator[tuple[Int64s, UInt32s]]:
        recipe, permutations = ShingleRecipe.of(self.given), self.given.bands * self.given.rows
        yield np.flatnonzero(wanted), signatures(self.batch, recipe, permutations, 1)[wanted]

    def named(self, records: Int64s) -> tuple[pa.LargeStringArray, Int64s]:
        chars = self.batch.n_chars[records]
        return pa.array([self.ids[i] for i in records], pa.large_string()), chars

    def shingle_sets(self, records: Int64s) -> Iterator[tuple[Int64s, Int64s, UInt64s]]:
        texts = TextBatch(self.batch.array.take(pa.array(records)))
        yield records, *ShingleRecipe.of(self.given).sets(texts)


@dataclass(frozen=True)
class Answer:
    together: set[Pair]
    """Pairs that stand in one cluster."""
    left: list[tuple[str, str, float]]
    """(document that left, the one that stays for it, similarity)."""
    found: Resolution


def answer(documents: dict[str, str], scratch: Path, given: Duplicates = SETTINGS) -> Answer:
    sketches = Held(documents, given)
    found = resolve(sketches, np.ones(len(documents), np.bool_), given, scratch)
    members: dict[int, list[str]] = {}
    for record, cluster in zip(found.record.tolist(), found.cluster.tolist(), strict=True):
        members.setdefault(cluster, []).append(sketches.ids[record])
    left = np.flatnonzero(found.level != NOT_REMOVED)
    return Answer(
        {frozenset(pair) for group in members.values() for pair in combinations(group, 2)},
        [
            (sketches.ids[found.record[i]], sketches.ids[found.duplicate_of[i]], float(found.similarity[i]))
            for i in left
        ],
        found,
    )


def shingled(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)} or {tuple(words)}


def jaccard(one: str, two: str) -> float:
    a, b = shingled(one), shingled(two)
    return len(a & b) / len(a | b)


@pytest.mark.parametrize(
    ("name", "planted"), [("articles_100.train", 5), ("articles_1000.train", 10), ("articles_2500.train.gz", 20)]
)
def test_every_planted_article_pair_is_found_and_no_other(
    shared_data: Path, tmp_path: Path, name: str, planted: int
) -> None:
    folder = shared_data / "neardup" / "minhash_articles"
    raw = (folder / name).read_bytes()
    lines = (gzip.decompress(raw) if name.endswith(".gz") else raw).decode().splitlines()
    documents = dict(line.split(" ", 1) for line in lines)
    truth = {frozenset(line.split()) for line in (folder / f"{name.split('.')[0]}.truth").read_text().splitlines()}
    assert len(truth) == planted
    told = answer(documents, tmp_path)
    assert told.together == truth
    assert {frozenset(row[:2]) for row in told.left} == truth
    for one, two, similarity in told.left:
        assert similarity == pytest.approx(jaccard(documents[one], documents[two]), abs=1e-6)
        assert similarity >= 0.8


@dataclass(frozen=True)
class Code:
    documents: dict[str, str]
    jaccards: dict[Pair, float]
    """All pairs from 0.3 on, and every two versions of a section."""
    relations: dict[Pair, str]

    @classmethod
    def read(cls, folder: Path) -> Code:
        with gzip.open(folder / "docs.jsonl.gz", "rt") as file:
            documents = {record["id"]: record["text"] for record in map(json.loads, file)}
        with gzip.open(folder / "pairs.tsv.gz", "rt") as file:
            rows = [line.rstrip("\n").split("\t") for line in file][1:]
        pairs = [frozenset(row[:2]) for row in rows]
        jaccards = [0.0 if row[2].startswith("<") else float(row[2]) for row in rows]
        return cls(
            documents,
            dict(zip(pairs, jaccards, strict=True)),
            dict(zip(pairs, (row[3] for row in rows), strict=True)),
        )


@pytest.fixture(scope="module")
def code(shared_data: Path) -> Code:
    return Code.read(shared_data / "neardup" / "dc_code_revisions")


# Least recall of all pairs at the bound
@pytest.mark.parametrize(("bands", "rows", "least"), [(14, 8, 0.999), (20, 5, 1.0)])
def test_revisions_of_a_legal_code_are_found_and_nothing_leaves_that_is_unlike(
    code: Code, tmp_path: Path, bands: int, rows: int, least: float
) -> None:
    truth = {pair for pair, s in code.jaccards.items() if s >= 0.8}
    told = answer(code.documents, tmp_path, Duplicates(bands=bands, rows=rows))
    recall = len(truth & told.together) / len(truth)
    assert told.together <= truth  # here also of two that stand in a cluster and meet through a third
    removed = [frozenset(row[:2]) for row in told.left]
    right = [pair for pair in removed if code.jaccards.get(pair, 0.0) >= 0.8]
    kinds = {kind: {pair for pair in truth if code.relations[pair] == kind} for kind in set(code.relations.values())}
    print(f"\n{bands} x {rows}: {len(truth)} pairs, recall {recall:.4f}; {len(removed)} left, {len(right)} rightly; of")
    print({kind: f"{len(of & told.together)} of {len(of)}" for kind, of in sorted(kinds.items()) if of})
    assert len(truth) > 2800
    assert recall >= least
    assert len(right) == len(removed) > 2700
    assert kinds["exact"] <= told.together
    assert {EXACT, NEAR} <= set(told.found.level.tolist())
    # what is called a copy has the similarity that is told, counted anew from the two texts
    near = [row for row in told.left if row[2] < 1]
    assert len(near) > 50
    for one, two, similarity in near:
        assert similarity == pytest.approx(jaccard(code.documents[one], code.documents[two]), abs=0.02)
