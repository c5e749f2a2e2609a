"""Laws of deduplication at scale: what is held at a time changes no answer, and what is held in all stays small.

The corpus is that of benchmarks/dedup_scale.py, whose copies are known, a hundredth of its least size.
"""

from __future__ import annotations

import importlib
import os
import tracemalloc
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import curate.dedup.clusters
import curate.dedup.near
import curate.dedup.partitions
import curate.dedup.resolve
import curate.dedup.verify
from curate.dedup.clusters import apart, roots, singletons, unite
from curate.dedup.partitions import Numbering, narrowest
from curate.dedup.resolve import EXACT, NEAR, NOT_REMOVED, Resolution, resolve
from curate.dedup.scattered import read_pieces
from curate.settings import Duplicates

ROOT = Path(__file__).parents[2]
COLUMNS = ("record", "cluster", "duplicate_of", "similarity", "level")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))  # benchmarks are no installed package
    return importlib.import_module("benchmarks.known_copies")


def _sketches(made: Any, n: int, families: dict[tuple[int, int], int], folder: Path) -> Any:
    sketches = made.MadeSketches(made.KnownCopies(n, made.Pattern.of(families)), folder, 112)
    sketches.make(1)
    return sketches


def _resolve(sketches: Any, scratch: Path) -> Resolution:
    scratch.mkdir()
    return resolve(sketches, np.ones(sketches.known.n, np.bool_), Duplicates(), scratch)


def _shingles(made: Any, known: Any, records: np.ndarray) -> list[set[tuple[int, ...]]]:
    """Brute force: runs of five words."""
    words = known.batch(records).words
    texts = [words.hash[a:b].tolist() for a, b in zip(words.first[:-1], words.first[1:], strict=True)]
    return [{tuple(text[i : i + 5]) for i in range(len(text) - 4)} for text in texts]


