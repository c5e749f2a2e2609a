"""Indexes of published corpora: they name each copy that brute force finds, grow without a trace, and refuse others."""

from __future__ import annotations

import json
import pickle
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from datasketch import LeanMinHash

from curate.dedup.minhash import signatures
from curate.dedup.shingles import ShingleRecipe
from curate.index import matches as matching
from curate.index.export import export
from curate.index.folder import Index, Origin, add, build, index_digest, read_manifest
from curate.index.matches import Asked, Matches, matches, standard_error
from curate.index.names import Seen
from curate.index.sketches import Sketches, SketchRecipe, require_same
from curate.settings import Duplicates
from curate.shards.fault import Fault
from curate.text import TextBatch

RECIPE = SketchRecipe(3, 14, 8, ShingleRecipe("words", 5))
WORDS = [a + b for a in ("ka", "lo", "mi", "nu", "re", "so", "ti") for b in ("ba", "den", "fu", "gol", "hi", "jek")]


def text_of(seed: object, words: int = 120) -> str:
    rng = random.Random(str(seed))
    return " ".join(rng.choice(WORDS) for _ in range(words))


def edited(text: str, seed: object, changes: int) -> str:
    rng, words = random.Random(str(seed)), text.split()
    for at in rng.sample(range(len(words)), changes):
        words[at] = f"x{rng.random()}"
    return " ".join(words)


PUBLISHED = {f"p/{i:03d}": text_of(i, 40 + i % 100) for i in range(300)}
PUBLISHED |= {"p/none": "— — —", "p/short": "two words", "p/000-again": PUBLISHED["p/000"]}
CRAWL = {
    **{f"c/copy-{i}": PUBLISHED[f"p/{i:03d}"].upper() for i in range(0, 40, 4)},
    **{f"c/near-{i}-{n}": edited(PUBLISHED[f"p/{i:03d}"], i, n) for i in range(1, 300, 3) for n in (1, 2, 3)},
    **{f"c/new-{i}": text_of(f"new {i}") for i in range(50)},
    "c/none": "— — —",
    "c/other-none": "!!!",
    "c/short": "Two words.",
}


def texts(documents: dict[str, str], at_once: int = 64) -> Iterator[tuple[pa.LargeStringArray, TextBatch]]:
    pairs = list(documents.items())
    for at in range(0, len(pairs), at_once):
        ids, some = zip(*pairs[at : at + at_once], strict=True)
        yield pa.array(ids, pa.large_string()), TextBatch.of(list(some))


def origin(documents: dict[str, str]) -> Origin:
    return Origin({"paths": ["a test"]}, texts(documents))


def made(path: Path, *parts: dict[str, str], exact: bool = False, recipe: SketchRecipe = RECIPE) -> Index:
    """An index of the first part, the others added one by one."""
    build(path, recipe, exact, [origin(parts[0])])
    for part in parts[1:]:
        add(path, [origin(part)])
    return Index.open(path, verify=True)


def sketches(documents: dict[str, str], recipe: SketchRecipe = RECIPE) -> Sketches:
    ((ids, batch),) = texts(documents, len(documents))
    return Sketches.of(ids, batch, recipe)


def asked(index: Index, documents: dict[str, str], *, every: bool = True, at_least: float = 0.8) -> Matches:
    return matches(index, Asked.of(sketches(documents, index.recipe)), at_least, every=every)


def told(found: Matches, documents: dict[str, str]) -> list[tuple[str, str, bool, float]]:
    names = list(documents)
    columns = zip(found.row, found.ids.to_pylist(), found.is_exact, found.similarity, strict=True)
    return [(names[row], match, bool(is_exact), round(float(j), 9)) for row, match, is_exact, j in columns]


def brute_force(exact: bool, at_least: float = 0.8) -> set[tuple[str, str, bool, float]]:
    """Every pair that shares a band, compared by Python's sets; what the signatures say where `exact` is not asked."""
    theirs, mine = sketches(PUBLISHED), sketches(CRAWL)
    found = set()
    for a, name in enumerate(CRAWL):
        one = set(mine.hashes[mine.offsets[a] : mine.offsets[a + 1]].tolist())
        for b, match in enumerate(PUBLISHED):
            if mine.keys[a].tolist() == theirs.keys[b].tolist():
                found.add((name, match, True, 1.0))
                continue
            agree = mine.signatures[a] == theirs.signatures[b]
            other = set(theirs.hashes[theirs.offsets[b] : theirs.offsets[b + 1]].tolist())
            if not one or not other or not agree.reshape(14, 8).all(axis=1).any():
                continue
            jaccard = len(one & other) / len(one | other)
            bound = min(len(one), len(other)) / max(len(one), len(other))
            similarity = jaccard if exact else min(float(agree.mean()), bound)
            if similarity >= at_least:
                found.add((name, match, False, round(similarity, 9)))
    return found


