"""Laws of the certificate: its figures are what brute force finds, and nothing that crosses is passed over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sifted_units import Doc, sources, write_units

from curate.certificate import longest, suffix_array
from curate.certified import Counted, verdict
from curate.engine import run_pass
from curate.passes.certify import certify
from curate.passes.decide import Corpus
from curate.settings import ByGroup, Curate, Duplicates, Split
from curate.split import NOWHERE, SIDES

Row = dict[str, Any]
WORDS = [f"w{i}" for i in range(400)]


def quiet(*_: object) -> None: ...


def certified(
    folder: Path, docs: dict[str, tuple[str, Doc]], split: Split | None = None, rows_in_group: int = 7, workers: int = 1
) -> tuple[Row, dict[str, Row]]:
    """(certificate.json, rows by id) of documents whose side is given by name, in two units of one source."""
    half = len(docs) // 2
    every = list(docs.values())
    units = [("s", [doc for _, doc in part]) for part in (every[:half], every[half:])]
    sifted, judged = write_units(folder, units, rows_in_group)
    corpus = Corpus.load(sifted, judged, sources("s", "s"))
    corpus.side = np.array([SIDES.index(side) for side, _ in every], np.uint8)
    (folder / "decided").mkdir()
    corpus.write(folder / "decided")
    (folder / "made").mkdir()
    certify(
        sifted,
        folder / "decided",
        Curate(split=split or Split()),
        folder / "made",
        lambda step: run_pass(step, workers, quiet),
    )
    told = json.loads((folder / "made" / "certificate.json").read_text())
    rows = pq.read_table(folder / "made" / "certificate.parquet").to_pylist()
    return told, {row["id"]: row for row in rows}


def _fragments(seed: int, documents: int) -> dict[str, tuple[str, Doc]]:
    """Documents made of pieces that recur, so that runs of many lengths are shared; some are short, some repeat
    themselves."""
    draw = np.random.default_rng(seed)
    pieces = [" ".join(draw.choice(WORDS, int(draw.integers(3, 30)))) for _ in range(40)]
    pieces.append("again " * 20)
    docs: dict[str, tuple[str, Doc]] = {}
    for i in range(documents):
        text = " ".join(pieces[k] for k in draw.integers(0, len(pieces), int(draw.integers(1, 6))))
        if i % 7 == 0:
            text = " ".join(text.split()[: int(draw.integers(5, 13))])
        docs[f"s/{i:03d}"] = (("train", "train", "validation", "test")[i % 4], Doc(f"{i:03d}", text))
    return docs


def _ngrams(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    n = min(13, len(words))
    return {tuple(words[at : at + n]) for at in range(len(words) - n + 1)}


def _runs_of(text: str, n: int) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[at : at + n]) for at in range(len(words) - n + 1)}


def _by_hand(text: str, training: dict[str, str]) -> Row:
    """Containment and longest span by comparing everything with everything."""
    words = text.split()
    own = _ngrams(text) if len(words) >= 8 else set()
    held = {name: len(own & _runs_of(there, min(13, len(words)))) for name, there in training.items()}
    most = max(held.values(), default=0)
    anywhere = {gram for there in training.values() for gram in own & _runs_of(there, min(13, len(words)))}
    span = 0
    for there in training.values() if own else []:
        theirs = there.split()
        before = [0] * (len(theirs) + 1)
        for word in words:
            row = [0] + [before[at] + 1 if other == word else 0 for at, other in enumerate(theirs)]
            span, before = max(span, *row), row
    return {
        "ngrams": len(own),
        "containment": most / len(own) if own else 0.0,
        "contained_in": min((name for name, n in held.items() if n == most), default=None) if most else None,
        "anywhere": len(anywhere) / len(own) if own else 0.0,
        "span_words": span if span >= min(13, len(words)) and own else 0,
    }


@pytest.mark.parametrize("seed", range(4))
def test_every_figure_is_what_brute_force_finds(tmp_path: Path, seed: int) -> None:
    docs = _fragments(seed, 80)
    told, rows = certified(tmp_path, docs)
    training = {name: doc.text for name, (side, doc) in docs.items() if side == "train"}
    assert rows.keys() == docs.keys() - training.keys()
    for name, row in rows.items():
        text = docs[name][1].text
        assert {key: row[key] for key in ("ngrams", "containment", "contained_in", "anywhere", "span_words")} == (
            _by_hand(text, training)
        )
        assert (row["words"], row["split"]) == (len(text.split()), docs[name][0])
        if row["span_words"]:  # where it says, there it stands
            here, there = text.split(), training[row["span_in"]].split()
            at, beyond = row["span_at"], row["span_at_there"]
            n = row["span_words"]
            assert here[at : at + n] == there[beyond : beyond + n]
    assert 0 < told["touched"] == sum(row["containment"] > 0 for row in rows.values()) < len(rows)
    assert told["largest_containment"] == max(row["containment"] for row in rows.values()) >= 0.5
    assert told["longest_span_words"] == max(row["span_words"] for row in rows.values()) > 13
    assert any(0 < row["ngrams"] <= 1 and row["containment"] == 1 for row in rows.values())  # a short text, whole
    assert told["too_short"] == sum(row["words"] < 8 for row in rows.values()) > 0
    assert any(row["anywhere"] > row["containment"] > 0 for row in rows.values())


@hypothesis.settings(deadline=None)  # the first call compiles
@given(
    st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=12), max_size=6),
    st.lists(st.integers(0, 3), min_size=1, max_size=12),
)
def test_the_suffix_array_finds_the_longest_run(stretches: list[list[int]], pattern: list[int]) -> None:
    text = [n for at, run in enumerate(stretches) for n in (*run, 4 + at)]
    order = suffix_array(np.array(text, np.int64))
    assert [text[at:] for at in order] == sorted(text[at:] for at in range(len(text)))
    found = [
        (length, -begin, -where)
        for begin in range(len(pattern))
        for where in range(len(text))
        for length in range(1, len(pattern) - begin + 1)
        if text[where : where + length] == pattern[begin : begin + length]
    ]
    length, begin, where = (int(n) for n in longest(np.array(pattern), np.array(text, np.int64), order))
    expected = max(found, default=(0, 0, -len(text)))
    assert (length, -begin, -where) == expected


def test_workers_batches_and_order_change_nothing(tmp_path: Path) -> None:
    docs = _fragments(9, 60)
    expected = certified(tmp_path / "one", docs)
    backwards = dict(reversed(docs.items()))
    for name, given_docs, group, workers in (("two", docs, 3, 2), ("back", backwards, 50, 1)):
        assert certified(tmp_path / name, given_docs, None, group, workers) == expected


def test_a_leak_that_was_let_stand_is_shown_with_its_place(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    prose = [" ".join(draw.choice(WORDS, 60)) for _ in range(30)]
    docs = {f"s/{i}": ("train" if i % 3 else "test", Doc(str(i), text)) for i, text in enumerate(prose)}
    leak = prose[9].split()[20:45]
    for i in (31, 32, 33, 34):  # so common that no rule took it out
        docs[f"s/{i}"] = ("train", Doc(str(i), " ".join([*prose[i - 30].split()[:7], *leak, "end", str(i)]).upper()))
    told, rows = certified(tmp_path, docs)
    assert told["worst_first"][0] == rows["s/9"]
    row = rows["s/9"]
    assert (row["span_words"], row["span_at"], row["span_in"], row["span_at_there"]) == (25, 20, "s/31", 7)
    assert (row["contained_in"], row["containment"]) == ("s/31", 13 / 48)
    assert [name for name, row in rows.items() if row["containment"]] == ["s/9"]
    assert told["above"]["span_words"] == [
        {"at_least": 13, "documents": 1}, {"at_least": 25, "documents": 1}, {"at_least": 50, "documents": 0}
    ]  # fmt: skip
    assert "1 of 10 held-out documents (10 %) shares 13 words in a row" in told["verdict"]


def test_what_crosses_the_split_is_counted(tmp_path: Path) -> None:
    """Sides that no split would give: an exact copy and a group on both sides."""
    draw = np.random.default_rng(4)
    prose = [" ".join(draw.choice(WORDS, 40)) for _ in range(6)]
    docs = {
        "s/a": ("train", Doc("a", prose[0], meta='{"journal": "x"}')),
        "s/b": ("test", Doc("b", prose[0].upper(), meta='{"journal": "y"}')),
        "s/c": ("train", Doc("c", prose[1], meta='{"journal": "y"}')),
        "s/d": ("train", Doc("d", prose[2], meta='{"journal": "z"}')),
        "s/e": ("validation", Doc("e", prose[3])),
        "s/f": ("train", Doc("f", prose[4])),
    }
    told, _ = certified(tmp_path / "crossing", docs, Split(by=ByGroup(group="journal")))
    assert told["crossing"] == {"clusters": 0, "exact_copies": 1, "groups": 1}
    assert told["verdict"].startswith("1 exact text and 1 group stand on both sides")
    docs["s/b"] = ("test", Doc("b", prose[5], meta='{"journal": "v"}'))
    told, _ = certified(tmp_path / "clean", docs, Split(by=ByGroup(group="journal")))
    assert told["crossing"] == {"clusters": 0, "exact_copies": 0, "groups": 0}
    assert told["touched"] == 0


def test_a_cluster_on_both_sides_is_counted(tmp_path: Path) -> None:
    text = [WORDS[i] for i in np.random.default_rng(1).integers(0, 400, 600)]
    chain = [Doc(f"d{i}", " ".join(text[i * 30 : i * 30 + 400])) for i in range(4)]  # its ends are unlike: both stay
    sifted, judged = write_units(tmp_path, [("s", chain)])
    for side, crossing in ((("test", "train"), 1), (("test", "test"), 0)):
        folder = tmp_path / side[1]
        corpus = Corpus.load(sifted, judged, sources("s"))
        corpus.drop_duplicates(Duplicates())
        kept = np.flatnonzero(corpus.kept)
        assert len(kept) == 2
        corpus.side = np.full(4, NOWHERE, np.uint8)
        corpus.side[kept] = [SIDES.index(one) for one in side]
        for name in ("decided", "made"):
            (folder / name).mkdir(parents=True)
        corpus.write(folder / "decided")
        certify(sifted, folder / "decided", Curate(), folder / "made", lambda step: run_pass(step, 1, quiet))
        told = json.loads((folder / "made" / "certificate.json").read_text())
        assert told["crossing"]["clusters"] == crossing
        assert ("cannot be trusted" in told["verdict"]) == bool(crossing)


def test_what_was_certified_has_a_name_that_anybody_can_work_out(tmp_path: Path) -> None:
    import xxhash

    docs = _fragments(5, 20)
    told, _ = certified(tmp_path, docs)
    ids = sum(xxhash.xxh64_intdigest(f"{side}/{name}".encode()) for name, (side, _) in docs.items()) % 2**64
    texts = sum(xxhash.xxh64_intdigest(doc.text.encode()) for _, doc in docs.values()) % 2**64
    assert told["certified"]["documents"] == 20
    assert (told["certified"]["ids"], told["certified"]["texts"]) == (f"{ids:016x}", f"{texts:016x}")


def test_a_corpus_without_held_out_or_training_text_is_certified_too(tmp_path: Path) -> None:
    for side in ("train", "test"):
        docs = {name: (side, doc) for name, (_, doc) in _fragments(6, 12).items()}
        told, rows = certified(tmp_path / side, docs)
        assert (told["documents"], told["touched"]) == (len(rows), 0) == (12 * (side == "test"), 0)


def test_the_verdict_says_no_more_than_the_numbers() -> None:
    none = {"clusters": 0, "exact_copies": 0, "groups": 0}
    assert verdict(Counted(documents=5), none) == (
        "No cluster of copies, no exact text and no group stands on both sides. None of the 5 held-out documents "
        "shares 13 words in a row with training text."
    )
    one = verdict(Counted(documents=400, touched=2, largest=0.125, longest=1234), {"clusters": 3, "exact_copies": 0})
    assert one.startswith("3 clusters of copies stand on both sides of the split: the held-out result cannot be")
    assert "2 of 400 held-out documents (0.5 %) share 13 words" in one
    assert one.endswith("the longest run of words in common is 1,234.")
