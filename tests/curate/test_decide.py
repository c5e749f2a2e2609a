"""Laws of what is decided over the whole corpus: names, splits, and that neither order nor row groups change them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
from sifted_units import Doc, sources, write_units

import curate.dedup.partitions
from curate.passes.decide import Corpus, require_held_out
from curate.passes.repeats import find_repeats
from curate.passes.sift import unit_file
from curate.passes.sifted import Rows, Sifted
from curate.settings import Duplicates, Split
from curate.shards.fault import Fault
from curate.split import TEST, TRAIN
from curate.xxh64 import xxh64

Row = dict[str, Any]


def _prose(seed: int, words: int = 60) -> str:
    return " ".join(f"w{i}" for i in np.random.default_rng(seed).integers(0, 5000, words))


def _decide(folder: Path, units: list[tuple[str, list[Doc]]], rows_in_group: int = 7, control: str = "") -> list[Row]:
    sifted, judged = write_units(folder, units, rows_in_group)
    corpus = Corpus.load(sifted, judged, sources(*(name for name, _ in units), control=control))
    corpus.drop_duplicates(Duplicates())
    corpus.assign_splits(Split(validation=0.2, test=0.2), seed=1)
    (folder / "decided").mkdir()
    corpus.write(folder / "decided")
    assert not corpus.scratch.exists()
    return [row for unit in range(len(units)) for row in pq.read_table(unit_file(folder / "decided", unit)).to_pylist()]


def _corpus() -> dict[str, list[Doc]]:
    """Two sources, with exact and near copies inside and across them, and one document that left before."""
    a = [Doc(f"a{i:02d}", _prose(i), position=i) for i in range(40)]
    a += [Doc("copy", _prose(3).upper()), Doc("short", "x", is_removed=True), Doc("gone", _prose(5), is_removed=True)]
    b = [Doc(f"b{i:02d}", _prose(100 + i), position=i) for i in range(30)]
    b += [Doc("like-a7", _prose(7) + " and one more"), Doc("like-a8", _prose(8) + " tail"), Doc("copy", _prose(9))]
    return {"one": a, "two": b}


def test_every_document_gets_its_decision(tmp_path: Path) -> None:
    rows = {row["id"]: row for row in _decide(tmp_path, list(_corpus().items()))}
    assert len(rows) == 43 + 33
    assert rows["one/short"] == {
        "id": "one/short", "source": "one", "role": "domain", "fate": "removed", "stage": "judge",
        "reason": "too_few_words", "reasons": ["too_few_words", "other"], "evidence": "words = 1",
        "cluster": None, "duplicate_of": None, "similarity": None, "split": None, "weight": None,
    }  # fmt: skip
    told = {name: tuple(rows[name][c] for c in ("fate", "reason", "duplicate_of", "cluster")) for name in rows}
    assert told["one/copy"] == ("removed", "exact_duplicate", "one/a03", "one/a03")
    assert told["one/a03"] == ("kept", None, None, "one/a03")
    assert told["one/a07"] == ("removed", "near_duplicate", "two/like-a7", "one/a07")  # the longer one stays
    assert told["one/a05"] == ("kept", None, None, None)  # what left before is nobody's copy
    assert rows["one/a07"]["evidence"] == f"Jaccard {56 / 59:.3f} with two/like-a7, the copy preferred"
    assert {row["split"] for row in rows.values()} == {"train", "validation", "test", None}
    assert all((row["split"] is None) == (row["fate"] != "kept") for row in rows.values())
    place = (xxhash.xxh64_intdigest(b"1/one/a07") >> 11) * 2.0**-53  # a cluster stands where its lowest id does
    assert rows["two/like-a7"]["split"] == ("test" if place < 0.2 else "validation" if place < 0.4 else "train")


def test_neither_order_nor_units_nor_row_groups_change_a_decision(tmp_path: Path) -> None:
    expected = {row["id"]: row for row in _decide(tmp_path / "whole", list(_corpus().items()), 1000)}
    assert sum(row["fate"] == "removed" for row in expected.values()) == 6
    draw = np.random.default_rng(1)
    for trial in range(3):
        units = []
        for source, docs in _corpus().items():
            shuffled = [docs[i] for i in draw.permutation(len(docs))]
            cuts = np.sort(draw.integers(0, len(docs), 3)).tolist()  # some units may be empty
            units += [(source, shuffled[a:b]) for a, b in zip([0, *cuts], [*cuts, len(docs)], strict=True)]
        rows = _decide(tmp_path / str(trial), units, int(draw.integers(1, 9)))
        assert {row["id"]: row for row in rows} == expected


def test_a_cluster_with_control_text_is_held_out_whole(tmp_path: Path) -> None:
    """Kept copies of one cluster: a chain whose ends are unlike, one end in the control source."""
    text = _prose(1, 600).split()
    links = [Doc(f"d{i}", " ".join(text[i * 20 : i * 20 + 400])) for i in range(4)]
    others = [Doc(f"e{i:02d}", _prose(10 + i)) for i in range(40)]
    rows = {row["id"]: row for row in _decide(tmp_path, [("law", links[:1]), ("notes", links[1:] + others)], 7, "law")}
    chain = [rows["law/d0"], *(rows[f"notes/d{i}"] for i in (1, 2, 3))]
    assert {row["cluster"] for row in chain} == {"law/d0"}
    kept = [row for row in chain if row["fate"] == "kept"]
    assert {row["source"] for row in kept} == {"law", "notes"}
    assert {row["split"] for row in kept} == {"test"}
    assert "train" in {row["split"] for row in rows.values()}


def test_repeated_ids_are_numbered_in_order_of_path_and_position(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = [
        Doc("x", "1", "b.jsonl", 0), Doc("x", "2", "a.jsonl", 10), Doc("x", "3", "a.jsonl", 9),
        Doc("x#2", "4", "a.jsonl", 1), Doc("x#2", "5", "a.jsonl", 2), Doc("x#02", "6"), Doc("y", "7"), Doc("é", "8"),
        Doc("é", "9", "b.jsonl", 0), Doc("x#5", "10"), Doc("x", "11", "c.jsonl", 0), Doc("x", "12", "d.jsonl", 0),
    ]  # fmt: skip
    expected = {
        "3": "s/x", "2": "s/x#3", "1": "s/x#4", "11": "s/x#6", "12": "s/x#7", "4": "s/x#2", "5": "s/x#2#2",
        "6": "s/x#02", "7": "s/y", "8": "s/é", "9": "s/é#2", "10": "s/x#5",
    }  # fmt: skip
    for trial, order in enumerate((docs, docs[::-1])):
        for held in (1 << 20, 1):
            monkeypatch.setattr(curate.dedup.partitions, "ENTRIES_HELD", held)
            monkeypatch.setattr("curate.passes.repeats.MEMBERS_HELD", held)
            sifted, _ = write_units(tmp_path / f"{trial}-{held}", [("s", order[:5]), ("s", order[5:])], 2)
            repeats = find_repeats(sifted, tmp_path / f"{trial}-{held}" / "scratch")
            ids: list[str] = []
            for unit in range(2):
                for at, rows in sifted.groups(unit, ["id"]):
                    ids += repeats.unique(np.arange(at.start, at.stop), rows["id"]).to_pylist()
            assert {doc.text: name for doc, name in zip(order, ids, strict=True)} == expected
            assert len(repeats.record) == 6


def test_a_corpus_with_nothing_to_train_or_test_on_is_a_fault(tmp_path: Path) -> None:
    sifted, judged = write_units(tmp_path, [("s", [Doc("x", "1", is_removed=True), Doc("y", "2", is_removed=True)])])
    corpus = Corpus.load(sifted, judged, sources("s"))
    corpus.drop_duplicates(Duplicates())
    corpus.assign_splits(Split(), 1)
    with pytest.raises(Fault, match=r"all 2 records .*too_few_words 2"):
        require_held_out(corpus, Split())
    for side, missing in ((TRAIN, "test"), (TEST, "train")):
        corpus.side[:] = side
        with pytest.raises(Fault, match=f"the domain's {missing} set is empty: 0 of 2"):
            require_held_out(corpus, Split())


def test_files_of_the_same_rows_are_read_together(tmp_path: Path) -> None:
    sifted, judged = write_units(tmp_path, [("s", [Doc(str(i), str(i)) for i in range(50)])], 7)
    table = pa.table({"n": list(range(50))})
    pq.write_table(table, unit_file(judged, 0), row_group_size=11)
    with Rows(judged, 0, ["n"]) as rows:
        assert [rows.take(n)["n"].to_pylist() for n in (0, 13, 20, 17)] == [
            [], list(range(13)), list(range(13, 33)), list(range(33, 50))
        ]  # fmt: skip
    records = np.array([0, 6, 7, 20, 49])
    assert sifted.take(records, ["id"])["id"].to_pylist() == [f"s/{i}" for i in records]
    assert sifted.take(records[:0], ["id"]).num_rows == 0
    assert Sifted.open(tmp_path / "sifted", 1).records_of(0) == slice(0, 50)


def test_digests_are_those_of_xxhash() -> None:
    draw = np.random.default_rng(2)
    texts = ["".join(chr(c) for c in draw.choice([65, 233, 0x4E00, 0x1F600], n)) for n in draw.integers(0, 90, 500)]
    texts += ["x" * n for n in range(70)]
    array = pa.array(["sliced off", *texts]).slice(1)
    for prefix in ("", "1/", "p" * 40):
        assert xxh64(array, prefix).tolist() == [xxhash.xxh64_intdigest((prefix + text).encode()) for text in texts]
    assert len(xxh64(pa.array([], pa.string()))) == 0
    with pytest.raises(ValueError, match="null"):
        xxh64(pa.array([None], pa.string()))