@pytest.mark.parametrize("exact", [False, True])
def test_every_match_is_what_brute_force_finds(tmp_path: Path, exact: bool) -> None:
    index = made(tmp_path / "index", PUBLISHED, exact=exact)
    found = told(asked(index, CRAWL), CRAWL)
    assert set(found) == brute_force(exact)
    assert len(found) == len(set(found))
    near = [one for one in found if not one[2]]
    assert len(near) > 50
    assert ("c/copy-0", "p/000-again", True, 1.0) in found
    assert ("c/none", "p/none", True, 1.0) in found  # no word, hence no shingle: its bytes are compared
    assert ("c/short", "p/short", True, 1.0) in found
    assert not [one for one in found if one[0] in ("c/other-none", "c/new-1")]


def test_the_best_match_is_an_exact_copy_then_the_most_similar_then_the_lowest_id(tmp_path: Path) -> None:
    published = PUBLISHED | {"p/like": edited(PUBLISHED["p/004"], "x", 1), "a/same": edited(PUBLISHED["p/001"], 1, 1)}
    published |= {"z/same": published["a/same"]}
    index = made(tmp_path / "index", published, exact=True)
    every, best = asked(index, CRAWL), asked(index, CRAWL, every=False)
    first: dict[str, tuple[str, str, bool, float]] = {}
    for one in told(every, CRAWL):
        before = first.setdefault(one[0], one)
        assert (-before[2], -before[3], before[1]) <= (-one[2], -one[3], one[1])
    assert told(best, CRAWL) == list(first.values())
    assert first["c/copy-4"][1] == "p/004"
    assert first["c/copy-0"][1] == "p/000"
    assert first["c/near-1-1"][1] == "a/same"
    assert len(every) > len(best)


@pytest.mark.parametrize("exact", [False, True])
def test_what_was_added_later_answers_as_if_it_had_been_there_at_once(tmp_path: Path, exact: bool) -> None:
    parts = [dict(list(PUBLISHED.items())[at : at + 120]) for at in range(0, len(PUBLISHED), 120)]
    assert len(parts) == 3
    once = made(tmp_path / "once", PUBLISHED, exact=exact)
    grown = made(tmp_path / "grown", *parts, exact=exact)
    reversed_ = made(tmp_path / "reversed", *parts[::-1], exact=exact)
    for every in (True, False):
        answers = [told(asked(index, CRAWL, every=every), CRAWL) for index in (once, grown, reversed_)]
        assert answers[0] == answers[1] == answers[2]
        assert len(answers[0]) > 100


def test_batches_make_no_difference_to_a_byte(tmp_path: Path) -> None:
    for name, at_once in (("one", 7), ("two", 300)):
        build(tmp_path / name, RECIPE, True, [Origin({}, texts(PUBLISHED, at_once))])
    one, two = (read_manifest(tmp_path / name)["segments"][0]["files"] for name in ("one", "two"))
    assert {name: one[name] for name in one if name != "ids.arrow"} == {n: two[n] for n in two if n != "ids.arrow"}
    ids = [Index.open(tmp_path / name).segments[0].ids.column.to_pylist() for name in ("one", "two")]
    assert ids[0] == ids[1] == list(PUBLISHED)  # batches of their own in the file


def test_a_document_that_is_there_already_is_not_entered_again(tmp_path: Path) -> None:
    made(tmp_path / "index", PUBLISHED)
    before = index_digest(tmp_path / "index")
    again = add(tmp_path / "index", [origin(PUBLISHED), origin(PUBLISHED)])
    assert (again.entered, again.already_there) == (0, 2 * len(PUBLISHED))
    assert index_digest(tmp_path / "index") == before
    new = {"p/000": "another text under an id that is taken already", "q/1": text_of("q"), "p/short": "TWO words!"}
    grown = add(tmp_path / "index", [origin(new), origin(new)])
    assert (grown.entered, grown.already_there) == (2, 4)
    assert index_digest(tmp_path / "index") != before
    index = Index.open(tmp_path / "index")
    assert len(index) == len(PUBLISHED) + 2
    both = {"a": "Another text, under an id that is taken already.", "b": PUBLISHED["p/000"]}
    assert [one[:3] for one in told(asked(index, both, every=False), both)] == [
        ("a", "p/000", True),
        ("b", "p/000", True),
    ]