def _jaccards(made: Any, known: Any, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    pairs = zip(_shingles(made, known, left), _shingles(made, known, right), strict=True)
    return np.array([len(one & two) / len(one | two) for one, two in pairs])


def test_planted_copies_are_found_and_nothing_else_leaves(made: Any, tmp_path: Path) -> None:
    n = 10_000
    sketches = _sketches(made, n, made.USUAL, tmp_path)
    found, known = _resolve(sketches, tmp_path / "scratch"), sketches.known
    records = np.arange(n)
    bases, kinds, cluster = known.bases(records), known.kinds(records), np.arange(n)
    cluster[found.record] = found.cluster
    assert (bases[found.cluster] == bases[found.record]).all()  # no cluster holds two families
    equal, near = records[kinds == made.EQUAL], records[kinds == made.NEAR]
    assert len(equal) == len(near) == 0.15 * n
    assert (cluster[equal] == cluster[bases[equal]]).all()
    jaccard = _jaccards(made, known, near, bases[near])
    together = cluster[near] == cluster[bases[near]]
    assert 0.3 * len(near) < (jaccard >= 0.8).sum() < 0.8 * len(near)  # planted on both sides of the bound
    assert together[jaccard >= 0.8].mean() > 0.97
    left = np.flatnonzero(found.level != NOT_REMOVED)
    reached = _jaccards(made, known, found.record[left], found.duplicate_of[left])
    assert (reached >= 0.8).all()
    assert reached.astype(np.float32).tolist() == found.similarity[left].tolist()
    assert {NEAR, EXACT} == set(found.level[left].tolist())


def test_a_template_of_thousands_of_documents_connects_no_two_of_them(made: Any, tmp_path: Path) -> None:
    """A hundred slots that hold one family: its base and its only copy, the other 98 with the template's text."""
    n = 4_000
    known = made.KnownCopies(n, made.Pattern.of({(0, 1): 1}))
    known.pattern.templated[:] = True
    sketches = made.MadeSketches(known, tmp_path, 112)
    sketches.make(1)
    some = np.arange(40)
    alike = _jaccards(made, known, some[:-1], some[1:])
    assert 0.35 < alike.min() < alike.max() < 0.6  # they share bands by the hundred
    found = _resolve(sketches, tmp_path / "scratch")
    assert (known.bases(found.cluster) == known.bases(found.record)).all()
    assert 10 < len(found.record) <= 2 * n // 100
    assert found.pairs_candidates < 5 * n


@pytest.mark.parametrize("families", ["USUAL", "CROWDED"])
def test_what_is_held_at_a_time_changes_nothing(
    made: Any, families: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sketches = _sketches(made, 6_000, getattr(made, families), tmp_path)
    number = count()
    whole = _resolve(sketches, tmp_path / f"scratch-{next(number)}")
    assert (whole.level == NEAR).sum() > 300 < (whole.level == EXACT).sum()
    wide = {"narrowest": lambda below: np.int64}
    for bounds in (
        {curate.dedup.partitions: {"ENTRIES_HELD": 500}},
        {curate.dedup.near: {"PAIRS_HELD": 100, "PAIRS_AT_ONCE": 7, "REJECTED_HELD": 5}},
        {curate.dedup.verify: {"HASHES_HELD": 300}},
        {curate.dedup.resolve: {"MEMBERS_HELD": 30}},
        {made: {"AT_ONCE": 111}},
        dict.fromkeys((curate.dedup.clusters, curate.dedup.near, curate.dedup.resolve), wide),
    ):
        with monkeypatch.context() as patch:
            for module, names in bounds.items():
                for name, value in names.items():
                    patch.setattr(module, name, value)
            other = _resolve(sketches, tmp_path / f"scratch-{next(number)}")
        for column in COLUMNS:
            assert (getattr(other, column) == getattr(whole, column)).all(), (bounds, column)
        assert other.record.dtype == whole.record.dtype


def test_a_document_takes_less_than_a_hundred_bytes_where_most_have_a_copy(
    made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes of arrays at their peak, as NumPy reports them, with buffers that both sizes fill."""
    for module, name, value in (
        (curate.dedup.partitions, "ENTRIES_HELD", 1 << 12),
        (curate.dedup.near, "PAIRS_HELD", 1 << 11),
        (curate.dedup.near, "REJECTED_HELD", 1 << 11),
        (curate.dedup.verify, "HASHES_HELD", 1 << 15),
        (curate.dedup.resolve, "MEMBERS_HELD", 1 << 11),
        (made, "AT_ONCE", 1 << 10),
    ):
        monkeypatch.setattr(module, name, value)
    peaks, sizes = [], (33_000, 66_000)
    for n in (1_000, *sizes):  # the first compiles
        folder = tmp_path / str(n)
        folder.mkdir()
        sketches = _sketches(made, n, made.CROWDED, folder)
        tracemalloc.start()
        answer = _resolve(sketches, folder / "scratch")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(answer.record) > 0.6 * n
    each = (peaks[2] - peaks[1]) / (sizes[1] - sizes[0])
    print(f"\n{each:.1f} bytes a document; {peaks[2] / 1e6:.1f} MB for {sizes[1]:,}")
    assert each < 100


@given(st.lists(st.booleans(), min_size=1, max_size=400), st.sampled_from([np.int32, np.int64]))
@settings(max_examples=50, deadline=None)
def test_a_numbering_is_the_place_among_the_chosen(chosen: list[bool], kind: Any) -> None:
    records = np.flatnonzero(chosen).astype(kind)
    number = Numbering.of(np.array(chosen))
    assert number(records[::-1]).tolist() == list(range(len(records)))[::-1]
    assert number(records).dtype == kind


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=40), st.integers(0, 40))
@settings(max_examples=50, deadline=None)
def test_items_are_apart_where_their_roots_differ(pairs: list[tuple[int, int]], united: int) -> None:
    parent = singletons(31)
    left, right = np.array(pairs, np.int64).reshape(-1, 2).T.copy()
    unite(parent, left[:united], right[:united])
    root = roots(parent)
    assert apart(parent, left, right).tolist() == (root[left] != root[right]).tolist()
    assert (roots(parent) == root).all()


def test_integers_are_as_narrow_as_they_may_be() -> None:
    assert narrowest(1 << 31) is np.int32
    assert np.iinfo(np.int32).max == (1 << 31) - 1  # the greatest number below
    assert narrowest((1 << 31) + 1) is np.int64


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 20)), max_size=30))
@settings(max_examples=50, deadline=None)
def test_pieces_of_a_file_come_in_the_order_they_are_asked_for(pieces: list[tuple[int, int]]) -> None:
    content = os.urandom(120)
    begins, sizes = np.array(pieces, np.int64).reshape(-1, 2).T.copy()
    into = np.empty(int(sizes.sum()), np.uint8)
    with TemporaryFile() as file:
        file.write(content)
        file.flush()
        read_pieces(file.fileno(), begins, sizes, into)
    assert into.tobytes() == b"".join(content[at : at + size] for at, size in pieces)


def test_a_file_that_lost_its_end_is_not_taken_for_whole(tmp_path: Path) -> None:
    path, into = tmp_path / "short", np.empty(30, np.uint8)
    path.write_bytes(bytes(25))
    with path.open("rb") as file, pytest.raises(OSError, match="25 of 30 bytes"):
        read_pieces(file.fileno(), np.array([0, 20]), np.array([20, 10]), into)
