"""Laws of deduplication: what is found, what leaves, and that neither order nor chains nor templates change it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.dedup import resolve as resolve_module
from curate.dedup.candidates import Effort, proposals, runs
from curate.dedup.clusters import roots, singletons, unite
from curate.dedup.exact import exact_keys
from curate.dedup.minhash import signatures
from curate.dedup.resolve import EXACT, NEAR, NOT_REMOVED, Resolution, resolve
from curate.dedup.shingles import shingle_sets
from curate.dedup.verify import jaccards
from curate.settings import Duplicates
from curate.text import Int64s, TextBatch, UInt64s

SETTINGS = Duplicates()


def _sets_of(texts: list[str], words: int) -> Callable[[Int64s], tuple[Int64s, UInt64s]]:
    offsets, hashes = shingle_sets(TextBatch.of(texts), words)

    def fetch(documents: Int64s) -> tuple[Int64s, UInt64s]:
        assert (np.diff(documents) > 0).all()  # fetched in the order of the documents, each once
        parts = [hashes[offsets[i] : offsets[i + 1]] for i in documents]
        return np.concatenate(([0], np.cumsum([len(part) for part in parts]))), np.concatenate(parts)

    return fetch


def _resolve(documents: dict[str, str], given: Duplicates = SETTINGS) -> Resolution:
    texts = list(documents.values())
    batch = TextBatch.of(texts)
    return resolve(
        list(documents),
        exact_keys(batch),
        signatures(batch, given.shingle_words, given.bands * given.rows, 1),
        np.array([len(text) for text in texts], np.int64),
        _sets_of(texts, given.shingle_words),
        given,
    )


def _told(documents: dict[str, str], given: Duplicates = SETTINGS) -> dict[str, tuple[str, str | None, float, int]]:
    """id -> (cluster, duplicate of, similarity, level)."""
    ids, answer = list(documents), _resolve(documents, given)
    return {
        name: (
            ids[answer.cluster[i]],
            ids[answer.duplicate_of[i]] if answer.duplicate_of[i] >= 0 else None,
            round(float(answer.similarity[i]), 4),
            int(answer.level[i]),
        )
        for i, name in enumerate(ids)
    }


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
    empty = _resolve({})
    assert len(empty.cluster) == len(empty.level) == 0


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
    monkeypatch.setattr(resolve_module, "CHECKS_A_MEMBER", 2)
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
    assert (answer.level == NEAR).sum() == 1
    assert np.flatnonzero(answer.cluster != np.arange(401)).tolist() == [400]
    assert answer.pairs_candidates < 400  # signatures dismiss the rest without their texts


def test_a_great_run_finds_near_copies_without_comparing_all_pairs() -> None:
    draw = np.random.default_rng(4)
    families, copies = 100, 8
    base = draw.integers(0, 2**32, (families, 112), dtype=np.uint32)
    rows = np.repeat(base, copies, axis=0)
    rows[draw.random(rows.shape) < 0.05] = 7  # copies differ a little
    rows[:, :8] = 1  # and one template band holds them all
    found = runs(np.zeros(len(rows), np.uint64))
    parent, proposed = singletons(len(rows)), 0
    for left, right in proposals(found, rows, singletons(len(rows)), parent, 67, Effort(128, 16, 500)):
        assert len(left) <= 500
        proposed += len(left)
        unite(parent, left, right)
    assert len(found.start) == 1
    assert (roots(parent) == np.repeat(np.arange(families) * copies, copies)).all()
    assert proposed < families * copies * copies


def test_jaccards_do_not_depend_on_how_much_is_held() -> None:
    draw = np.random.default_rng(2)
    texts = [" ".join(_prose(draw, int(draw.integers(0, 60)))[:30] + ["same"] * 8 + ["tail"] * 3) for _ in range(30)]
    pairs = np.array(list(combinations(range(30), 2)))
    n_chars = np.array([len(text) for text in texts])
    calls: list[int] = []
    fetch = _sets_of(texts, 3)

    def counted(documents: Int64s) -> tuple[Int64s, UInt64s]:
        calls.append(len(documents))
        return fetch(documents)

    at_once = jaccards(pairs[:, 0], pairs[:, 1], n_chars, counted)
    assert len(calls) == 1
    in_parts = jaccards(pairs[:, 0], pairs[:, 1], n_chars, counted, chars_held=500)
    assert len(calls) > 10
    assert (at_once == in_parts).all()
    assert at_once.tolist() == [_brute_jaccard(texts[a], texts[b], 3) for a, b in pairs]


def test_signatures_of_another_width_are_refused() -> None:
    batch = TextBatch.of(["a b c"])
    with pytest.raises(ValueError, match="14 bands of 8 rows"):
        resolve(["a"], exact_keys(batch), signatures(batch, 5, 64, 1), np.array([5]), _sets_of(["a b c"], 5), SETTINGS)


def _linked(answer: Resolution, ids: list[str]) -> set[frozenset[str]]:
    members: dict[int, list[str]] = {}
    for i, cluster in enumerate(answer.cluster):
        members.setdefault(int(cluster), []).append(ids[i])
    return {frozenset(pair) for group in members.values() for pair in combinations(group, 2)}


@pytest.mark.real
@pytest.mark.parametrize(("name", "planted"), [("articles_1000.train", 10), ("articles_2500.train.gz", 20)])
def test_every_planted_article_pair_is_found_and_no_other(shared_data: Path, name: str, planted: int) -> None:
    folder = shared_data / "neardup" / "minhash_articles"
    raw = (folder / name).read_bytes()
    lines = (gzip.decompress(raw) if name.endswith(".gz") else raw).decode().splitlines()
    documents = dict(line.split(" ", 1) for line in lines)
    truth = (folder / f"{name.split('.')[0]}.truth").read_text().splitlines()
    answer = _resolve(documents)
    assert _linked(answer, list(documents)) == {frozenset(line.split()) for line in truth}
    assert (answer.duplicate_of >= 0).sum() == len(truth) == planted


@pytest.mark.real
def test_revisions_of_the_dc_code(shared_data: Path) -> None:
    """Recall of pairs at J >= 0.8 and precision of what leaves, against an all-pairs list made apart from this code."""
    folder = shared_data / "neardup" / "dc_code_revisions"
    with gzip.open(folder / "docs.jsonl.gz", "rt") as file:
        documents = {record["id"]: record["text"] for record in map(json.loads, file)}
    with gzip.open(folder / "pairs.tsv.gz", "rt") as file:
        rows = [line.rstrip("\n").split("\t") for line in file][1:]
    listed = {frozenset(row[:2]): float(row[2].lstrip("<")) for row in rows}
    truth = {pair for pair, jaccard in listed.items() if jaccard >= 0.8}
    ids = list(documents)
    answer = _resolve(documents)
    found = _linked(answer, ids)
    recall = len(truth & found) / len(truth)
    removed = [frozenset((ids[i], ids[answer.duplicate_of[i]])) for i in np.flatnonzero(answer.duplicate_of >= 0)]
    right = [pair for pair in removed if listed.get(pair, 0) >= 0.8]
    print(
        f"\npairs {len(truth)}, found {len(truth & found)}, recall {recall:.4f}; removed {len(removed)}, rightly "
        f"{len(right)}; compared {answer.pairs_candidates}, of them near copies {answer.pairs_verified}"
    )
    assert len(truth) > 2800
    assert recall >= 0.995
    assert len(right) == len(removed)