def test_what_was_seen_is_what_a_set_says() -> None:
    rng = np.random.default_rng(5)
    seen, known = Seen(), set[int]()
    for _ in range(60):
        some = rng.integers(0, 900, 25).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        expected = [one not in known and one not in some[:at].tolist() for at, one in enumerate(some.tolist())]
        assert seen.new(some).tolist() == expected
        known |= set(some.tolist())
    assert len(seen.runs) < 10
    assert sum(map(len, seen.runs)) == len(known)


@pytest.mark.parametrize(
    ("change", "field"),
    [({"seed": 4}, "seed"), ({"bands": 7, "rows": 16}, "bands"), ({"rows": 4}, "rows"), ({"shingle_words": 7}, "words"),
     ({"shingle_characters": 9}, "shingle")],
)  # fmt: skip
def test_another_recipe_is_refused_by_the_field_that_differs(
    tmp_path: Path, change: dict[str, int], field: str
) -> None:
    index = made(tmp_path / "index", {"a": "some text"})
    seed = change.pop("seed", 3)
    other = SketchRecipe.of(Duplicates(**change), seed)
    with pytest.raises(Fault) as refused:
        require_same(index.recipe.as_json(), other.as_json(), "published", "this recipe")
    assert field in refused.value.where
    assert "published was made with" in refused.value.what
    assert "this recipe has" in refused.value.what
    require_same(index.recipe.as_json(), SketchRecipe.of(Duplicates(), 3).as_json(), "published", "this recipe")


