"""Laws of deduplication: what is found, what leaves, and that neither order nor chains nor templates change it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import curate.dedup.choose
import curate.dedup.near
import curate.dedup.partitions
import curate.dedup.resolve
from curate.dedup.candidates import Effort, Walk, band_keys
from curate.dedup.clusters import roots, singletons, unite
from curate.dedup.exact import exact_keys
from curate.dedup.minhash import UInt32s, signatures
from curate.dedup.near import Bools
from curate.dedup.partitions import Spill, runs
from curate.dedup.resolve import EXACT, NEAR, NOT_REMOVED, Resolution, resolve
from curate.dedup.shingles import ShingleRecipe
from curate.dedup.verify import ShingleStore, jaccards
from curate.settings import Duplicates
from curate.text import Int64s, TextBatch, UInt64s

SETTINGS = Duplicates()
Told = dict[str, tuple[str, str | None, float, int]]


@dataclass(frozen=True)
class Held:
    """Sketches of texts in memory, handed out `block` documents at a time."""

    documents: dict[str, str]
    given: Duplicates
    block: int = 7

    @cached_property
    def batch(self) -> TextBatch:
        return TextBatch.of(list(self.documents.values()))

    @cached_property
    def sets(self) -> tuple[Int64s, UInt64s]:
        return ShingleRecipe.of(self.given).sets(self.batch)

    def blocks(self, records: Int64s) -> Iterator[Int64s]:
        yield from (records[at : at + self.block] for at in range(0, len(records), self.block))

    def exact_keys(self) -> Iterator[tuple[Int64s, UInt64s]]:
        for some in self.blocks(np.arange(len(self.documents))):
            yield some, exact_keys(self.batch)[some]

    def signatures(self, wanted: Bools) -> Iterator[tuple[Int64s, UInt32s]]:
        every = signatures(self.batch, ShingleRecipe.of(self.given), self.given.bands * self.given.rows, 1)
        for some in self.blocks(np.flatnonzero(wanted)):
            yield some, every[some]

    def named(self, records: Int64s) -> tuple[pa.LargeStringArray, Int64s]:
        assert (np.diff(records) > 0).all()
        names, texts = list(self.documents), list(self.documents.values())
        chars = np.array([len(texts[i]) for i in records], np.int64)
        return pa.array([names[i] for i in records], pa.large_string()), chars

    def shingle_sets(self, records: Int64s) -> Iterator[tuple[Int64s, Int64s, UInt64s]]:
        for some in self.blocks(records):
            assert (np.diff(some) > 0).all()  # in the order of the documents, each once
            yield some, *_some_sets(*self.sets, some)


def _some_sets(offsets: Int64s, hashes: UInt64s, items: Int64s) -> tuple[Int64s, UInt64s]:
    parts = [hashes[offsets[i] : offsets[i + 1]] for i in items]
    return np.concatenate(([0], np.cumsum([len(part) for part in parts]))), np.concatenate(parts)


def _resolve(documents: dict[str, str], given: Duplicates = SETTINGS, sketches: Held | None = None) -> Resolution:
    with TemporaryDirectory() as scratch:
        takes_part = np.ones(len(documents), np.bool_)
        return resolve(sketches or Held(documents, given), takes_part, given, Path(scratch))


def _told(documents: dict[str, str], given: Duplicates = SETTINGS) -> Told:
    """id -> (cluster, duplicate of, similarity, level)."""
    return _in_words(list(documents), _resolve(documents, given))


def _in_words(ids: list[str], answer: Resolution) -> Told:
    told: Told = {name: (name, None, 0.0, NOT_REMOVED) for name in ids}
    for i, record in enumerate(answer.record.tolist()):
        copy = int(answer.duplicate_of[i])
        told[ids[record]] = (
            ids[answer.cluster[i]],
            ids[copy] if copy >= 0 else None,
            round(float(answer.similarity[i]), 4),
            int(answer.level[i]),
        )
    return told


def _prose(draw: np.random.Generator, words: int) -> list[str]:
    return [f"w{i}" for i in draw.integers(0, 5000, words)]


def _brute_jaccard(one: str, two: str, words: int = 5) -> float:
    def shingles(text: str) -> set[tuple[str, ...]]:
        split = text.split()
        length = min(words, len(split))
        return {tuple(split[i : i + length]) for i in range(len(split) - length + 1)} if split else set()

    a, b = shingles(one), shingles(two)
    return len(a & b) / len(a | b) if a | b else 0.0


def test_the_longest_copy_stays_and_every_other_names_it() -> None:
    base = " ".join(_prose(np.random.default_rng(1), 300))
    shouted = base.upper().replace(" ", "\n")
    told = _told({"s/1": base, "s/2": base + " and more at the end", "s/3": shouted, "s/4": "x"})
    assert told["s/2"] == ("s/1", None, 0.0, NOT_REMOVED)
    assert told["s/1"][:2] == told["s/3"][:2] == ("s/1", "s/2")
    # s/3 is an exact copy of s/1, but s/1 leaves: what s/3 resembles among those that stay is s/2
    assert told["s/1"][2:] == told["s/3"][2:] == (round(296 / 301, 4), NEAR)
    assert told["s/4"] == ("s/4", None, 0.0, NOT_REMOVED)


def test_lowest_id_is_a_policy_and_ties_break_on_it() -> None:
    base = " ".join(_prose(np.random.default_rng(1), 300))
    documents = {"s/3": base + " and more", "s/10": base, "s/2": base}
    assert _told(documents, Duplicates(keep="lowest_id"))["s/10"] == ("s/10", None, 0.0, NOT_REMOVED)
    told = _told({"s/3": base, "s/10": base, "s/2": base})
    assert told == {
        "s/10": ("s/10", None, 0.0, NOT_REMOVED),
        "s/2": ("s/10", "s/10", 1.0, EXACT),
        "s/3": ("s/10", "s/10", 1.0, EXACT),
    }


def test_documents_too_short_or_empty_are_compared_exactly_and_never_skipped() -> None:
    documents = {
        "a": "", "b": "", "c": "…", "d": "!", "e": "Yes.", "f": "yes", "g": "no thanks", "h": "发热", "i": "发 热",
    }  # fmt: skip
    told = _told(documents)
    assert {name: told[name][1] for name in told} == {
        "a": None, "b": "a", "c": None, "d": None, "e": None, "f": "e", "g": None, "h": "i", "i": None,
    }  # fmt: skip
    assert {told[name][3] for name in "bfh"} == {EXACT}
    assert told["h"][0] == "h"  # a cluster bears its lowest id, whoever stays
    assert len(_resolve({}).record) == 0


def _chain(links: int, words: int, shift: int) -> dict[str, str]:
    """Documents that each resemble the next: windows of one long text."""
    text = _prose(np.random.default_rng(5), words + links * shift)
    return {f"c/{i:03d}": " ".join(text[i * shift : i * shift + words]) for i in range(links)}


@pytest.mark.parametrize("keep", ["longest", "lowest_id"])
def test_no_chain_removes_a_document_that_has_no_near_copy_left(keep: str) -> None:
    documents = _chain(40, 400, 20)
    told = _told(documents, Duplicates(keep=keep))
    assert {cluster for cluster, *_ in told.values()} == {"c/000"}  # one cluster, whose ends share nothing
    assert _brute_jaccard(documents["c/000"], documents["c/039"]) == 0
    stays = {name for name, (_, copy, *_) in told.items() if copy is None}
    assert 1 < len(stays) < 40
    for name, (_, copy, similarity, level) in told.items():
        if copy is not None:
            assert copy in stays
            assert level == NEAR
            assert similarity == round(_brute_jaccard(documents[name], documents[copy]), 4) >= 0.8
    assert all(_brute_jaccard(documents[a], documents[b]) < 0.8 for a, b in combinations(sorted(stays), 2))


def test_a_cluster_too_great_to_compare_in_full_still_removes_only_near_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curate.dedup.choose, "CHECKS_A_MEMBER", 2)
    documents = _chain(40, 400, 20)
    told = _told(documents)
    stays = {name for name, (_, copy, *_) in told.items() if copy is None}
    assert 1 < len(stays) < 40
    for name, (_, copy, similarity, _) in told.items():
        if copy is not None:
            assert copy in stays
            assert similarity == round(_brute_jaccard(documents[name], documents[copy]), 4) >= 0.8


@given(st.randoms(use_true_random=False), st.integers(1, 4), st.sampled_from(["longest", "lowest_id"]))
@settings(max_examples=25, deadline=None)
def test_the_order_of_the_input_changes_nothing(shuffle, edits: int, keep: str) -> None:  # type: ignore[no-untyped-def]
    draw = np.random.default_rng(edits)
    documents: dict[str, str] = {}
    for family in range(8):
        words = _prose(draw, 250)
        for copy in range(5):
            changed = list(words)
            for at in draw.integers(0, len(words), edits * copy):
                changed[at] = "changed"
            documents[f"f{family}/{copy}"] = " ".join(changed)
    given_settings = Duplicates(keep=keep)
    expected = _told(documents, given_settings)
    assert any(copy for _, copy, *_ in expected.values())
    shuffled = list(documents.items())
    shuffle.shuffle(shuffled)
    assert _told(dict(shuffled), given_settings) == expected


@given(st.lists(st.text("ab ", max_size=60), max_size=12, unique=True), st.integers(1, 3), st.floats(0.1, 1))
@settings(max_examples=60, deadline=None)
def test_small_corpora_agree_with_brute_force(texts: list[str], words: int, at_least: float) -> None:
    """With many bands of one row every pair above the bound is proposed, so the answer must be the greedy one."""
    given_settings = Duplicates(shingle_words=words, bands=256, rows=1, verify_at_least=at_least, keep="lowest_id")
    documents = {f"d/{i:02d}": text for i, text in enumerate(texts)}
    told = _told(documents, given_settings)
    stays: list[str] = []
    for name, text in documents.items():
        copies = [one for one in stays if documents[one].split() == text.split() and text.split()]
        copies += [one for one in stays if _brute_jaccard(documents[one], text, words) >= at_least]
        if told[name][1] is None:
            assert not copies
            stays.append(name)
        else:
            assert told[name][1] in copies


def test_a_shared_template_does_not_merge_what_differs() -> None:
    draw = np.random.default_rng(3)
    template = _prose(draw, 300)
    documents = {f"t/{i:03d}": " ".join(template + _prose(draw, 150)) for i in range(400)}
    documents["t/400"] = documents["t/399"].replace(" w", " v", 1)
    answer = _resolve(documents)
    assert _brute_jaccard(documents["t/000"], documents["t/001"]) > 0.45  # alike enough to share bands
    assert answer.record.tolist() == [399, 400]
    assert (answer.level == NEAR).sum() == 1
    assert answer.pairs_candidates < 400  # signatures dismiss the rest without their texts


@dataclass(frozen=True)
class Synthetic:
    """n documents by formula, nothing held: every tenth is a copy of the one before where `copies`.

    `template`: how many of the 14 bands all documents share.
    """

    n: int
    copies: bool = False
    template: int = 0
    block: int = 4096

    def rows(self, records: Int64s) -> UInt32s:
        base = records - (records % 10 == 9) if self.copies else records
        values = (base[:, None] * 1_000_003 + np.arange(112)).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        values[:, : self.template * 8] = 1
        return (values >> np.uint64(32)).astype(np.uint32)

    def exact_keys(self) -> Iterator[tuple[Int64s, UInt64s]]:
        for first in range(0, self.n, self.block):
            records = np.arange(first, min(self.n, first + self.block))
            key = records.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            yield records, np.column_stack((key, key))

    def signatures(self, wanted: Bools) -> Iterator[tuple[Int64s, UInt32s]]:
        for first in range(0, self.n, self.block):
            records = first + np.flatnonzero(wanted[first : first + self.block])
            yield records, self.rows(records)

    def named(self, records: Int64s) -> tuple[pa.LargeStringArray, Int64s]:
        return pa.array([f"s/{i:08d}" for i in records.tolist()], pa.large_string()), np.full(len(records), 100)

    def shingle_sets(self, records: Int64s) -> Iterator[tuple[Int64s, Int64s, UInt64s]]:
        for at in range(0, len(records), self.block):
            some = records[at : at + self.block]
            base = some - (some % 10 == 9) if self.copies else some
            # half of the shingles are the template's, at most
            own = (base[:, None] * 100 + 1000 + np.arange(20 - self.template)).astype(np.uint64)
            shared = np.broadcast_to(np.arange(self.template, dtype=np.uint64), (len(some), self.template))
            yield some, np.arange(len(some) + 1) * 20, np.hstack((shared, own)).ravel()


def test_a_template_of_twenty_thousand_documents_merges_only_what_is_verified(tmp_path: Path) -> None:
    """All share nine bands of fourteen, so that their signatures call them alike; their texts are not."""
    n = 20_000
    sketches = Synthetic(n, copies=True, template=9)
    answer = resolve(sketches, np.ones(n, np.bool_), SETTINGS, tmp_path)
    copies = np.arange(9, n, 10)
    assert answer.record.tolist() == np.sort(np.concatenate((copies - 1, copies))).tolist()
    assert (answer.cluster == answer.record // 10 * 10 + 8).all()
    assert answer.pairs_verified == len(copies)
    assert n < answer.pairs_candidates < 50 * n  # far from n^2 / 2


def _walked(rows: UInt32s, effort: Effort, least_agree: int = 67) -> tuple[Int64s, int]:
    """(clusters, pairs proposed) of a spanning walk that believes every pair."""
    keys = band_keys(rows, 14)
    entries = np.stack((keys.ravel(), np.repeat(np.arange(len(rows), dtype=np.uint64), 14)), axis=1)
    walk = Walk(lambda items: rows[items], 14, singletons(len(rows)), True, least_agree, effort)
    parent, proposed = singletons(len(rows)), 0
    for pairs in (*walk.small([runs(entries)]), *walk.big([runs(entries)])):
        assert (pairs[:, 0] < pairs[:, 1]).all()
        proposed += len(pairs)
        unite(parent, pairs[:, 0].copy(), pairs[:, 1].copy())
    return roots(parent), proposed


def test_a_great_run_finds_near_copies_without_comparing_all_pairs() -> None:
    draw = np.random.default_rng(4)
    families, copies = 100, 8
    base = draw.integers(0, 2**32, (families, 112), dtype=np.uint32)
    rows = np.repeat(base, copies, axis=0)
    rows[draw.random(rows.shape) < 0.05] = 7  # copies differ a little
    rows[:, :8] = 1  # and one template band holds them all
    expected = np.repeat(np.arange(families) * copies, copies).tolist()
    for effort in (Effort(128, 16), Effort(128, 16, block_members=64, block_pairs=50)):
        clusters, proposed = _walked(rows, effort)
        assert clusters.tolist() == expected
        assert proposed == families * (copies - 1)  # a tree of each family


def test_jaccards_do_not_depend_on_how_much_is_held(tmp_path: Path) -> None:
    draw = np.random.default_rng(2)
    texts = [" ".join(_prose(draw, int(draw.integers(0, 60)))[:30] + ["same"] * 8 + ["tail"] * 3) for _ in range(30)]
    documents = {str(i): text for i, text in enumerate(texts)}
    sketches = Held(documents, Duplicates(shingle_words=3))
    pairs = np.array(list(combinations(range(30), 2)))
    fetched: list[int] = []

    def fetch(items: Int64s) -> Iterator[tuple[Int64s, Int64s, UInt64s]]:
        fetched.extend(items.tolist())
        yield from sketches.shingle_sets(items)

    with ShingleStore(tmp_path / "sets", 30, fetch) as store:
        store.fetch(np.array([3, 4]))
        at_once = store.jaccards(pairs[:, 0], pairs[:, 1])
        in_parts = store.jaccards(pairs[:, 0], pairs[:, 1], hashes_held=50)
    assert sorted(fetched) == list(range(30))  # each text is read once
    assert (at_once == in_parts).all()
    assert at_once.tolist() == [_brute_jaccard(texts[a], texts[b], 3) for a, b in pairs]
    assert (at_once == jaccards(*sketches.sets, pairs[:, 0], pairs[:, 1])).all()


@given(st.lists(st.integers(0, 40), max_size=300), st.integers(0, 6))
@settings(max_examples=50, deadline=None)
def test_runs_are_the_groups_of_equal_keys_for_any_number_of_parts(keys: list[int], bits: int) -> None:
    spread = np.array(keys, np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    entries = np.stack((spread, np.arange(len(keys), dtype=np.uint64)), axis=1)
    with TemporaryDirectory() as scratch:
        with Spill(Path(scratch) / "spill", 2, 1 << bits) as spill:
            spill.add(entries[: len(keys) // 2])
            spill.add(entries[len(keys) // 2 :])
        found = [one for part in spill.runs() for one in _each(part)]
    groups: dict[int, list[int]] = {}
    for record, key in enumerate(spread.tolist()):
        groups.setdefault(key, []).append(record)
    assert found == [groups[key] for key in sorted(groups) if len(groups[key]) > 1]


def _each(part: curate.dedup.partitions.Runs) -> list[list[int]]:
    return [part.records[a:b].tolist() for a, b in zip(part.first[:-1], part.first[1:], strict=True)]


def test_how_the_work_is_cut_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of the key space, pairs verified at a time, clusters decided at a time, documents read at a time."""
    draw = np.random.default_rng(8)
    documents = _chain(30, 300, 15)
    for family in range(30):
        words = _prose(draw, 200)
        for copy in range(1 + family % 6):
            changed = list(words)
            for at in draw.integers(0, len(words), copy):
                changed[at] = "changed"
            documents[f"f{family}/{copy}"] = " ".join(changed)
    whole = _resolve(documents)
    assert (whole.level == NEAR).sum() > 30
    assert (whole.level == EXACT).sum() == 0 < whole.pairs_candidates - whole.pairs_verified
    for module, name, value in (
        (curate.dedup.partitions, "ENTRIES_HELD", 32),
        (curate.dedup.near, "PAIRS_HELD", 16),
        (curate.dedup.near, "PAIRS_AT_ONCE", 3),
        (curate.dedup.near, "REJECTED_HELD", 1),
        (curate.dedup.resolve, "MEMBERS_HELD", 2),
    ):
        monkeypatch.setattr(module, name, value)
        cut = _resolve(documents, sketches=Held(documents, SETTINGS, block=1000))
        for column in ("record", "cluster", "duplicate_of", "similarity", "level"):
            assert (getattr(cut, column) == getattr(whole, column)).all(), (name, column)


