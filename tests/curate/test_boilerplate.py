"""Laws of boilerplate: what is counted is what a plain count over lines gives, and what is cut is just that."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sifted_units import Doc, write_units

import curate.passes.passages
from curate.boilerplate import MASK, Counts, Passages, Seen, without
from curate.engine import Pass, Tally
from curate.passes.sift import unit_file
from curate.passes.sifted import Sifted
from curate.passes.trim import FOUND, trim, trimmed
from curate.settings import Duplicates
from curate.text import TextBatch

OWN = ("fever heart Ärzte kidney 39 dose walk river court statute appeal motion brief opinion judge remand 発 x2 "
       "holds denied granted clause section").split()  # fmt: skip
STANDARD = (
    "Cite as: 558 U. S. ___ (2010)",
    "NOTICE: This opinion is subject to formal revision before publication",
    "Alle Rechte vorbehalten, Ärzte und Kläger",
    "Back to top",  # too few words to count
    "-- -- -- --",  # no words at all
    "home | search | help | contact us",
)
Units = list[tuple[str, list[Doc]]]


def _line(draw: np.random.Generator) -> str:
    if draw.random() < 0.4:
        line = str(draw.choice(STANDARD))
        return str(draw.choice([line, line.upper(), f"  {line}\t", line.replace(" ", "  "), f"* {line}!"]))
    if draw.random() < 0.2:
        return str(draw.choice(["", "   ", "\u00a0", "\u3000 \t"]))
    return " ".join(draw.choice(OWN, int(draw.integers(1, 9))))


def _document(draw: np.random.Generator) -> str:
    text = "\n".join(_line(draw) for _ in range(int(draw.integers(1, 14))))
    return text + str(draw.choice(["", "\n", "\n\n", " \n"])) if text.strip() else "nothing else"


def _corpus(seed: int, documents: int = 60) -> Units:
    """Two sources in three units; some documents that left before, some copies, some that are nothing else."""
    draw = np.random.default_rng(seed)
    units = []
    for number, source in enumerate(("court", "court", "web")):
        texts = [_document(draw) for _ in range(documents)]
        texts[5:15] = [" \n" + texts[4].upper() + "!"] * 10  # the same words
        for i in range(20, 34):
            texts[i] = f"{STANDARD[0]}\n\n{STANDARD[1]}" + f"\n\nown words {i}" * (i > 20)
        docs = [Doc(f"{number}-{i}", text, is_removed=i % 11 == 7) for i, text in enumerate(texts)]
        units.append((source, docs))
    return units


def _serially(step: Pass) -> None:
    step.engine.mkdir(parents=True, exist_ok=True)
    for rank in reversed(range(step.tasks)):
        with Tally.at(step.engine, rank) as tally:
            step.unit(rank, tally)


def _trim(folder: Path, units: Units, **settings: Any) -> tuple[dict[str, Any], Sifted, Path]:
    """(what was found, texts, verdicts)."""
    sifted, judged = write_units(folder, units)
    duplicates = Duplicates(boilerplate={"documents": 12, **settings})
    (folder / "trimmed").mkdir()
    trim(folder / "trimmed", sifted, judged, [name for name, _ in units], duplicates, 1, _serially)
    found = json.loads((folder / "trimmed" / FOUND).read_text(encoding="utf-8"))
    return found, *trimmed(sifted, judged, folder / "trimmed")


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[発]|[^\W発]+", text.lower()))


def _plain(text: str, unit: str) -> list[str]:
    """Passages of a text, blank ones aside."""
    parts = text.split("\n") if unit == "line" else re.split(r"\n(?:[^\S\n]*\n)+", text)
    return [part for part in parts if part.strip()]


def _oracle(units: Units, unit: str, documents: int = 12, share: float = 0.0, words: int = 4) -> dict[str, Counter]:
    """Source -> passages over the bound, by a plain count."""
    held: dict[str, dict[tuple[str, ...], set[tuple[str, ...]]]] = defaultdict(lambda: defaultdict(set))
    every = defaultdict(set)
    for source, docs in units:
        for doc in docs:
            if not doc.is_removed:
                every[source].add(_words(doc.text))
                for passage in _plain(doc.text, unit):
                    held[source][_words(passage)].add(_words(doc.text))
    return {
        source: Counter(
            {
                key: len(docs)
                for key, docs in passages.items()
                if len(key) >= words and len(docs) >= max(documents, share * len(every[source]))
            }
        )
        for source, passages in held.items()
    }


def _texts(sifted: Sifted) -> list[str]:
    return [text for _, rows in sifted.every(["text"]) for text in rows["text"].to_pylist()]


@pytest.mark.parametrize("unit", ["line", "paragraph"])
@pytest.mark.parametrize("share", [0.0, 0.2])
def test_what_is_found_is_what_a_plain_count_finds(tmp_path: Path, unit: str, share: float) -> None:
    units = _corpus(1)
    found, sifted, _ = _trim(tmp_path, units, unit=unit, share=share)
    wanted = _oracle(units, unit, share=share)
    told = {source: Counter() for source in wanted}
    for row in found["shown"]:
        told[row["source"]][_words(row["text"])] += row["documents"]
    assert told == wanted
    assert {row["source"]: row["passages"] for row in found["by_source"]} == {s: len(w) for s, w in wanted.items()}
    assert sum(map(len, wanted.values())) >= 2
    assert _texts(sifted) == [doc.text for _, docs in units for doc in docs]  # counting changes nothing
    assert found["by_source"][0]["touched"] == found["by_source"][0]["bytes_cut"] == 0


@pytest.mark.parametrize("unit", ["line", "paragraph"])
def test_what_is_removed_is_just_what_was_found(tmp_path: Path, unit: str) -> None:
    units = _corpus(2)
    found, sifted, judged = _trim(tmp_path, units, unit=unit, action="remove")
    wanted = _oracle(units, unit)
    after, cut = _texts(sifted), 0
    fates = [row for rank in range(3) for row in pq.read_table(unit_file(judged, rank)).to_pylist()]
    left = touched = 0
    for (source, doc), text, verdict in zip(((s, d) for s, docs in units for d in docs), after, fates, strict=True):
        if doc.is_removed:
            assert (text, verdict["reason"]) == (doc.text, "too_few_words")
            continue
        before = _plain(doc.text, unit)
        stays = [passage for passage in before if _words(passage) not in wanted[source]]
        if not stays:
            left += 1
            assert text == doc.text  # it leaves as it was
            told = (verdict["fate"], verdict["stage"], verdict["reason"], verdict["reasons"])
            assert told == ("removed", "boilerplate", "only_boilerplate", ["only_boilerplate"])
            assert source in verdict["evidence"]
            continue
        assert verdict["fate"] is None
        if stays == before:
            assert text == doc.text
        else:
            assert _plain(text, unit) == stays
            assert text.endswith("\n") <= doc.text.endswith("\n")
            touched, cut = touched + 1, cut + len(doc.text.encode()) - len(text.encode())
    assert left >= 3
    assert touched > 30
    assert [sum(row[name] for row in found["by_source"]) for name in ("left", "touched", "bytes_cut")] == [
        left,
        touched,
        cut,
    ]
    sizes = [row for _, rows in sifted.every(["n_bytes", "bytes_trimmed", "text"]) for row in rows.to_pylist()]
    read = [len(doc.text.encode()) for _, docs in units for doc in docs]
    assert [row["n_bytes"] + row["bytes_trimmed"] for row in sizes] == read
    assert [row["n_bytes"] for row in sizes] == [len(row["text"].encode()) for row in sizes]


def test_nothing_is_found_in_what_was_trimmed(tmp_path: Path) -> None:
    units = _corpus(3)
    found, sifted, judged = _trim(tmp_path / "one", units, action="remove")
    assert found["shown"]
    texts = iter(_texts(sifted))
    fates = [fate for rank in range(3) for fate in pq.read_table(unit_file(judged, rank))["fate"].to_pylist()]
    told = iter(fates)
    again = [(s, [Doc(d.id, next(texts), is_removed=next(told) is not None) for d in docs]) for s, docs in units]
    found, _, _ = _trim(tmp_path / "two", again)
    assert found["shown"] == []
    assert sum(row["documents"] for row in found["by_source"]) > 60


@pytest.mark.parametrize("unit", ["line", "paragraph"])
def test_a_mask_stands_once_where_passages_in_a_row_stood_and_no_document_leaves(tmp_path: Path, unit: str) -> None:
    units = _corpus(4)
    found, sifted, judged = _trim(tmp_path, units, unit=unit, action="mask")
    wanted = _oracle(units, unit)
    assert judged == tmp_path / "judged"
    rows_in_a_row = 0
    for (source, doc), text in zip(((s, d) for s, docs in units for d in docs), _texts(sifted), strict=True):
        masked: list[str] = []
        for passage in _plain(doc.text, unit):
            is_boilerplate = _words(passage) in wanted[source] and not doc.is_removed
            if is_boilerplate and masked and masked[-1] == MASK:
                rows_in_a_row += 1
            else:
                masked.append(MASK if is_boilerplate else passage)
        assert [p.strip() for p in _plain(text, unit)] == [p.strip() for p in masked]
    assert rows_in_a_row > 5
    assert MASK in _texts(sifted)  # a document that was nothing else
    assert sum(row["left"] for row in found["by_source"]) == 0


def test_the_same_text_is_found_in_any_units_and_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    units = _corpus(5)
    found, sifted, _ = _trim(tmp_path / "one", units, action="remove")
    monkeypatch.setattr(curate.passes.passages, "PASSAGES_HELD", 8)
    court = units[0][1] + units[1][1]
    other = [("web", units[2][1][:9]), ("web", units[2][1][9:]), ("court", court[:70]), ("court", court[70:])]
    again, resifted, _ = _trim(tmp_path / "two", other, action="remove")
    by_id = dict(zip(_ids(sifted), _texts(sifted), strict=True))
    assert dict(zip(_ids(resifted), _texts(resifted), strict=True)) == by_id
    assert len(again["shown"]) == len(found["shown"]) > 2
    for one, two in zip(again["shown"], found["shown"], strict=True):  # in the words of the first document
        assert {**one, "text": _words(one["text"])} == {**two, "text": _words(two["text"])}
    assert sorted(again["by_source"], key=str) == sorted(found["by_source"], key=str)


def _ids(sifted: Sifted) -> list[str]:
    return [name for _, rows in sifted.every(["id"]) for name in rows["id"].to_pylist()]


def test_counters_that_keys_share_miss_nothing() -> None:
    draw = np.random.default_rng(6)
    keys = draw.integers(0, 2**64, 30_000, np.uint64)
    parts = [_counted(draw.choice(keys, 40_000)) for _ in range(5)]
    seen = Seen(1)  # 65,536 counters
    for part in parts:
        seen.add(part)
    whole = Counts.joined(parts)
    assert whole.documents.sum() == 200_000
    reach = whole.documents >= 12
    assert 0 < reach.sum() < len(whole)
    assert seen.may_reach(whole, 12)[reach].all()
    assert not seen.may_reach(whole, 12).all()
    full = Counts(whole.key, whole.documents * 70_000, whole.n_bytes, whole.record)
    seen.add(full)  # counters stop at their largest value
    assert seen.may_reach(full, 1 << 40).all()


def _counted(keys: np.ndarray) -> Counts:
    ones = np.ones(len(keys), np.int64)
    return Counts(keys, ones, ones, ones).summed()


@pytest.mark.parametrize(
    ("text", "cut", "wanted"),
    [
        ("a\nb b b b\nc\n", {1}, "a\nc\n"),
        ("a\nb b b b", {1}, "a"),
        ("a\n\nb b b b", {1}, "a"),
        ("b b b b\na", {0}, "a"),
        ("a\n  b b b b  \n\nc", {1}, "a\n\nc"),
        ("b b b b\n\nb b b b\n", {0, 1}, "\n"),
    ],
)
def test_a_line_leaves_with_its_break(text: str, cut: set[int], wanted: str) -> None:
    batch = TextBatch.of(["before\n", text, "behind"])
    passages = Passages.of(batch, "line")
    leaves = np.zeros(len(passages.key), np.bool_)
    leaves[[passages.first[1] + at for at in cut]] = True
    assert without(batch, passages, leaves).to_pylist() == ["before\n", wanted, "behind"]


def test_page_headers_of_the_supreme_court_are_found(tmp_path: Path, shared_data: Path) -> None:
    texts = _real(shared_data)
    units: Units = [("scotus", [Doc(str(i), text) for i, text in enumerate(texts)])]
    found, _, _ = _trim(tmp_path, units, documents=20)
    told = [row["text"] for row in found["shown"]]
    assert any("Cite as" in text or "Opinion of the Court" in text for text in told)


test_page_headers_of_the_supreme_court_are_found = pytest.mark.real(test_page_headers_of_the_supreme_court_are_found)


def _real(shared: Path) -> Sequence[str]:
    import pyarrow as pa

    path = shared / "legal" / "scotus_ot2009-2011_pdftotext.jsonl.zst"
    lines = pa.input_stream(str(path), compression="zstd").read().splitlines()
    return [json.loads(line)["text"] for line in lines[:120]]