@pytest.mark.parametrize("field", ["scheme", "hashes"])
def test_an_index_of_another_scheme_or_of_another_way_to_hash_words_is_refused(tmp_path: Path, field: str) -> None:
    made(tmp_path / "index", {"a": "some text"})
    manifest = read_manifest(tmp_path / "index")
    manifest["sketches"][field] = "legacy"
    (tmp_path / "index" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(Fault, match=f'made with {field} = "legacy", this version has'):
        Index.open(tmp_path / "index")


@pytest.mark.parametrize(
    "name", ["keys.npy", "signatures.npy", "posted.npy", "documents.npy", "ids.arrow", "shingles.npy"]
)
def test_a_damaged_segment_is_named(tmp_path: Path, name: str) -> None:
    made(tmp_path / "index", PUBLISHED, exact=True)
    for damage in ("flip", "cut", "gone"):
        place = shutil.copytree(tmp_path / "index", tmp_path / damage) / "segment-00000" / name
        content = bytearray(place.read_bytes())
        content[len(content) // 2] ^= 1
        if damage == "flip":
            place.write_bytes(content)
        elif damage == "cut":
            place.write_bytes(content[:-8])
        else:
            place.unlink()
        with pytest.raises(Fault, match=f"damaged.*{name}"):
            Index.open(tmp_path / damage, verify=damage == "flip")


def test_what_is_no_index_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for name, says in (("folder", "is not an index"), ("file", "is not an index"), ("none", "there is no index")):
        with pytest.raises(Fault, match=says):
            Index.open(tmp_path / name)
        with pytest.raises(Fault, match=says):
            add(tmp_path / name, [origin(PUBLISHED)])
    with pytest.raises(Fault, match="is there already"):
        build(tmp_path / "folder", RECIPE, False, [origin(PUBLISHED)])
    with pytest.raises(Fault, match="no document"):
        build(tmp_path / "empty", RECIPE, False, [origin({})])
    assert sorted(at.name for at in tmp_path.iterdir()) == ["file", "folder"]


def test_a_crash_leaves_the_index_as_it_was(tmp_path: Path) -> None:
    index = tmp_path / "index"
    made(index, PUBLISHED)
    before = told(asked(Index.open(index), CRAWL), CRAWL)

    def broken() -> Iterator[tuple[pa.LargeStringArray, TextBatch]]:
        yield from texts({"q": "text"})
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        add(index, [origin({"r": "a whole segment before"}), Origin({}, broken())])
    assert told(asked(Index.open(index, verify=True), CRAWL), CRAWL) == before
    assert add(index, [origin({"q": "text"})]).entered == 1
    assert sorted(at.name for at in index.glob("*segment*")) == ["segment-00000", "segment-00001"]
    with pytest.raises(OSError, match="full"):
        build(tmp_path / "new", RECIPE, False, [Origin({}, broken())])
    assert not (tmp_path / "new").exists()


def test_a_key_of_very_many_documents_is_cut_and_counted_alike_in_one_segment_and_in_three(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "MOST_OF_A_KEY", 50)
    monkeypatch.setattr(matching, "PAIRS_HELD", 64)
    same = {f"s/{i:03d}": "one banner and the same words on every page of it" for i in range(120)}
    parts = [dict(list(same.items())[at : at + 40]) for at in (0, 40, 80)]
    query = {"a": next(iter(same.values())), "b": text_of("b")}
    once, grown = made(tmp_path / "once", same), made(tmp_path / "grown", *parts)
    found = [asked(index, query) for index in (once, grown)]
    assert told(found[0], query) == told(found[1], query)
    assert [len(one) for one in found] == [50, 50]
    assert [one.keys_cut for one in found] == [15, 15]  # the exact key and fourteen bands


def test_small_blocks_change_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = made(tmp_path / "index", PUBLISHED, exact=True)
    before = told(asked(index, CRAWL), CRAWL)
    for name, value in (("PAIRS_HELD", 5), ("PAIRS_AT_ONCE", 3), ("HASHES_HELD", 200)):
        monkeypatch.setattr(matching, name, value)
    assert told(asked(index, CRAWL), CRAWL) == before


def test_shingles_of_characters_are_indexed_too(tmp_path: Path) -> None:
    recipe = SketchRecipe.of(Duplicates(shingle_characters=5), 3)
    index = made(
        tmp_path / "index", {"zh": "発熱と咳が三日間続いている患者が来院した。" * 3 + "検査を行った。"}, recipe=recipe
    )
    query = {"q": "発熱と咳が三日間続いている患者が来院した。" * 3 + "検査を行つた。"}
    ((_, match, is_exact, similarity),) = told(asked(index, query, at_least=0.5), query)
    assert (match, is_exact) == ("zh", False)
    assert 0.5 < similarity < 1


def test_the_signatures_of_an_index_are_those_of_a_run() -> None:
    batch = TextBatch.of(list(PUBLISHED.values()))
    run = signatures(batch, RECIPE.shingle, RECIPE.permutations, RECIPE.seed)
    assert (sketches(PUBLISHED).signatures == run).all()


def test_the_error_of_an_estimate_is_that_of_a_binomial() -> None:
    rng = np.random.default_rng(1)
    drawn = rng.binomial(112, 0.8, 20_000) / 112
    assert standard_error(np.array([0.8]), 112)[0] == pytest.approx(drawn.std(), rel=0.03)


def test_datasketch_gives_the_candidates_of_the_index(tmp_path: Path) -> None:
    parts = [dict(list(PUBLISHED.items())[at : at + 160]) for at in (0, 160)]
    index = made(tmp_path / "index", *parts, {"p/000": text_of("a text that changed")})
    assert export(index, tmp_path / "lsh.pickle") == (len(PUBLISHED), 1)  # one text has no shingle
    with (tmp_path / "lsh.pickle").open("rb") as file:
        lsh = pickle.load(file)
    assert set(lsh.keys.keys()) == {*PUBLISHED, "p/000#2"} - {"p/none"}
    ours: dict[str, set[str]] = {name: set() for name in CRAWL}
    found = asked(index, CRAWL, at_least=0.0)
    for name, match, _, _ in told(found, CRAWL):
        ours[name].add(match)
    mine, compared = sketches(CRAWL), 0
    for row, name in enumerate(CRAWL):
        if name in ("c/none", "c/other-none"):
            continue
        theirs = lsh.query(LeanMinHash(seed=3, hashvalues=mine.signatures[row], scheme="affine32"))
        assert {one.removesuffix("#2") for one in theirs} == ours[name]
        compared += len(theirs)
    assert compared > 200
    assert [at.name for at in tmp_path.iterdir() if "tmp" in at.name] == []