@pytest.mark.parametrize(("copies", "bytes_each"), [(False, 8), (True, 50)])
def test_memory_grows_with_the_copies_and_hardly_with_the_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copies: bool, bytes_each: int
) -> None:
    """Bytes of arrays at their peak, as NumPy reports them: a document more takes less than `bytes_each`.

    A fifth of the documents are in a cluster in the second case.
    """
    monkeypatch.setattr(curate.dedup.partitions, "ENTRIES_HELD", 1 << 13)
    monkeypatch.setattr(curate.dedup.near, "PAIRS_HELD", 1 << 12)
    monkeypatch.setattr(curate.dedup.resolve, "MEMBERS_HELD", 1 << 12)
    peaks, sizes = [], (80_000, 145_000)  # of as many parts, each of which has a file buffer
    for n in (1000, *sizes):  # the first compiles
        tracemalloc.start()
        answer = resolve(Synthetic(n, copies, block=1024), np.ones(n, np.bool_), SETTINGS, tmp_path / str(n))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(answer.record) == (n // 5 if copies else 0)
    each = (peaks[2] - peaks[1]) / (sizes[1] - sizes[0])
    print(f"\n{each:.1f} bytes a document; {peaks[2] / 1e6:.1f} MB for {sizes[1]:,}")
    assert each < bytes_each


def test_signatures_of_another_width_are_refused() -> None:
    other = Held({"a": "a b c"}, Duplicates(bands=8))
    with pytest.raises(ValueError, match="14 bands of 8 rows"):
        _resolve(other.documents, sketches=other)
