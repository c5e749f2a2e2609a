"""Laws of the pass that decontaminates: what leaves is recorded with its item, and held in little memory."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sifted_units import Doc, sources, write_units

from curate.contamination import Counts, Found, Leaks, SharedRun, resolve
from curate.engine import Where
from curate.ngram_index import MOST_HOLDERS, Hits, NgramIndex
from curate.passes.contaminate import decontaminate
from curate.passes.decide import Corpus
from curate.passes.held_out_index import build_index
from curate.passes.leak_records import LEAKS
from curate.settings import Contamination
from curate.split import NOWHERE, TEST, TRAIN
from curate.text import TextBatch


def _prose(seed: int, words: int = 60) -> str:
    return " ".join(f"w{i}" for i in np.random.default_rng(seed).integers(0, 5000, words))


# -- a corpus, decontaminated


PHRASE = "the views expressed here are those of the authors and of nobody else"  # 13 words


def _corpus() -> tuple[list[Doc], list[Doc], list[Doc]]:
    held_out = [Doc(f"h{i}", f"{PHRASE} {_prose(i, 100)}") for i in range(5)] + [Doc("short", _prose(5, 25))]
    words = held_out[5].text.split()
    exam = [Doc("q0", _prose(50, 30)), Doc("q1", "only three words")]
    training = [
        Doc("quotes", f"{_prose(100)} {' '.join(held_out[1].text.split()[20:50])} {_prose(101)}"),
        Doc("edited", f"{_prose(102)} {' '.join([*words[:12], 'else', *words[13:]])}"),  # no run of 13 is left
        Doc("asks", f"{_prose(103)} {exam[0].text.upper()} {_prose(104)}"),
        Doc("does both", f"{exam[0].text} {held_out[3].text}"),
        *(Doc(f"signs{i:02d}", f"{_prose(200 + i)} {PHRASE}") for i in range(12)),
        Doc("nothing", _prose(105)),
    ]
    return held_out, exam, training


def _decontaminated(folder: Path, settings: Contamination) -> tuple[Corpus, dict[str, Any], list[dict[str, Any]]]:
    held_out, exam, training = _corpus()
    sifted, judged = write_units(folder / "corpus", [("a", held_out), ("b", training[:9]), ("b", training[9:])])
    benchmarks, _ = write_units(folder / "benchmarks", [("exam", exam)])
    corpus = Corpus.load(sifted, judged, sources("a", "b", "b"))
    corpus.side[:] = TRAIN
    corpus.side[: len(held_out)] = TEST
    found = decontaminate(corpus, benchmarks, settings, folder, Where("local", 1), lambda *_: None)
    return corpus, found, pq.read_table(folder / "contamination" / "leaks.parquet").to_pylist()


@pytest.fixture(scope="module")
def decontaminated(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return _decontaminated(tmp_path_factory.mktemp("leaks"), Contamination(common_in=12))


def test_every_leak_is_recorded_with_item_rule_words_and_score(decontaminated: Any) -> None:
    _, _, leaks = decontaminated
    assert {(one["id"], one["item"], one["role"], one["rule"]) for one in leaks} == {
        ("b/quotes", "a/h1", "held_out", "shared_run"),
        ("b/edited", "a/short", "held_out", "containment"),
        ("b/asks", "exam/q0", "benchmark", "shared_run"),
        ("b/asks", "exam/q0", "benchmark", "containment"),
        ("b/does both", "a/h3", "held_out", "shared_run"),
        ("b/does both", "a/h3", "held_out", "containment"),
        ("b/does both", "exam/q0", "benchmark", "shared_run"),
        ("b/does both", "exam/q0", "benchmark", "containment"),
    }
    for one in leaks:
        assert len(one["ngram"].split()) == one["ngram_words"] == (13 if one["rule"] == "shared_run" else 8)
        assert 0 < one["score"] <= 1
        assert one["hits"] >= 1
    edited = next(one for one in leaks if one["id"] == "b/edited")
    assert (edited["hits"], edited["score"]) == (10, pytest.approx(10 / 18))  # of 18 8-grams 8 hold the edited word
    assert list(leaks[0]) == LEAKS.names


def test_a_document_leaves_once_for_the_first_that_found_it(decontaminated: Any) -> None:
    corpus, found, _ = decontaminated
    names = [name for ids in corpus.ids(corpus.leaking) for name in ids.to_pylist()]
    assert names == ["b/quotes", "b/edited", "b/asks", "b/does both"]
    assert (corpus.side[corpus.leaking] == NOWHERE).all()
    evidence = dict(zip(names, corpus.leaks.to_pylist(), strict=True))
    assert "stands in a/h1 (18 n-grams of 13 words, 13.0% of the document)" in evidence["b/quotes"]
    assert "of the shorter text" in evidence["b/edited"]
    assert "stands in a/h3" in evidence["b/does both"]
    removed = {(role, rule["rule"]): rule["removed"] for role, one in found.items() for rule in one["rules"]}
    assert removed == {
        ("held_out", "shared_run"): 2,
        ("held_out", "containment"): 1,
        ("benchmark", "shared_run"): 1,
        ("benchmark", "containment"): 0,
    }
    assert found["benchmark"]["too_short_to_index"] == 1
    for one in found.values():
        assert one["training_documents"] == 17 == sum(one["by_source"].values())
        assert all(sum(rule["removed_by_source"].values()) == rule["removed"] for rule in one["rules"])


def test_phrases_of_more_documents_than_the_bound_are_listed_and_let_stand(decontaminated: Any, tmp_path: Path) -> None:
    _, found, _ = decontaminated
    run = found["held_out"]["rules"][0]
    assert run["common_phrases"] == [{"phrase": PHRASE, "training_documents": 13}]  # and `does both` holds it
    _, _, strict = _decontaminated(tmp_path, Contamination(common_in=13))
    assert sum(one["id"].startswith("b/signs") for one in strict) == 12


def test_without_the_second_rule_only_runs_are_looked_for(tmp_path: Path) -> None:
    _, found, leaks = _decontaminated(tmp_path, Contamination(common_in=12, containment_at_least=None))
    assert {one["rule"] for one in leaks} == {"shared_run"}
    assert "b/edited" not in {one["id"] for one in leaks}
    assert [len(one["rules"]) for one in found.values()] == [1, 1]


# -- in little memory


def test_common_phrases_are_counted_without_being_held() -> None:
    draw = np.random.default_rng(1)
    units = []
    for unit in range(30):  # n-gram 0 stands everywhere, 1 to 5 in about half, the others here and there
        some = [
            (100 * unit + d, g)
            for d in range(100)
            for g in range(200)
            if draw.random() < (1, 0.5, 0.001)[min(2, (g + 4) // 5)]
        ]
        document, ngram = np.array(some).T
        hits = Hits(document, ngram, draw.integers(0, 9, len(some)), np.full(len(some), 50))
        units.append(Found(hits, Counts.of(ngram)))
    rule = SharedRun(13)
    index = NgramIndex.build([(["a"], TextBatch.of([_prose(1, 212)]))], 13, 8)  # 200 n-grams
    gathered = Found.gathered(units, 10)
    assert len(gathered.hits) < 0.2 * sum(len(unit.hits) for unit in units)
    leaks, common = resolve(rule, index, Found.joined(units), 10)
    ours, few = resolve(rule, index, gathered, 10)
    assert len(leaks.document) > 100 < len(common.ngram) * 20
    for field in dataclasses.fields(Leaks):
        assert (getattr(ours, field.name) == getattr(leaks, field.name)).all()
    for name in ("ngram", "n_documents", "document", "word"):
        assert getattr(few, name).tolist() == getattr(common, name).tolist()


@pytest.mark.parametrize(("words", "shortest"), [(13, 8), (8, 13)])
def test_an_index_built_in_parts_is_the_one_built_at_once(tmp_path: Path, words: int, shortest: int) -> None:
    draw = np.random.default_rng(3)
    texts = [_prose(int(draw.integers(0, 30)), int(draw.integers(0, 80))) for _ in range(300)]  # beginnings recur
    texts += [PHRASE + f" {i}" for i in range(MOST_HOLDERS + 20)]
    names = [f"d{i}" for i in draw.permutation(len(texts))]
    batches = [(names[at : at + 37], TextBatch.of(texts[at : at + 37])) for at in range(0, len(texts), 37)]
    for name, given in (("all", batches), ("none", [])):
        whole = NgramIndex.build(given, words, shortest)
        parts = build_index(given, words, shortest, tmp_path / name)
        assert parts.owners.equals(whole.owners)
        assert parts.too_short == whole.too_short
        for column in ("sizes", "hashes", "owner", "shared", "n_words", "lengths", "bitmap"):
            ours, theirs = getattr(parts, column), getattr(whole, column)
            assert ours.dtype == theirs.dtype
            assert ours.tolist() == theirs.tolist(), column
    index = NgramIndex.load(tmp_path / "all")
    held_by = {len(index.holders(i)) for i in range(len(index))}
    assert {1, 2, 3, MOST_HOLDERS} <= held_by
    assert max(held_by) == MOST_HOLDERS
