"""Which copy stays: each policy against a plain sort, what is missing last; held-out copies save no training text."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datatrove.data import Document
from hypothesis import given, settings
from hypothesis import strategies as st
from sifted_units import Doc, sources, write_units

from curate.blocks.duplicates import Resolve, Sketch
from curate.dedup.prefer import Asking, policies, preference
from curate.engine import Where
from curate.passes.contaminate import decontaminate
from curate.passes.copies import stands_for, weight_of
from curate.passes.decide import Corpus
from curate.passes.merits import SiftedMerits
from curate.passes.score import score_schema
from curate.passes.sift import unit_file
from curate.settings import BestOf, Contamination, Duplicates, Earliest, Keep, SourcesFirst, Split
from curate.shards.fault import Fault
from curate.split import NOWHERE, TEST, TRAIN

Row = dict[str, Any]
NAN = float("nan")
ASKED: list[str | Asking] = [
    "longest", "lowest_id", BestOf(measure="m"), BestOf(measure="m", prefer="low"), Earliest(earliest="d"),
    SourcesFirst(sources=["a"]),
]  # fmt: skip


def prose(seed: int, words: int = 60) -> str:
    return " ".join(f"w{i}" for i in np.random.default_rng(seed).integers(0, 5000, words))


# -- the order


def plainly(policy: str | Asking, document: Row) -> tuple[bool, float]:
    """(is it missing, the value): the lower stays."""
    if policy == "longest":
        return False, -document["length"]
    if policy == "lowest_id":
        return False, document["rank"]
    value = document[type(policy).__name__]
    if value is None:
        return True, 0
    return False, -value if isinstance(policy, BestOf) and policy.prefer == "high" else value


@given(st.lists(st.sampled_from(ASKED), min_size=1, max_size=4, unique_by=repr), st.integers(1, 12), st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_any_list_of_policies_is_a_plain_sort_with_what_is_missing_last(
    keep: list[str | Asking], n: int, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    rank, length = draw.permutation(n), draw.integers(1, 3, n)
    kinds = ("BestOf", "Earliest", "SourcesFirst")
    values = {kind: draw.choice([0.0, 1.0, NAN], n) for kind in kinds}
    documents = [
        {"rank": rank[i], "length": length[i]} | {k: None if np.isnan(v[i]) else v[i] for k, v in values.items()}
        for i in range(n)
    ]

    def told(policy: Asking) -> Any:
        own = values[type(policy).__name__]
        return -own if isinstance(policy, BestOf) and policy.prefer == "high" else own

    place = preference(keep if len(keep) > 1 else keep[0], rank, length, told)  # type: ignore[arg-type]
    wanted = sorted(range(n), key=lambda i: ([plainly(policy, documents[i]) for policy in keep], rank[i]))
    assert np.argsort(place).tolist() == wanted
    assert policies(keep) == keep  # type: ignore[arg-type]


# -- what documents tell


TEXT = prose(1, 80)
DOCS = {
    "old": [
        Doc("long", TEXT + " and a tail", meta=json.dumps({"front": {"date": "2021-05"}})),
        Doc("day", TEXT, meta=json.dumps({"front": {"date": "2021-05-01T00:30:00+02:00"}})),  # April, in UTC
        Doc("year", TEXT, meta=json.dumps({"front": {"date": 2022}})),
    ],
    "new": [
        Doc("none", TEXT + " tail", meta=json.dumps({"front": {"date": "05/01/1999"}})),
        Doc("bare", TEXT),
        *(Doc(f"other{i}", prose(10 + i)) for i in range(4)),
    ],
}
SCORES = {"old/long": 0.2, "old/day": None, "old/year": 0.9, "new/none": 0.9, "new/bare": 0.5}


def decided(folder: Path, keep: Any, docs: dict[str, list[Doc]] = DOCS) -> tuple[dict[str, Row], Corpus]:
    """Rows of a corpus after its duplicates were dropped, by id."""
    sifted, judged = write_units(folder, list(docs.items()))
    (folder / "scored").mkdir()
    for rank, (source, some) in enumerate(docs.items()):
        scores = [SCORES.get(f"{source}/{doc.id}") for doc in some]
        columns = [scores if name == "domain_score" else [None] * len(some) for name in score_schema([]).names]
        table = pa.table(
            [pa.array(c, f.type) for c, f in zip(columns, score_schema([]), strict=True)], score_schema([])
        )
        pq.write_table(table, unit_file(folder / "scored", rank), row_group_size=7)
    corpus = Corpus.load(sifted, judged, sources(*docs))
    corpus.drop_duplicates(Duplicates.model_validate({"keep": keep}), folder / "scored")
    assert corpus.copies is not None
    copies = corpus.copies
    corpus.assign_splits(Split(), 1)
    (folder / "decided").mkdir()
    corpus.write(folder / "decided")
    corpus.copies = copies
    tables = [pq.read_table(unit_file(folder / "decided", unit)).to_pylist() for unit in range(len(docs))]
    return {row["id"]: row for row in itertools.chain(*tables)}, corpus


@pytest.mark.parametrize(
    ("keep", "stays", "without"),
    [
        ("longest", "old/long", []),
        ("lowest_id", "new/bare", []),
        ({"earliest": "front.date"}, "old/day", [("earliest front.date", 2)]),
        ({"earliest": "date"}, "new/bare", [("earliest date", 5)]),  # nobody has one: the lowest id
        ({"measure": "domain_score"}, "new/none", [("high domain_score", 1)]),
        ({"measure": "domain_score", "prefer": "low"}, "old/long", [("low domain_score", 1)]),
        ({"measure": "n_chars", "prefer": "low"}, "new/bare", [("low n_chars", 0)]),
        ({"sources": ["old"]}, "old/day", [("sources old", 2)]),
        ({"sources": ["new", "old"]}, "new/bare", [("sources new, old", 0)]),
        ([{"measure": "domain_score"}, "longest"], "new/none", [("high domain_score", 1)]),
        (
            [{"sources": ["old"]}, {"measure": "domain_score"}],
            "old/year",
            [("sources old", 2), ("high domain_score", 1)],
        ),
        ([{"sources": ["new"]}, "longest"], "new/none", [("sources new", 3)]),
    ],
)
def test_the_copy_that_a_policy_prefers_stays(
    tmp_path: Path, keep: Any, stays: str, without: list[tuple[str, int]]
) -> None:
    rows, corpus = decided(tmp_path, keep)
    cluster = {name for name, row in rows.items() if row["cluster"] == "new/bare"}
    assert cluster == set(SCORES)
    assert {name for name in cluster if rows[name]["fate"] == "kept"} == {stays}
    assert {rows[name]["duplicate_of"] for name in cluster - {stays}} == {stays}
    assert corpus.copies is not None
    assert [(one["policy"], one["without"]) for one in corpus.copies.without] == without


def test_a_measure_that_nothing_takes_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="nothing measures 'wrds'"):
        decided(tmp_path, {"measure": "wrds"})


def test_row_groups_and_order_do_not_change_merits(tmp_path: Path) -> None:
    asked: list[Asking] = [Earliest(earliest="front.date"), SourcesFirst(sources=["new"]), BestOf(measure="n_chars")]
    told = []
    for size in (1, 7):
        sifted, _ = write_units(tmp_path / str(size), list(DOCS.items()), size)
        merits = SiftedMerits(sifted, list(DOCS))
        told.append([merits(one, np.array([0, 1, 3, 7])).tolist() for one in asked])
    assert repr(told[0]) == repr(told[1])
    assert np.isnan(told[0][0]).tolist() == [False, False, True, True]


def test_in_a_datatrove_pipeline_dates_are_of_the_metadata_and_measures_are_not_known(tmp_path: Path) -> None:
    documents = [Document(TEXT, "a"), Document(TEXT, "b", metadata={"date": "2019"}), Document(TEXT, "c")]
    for _ in Sketch(tmp_path, {"keep": {"earliest": "date"}}).run(iter(documents)):
        pass
    list(Resolve(tmp_path).run())
    told = pq.read_table(tmp_path / "copies.parquet").to_pylist()
    assert {row["id"]: row["duplicate_of"] for row in told} == {"a": "b", "b": None, "c": "b"}
    for foreign in ({"keep": {"measure": "words"}}, {"keep": ["longest", {"sources": ["a"]}]}, {"rehydrate": {2: 2}}):
        with pytest.raises(Fault, match="a datatrove pipeline knows nothing of"):
            Sketch(tmp_path, foreign)


# -- held-out and benchmark copies


@pytest.mark.parametrize("keep", ["longest", "lowest_id", {"sources": ["law"]}, {"sources": ["notes"]}])
@pytest.mark.parametrize("tail", ["", " with a longer tail"])
def test_a_control_copy_never_leaves_a_copy_to_train_on_beside_it(tmp_path: Path, keep: Keep, tail: str) -> None:
    """Whichever is preferred, exact or near: one of the two stays, and it is not trained on if it is control text."""
    text = prose(3)
    law, notes = [Doc("a", text + tail), *_others(30, "l")], [Doc("b", text + " x"), Doc("c", text), *_others(60, "n")]
    sifted, judged = write_units(tmp_path, [("law", law), ("notes", notes)])
    corpus = Corpus.load(sifted, judged, sources("law", "notes", control="law"))
    corpus.drop_duplicates(Duplicates.model_validate({"keep": keep}))
    corpus.assign_splits(Split(), 1)
    control, training = corpus.kept[0], corpus.kept[31:33]
    assert int(control) + int(training.sum()) == 1
    assert not (control and (corpus.side[31:33] == TRAIN).any())
    assert corpus.side[0] == (TEST if control else NOWHERE)
    assert (corpus.side[33:] == TRAIN).any()


def _others(n: int, name: str) -> list[Doc]:
    return [Doc(f"{name}{i}", prose(1000 * len(name) + ord(name[0]) * 100 + i)) for i in range(n)]


def test_a_near_copy_of_a_leak_stays_away_and_is_counted(tmp_path: Path) -> None:
    """The copy that was preferred quotes a benchmark: it leaves, and no other of its cluster comes back for it."""
    item, text = prose(5, 40), prose(6, 300)
    quoting = f"{text} {item}"
    near = [
        Doc("a", quoting + " longest"),
        Doc("b", quoting),
        Doc("c", quoting + " x"),
        Doc("d", f"{text} {item[:100]}"),
    ]
    sifted, judged = write_units(tmp_path / "corpus", [("notes", [*near, *_others(60, "n")])])
    benchmarks, _ = write_units(tmp_path / "benchmarks", [("exam", [Doc("q", item)])])
    corpus = Corpus.load(sifted, judged, sources("notes"))
    corpus.drop_duplicates(Duplicates())
    assert corpus.kept[:4].tolist() == [True, False, False, False]
    corpus.assign_splits(Split(test=0.0, validation=0.0), 1)
    decontaminate(corpus, benchmarks, Contamination(), tmp_path, Where("local", 1), lambda *_: None)
    assert not corpus.kept[:4].any()
    assert (corpus.side[:4] == NOWHERE).all()
    assert corpus.kept[4:].all()
    assert corpus.copies is not None
    assert corpus.copies.numbers(corpus.kept)["copies_of_what_left_later"] == 3


# -- weights


@given(st.dictionaries(st.integers(1, 50), st.integers(1, 255), min_size=1), st.lists(st.integers(1, 60), max_size=9))
@settings(max_examples=100, deadline=None)
def test_a_cluster_takes_the_weight_of_the_largest_size_it_reaches(given: dict[int, int], sizes: list[int]) -> None:
    rehydrate = Duplicates.model_validate({"rehydrate": given}).rehydrate
    wanted = [
        max(((least, weight) for least, weight in given.items() if least <= size), default=(0, 1))[1] for size in sizes
    ]
    assert weight_of(np.array(sizes, np.int64), rehydrate).tolist() == wanted
    assert weight_of(np.array(sizes, np.int64), None).tolist() == [1] * len(sizes)


def test_what_stays_weighs_by_the_documents_that_left_for_it_and_held_out_text_once(tmp_path: Path) -> None:
    docs = [Doc(f"d{i}-{k}", prose(i)) for i in range(40) for k in range(1 + i % 5)]
    sifted, judged = write_units(tmp_path, [("notes", docs)])
    corpus = Corpus.load(sifted, judged, sources("notes"))
    corpus.drop_duplicates(Duplicates.model_validate({"rehydrate": {1: 2, 3: 7, 5: 1}}))
    assert corpus.copies is not None
    assert sorted(set(stands_for(corpus.copies.found)[corpus.kept[corpus.copies.found.record]].tolist())) == [
        2,
        3,
        4,
        5,
    ]
    corpus.assign_splits(Split(test=0.2, validation=0.1), 1)
    (tmp_path / "decided").mkdir()
    corpus.write(tmp_path / "decided")
    rows = pq.read_table(unit_file(tmp_path / "decided", 0)).to_pylist()
    weight = {1: 2, 2: 2, 3: 7, 4: 7, 5: 1}
    seen = set()
    for doc, row in zip(docs, rows, strict=True):
        size = 1 + int(doc.id[1:].split("-")[0]) % 5
        wanted = None if row["fate"] != "kept" else weight[size] if row["split"] == "train" else 1
        assert row["weight"] == wanted
        seen.add((row["split"], wanted))
    assert seen == {(None, None), ("train", 1), ("train", 2), ("train", 7), ("validation", 1), ("test", 1)}
