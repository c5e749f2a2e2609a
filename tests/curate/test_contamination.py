"""Laws of the contamination check: a leak is found however it is set, its owner named, and nothing else called one."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.contamination import Hits, NgramIndex, _place_of, phrase, resolve
from curate.passes.contaminate import require_text
from curate.passes.sift import unit_file
from curate.passes.sifted import Sifted
from curate.shards.fault import Fault
from curate.text import TextBatch


def _prose(draw: np.random.Generator, words: int, vocabulary: str = "w") -> list[str]:
    return [f"{vocabulary}{i}" for i in draw.integers(0, 3000, words)]


def _index(held_out: dict[str, str], words: int = 13) -> NgramIndex:
    return NgramIndex.build([(list(held_out), TextBatch.of(list(held_out.values())))], words)


def _leaking(index: NgramIndex, texts: list[str], common_in: int = 10) -> list[int]:
    leaks, _ = resolve(index.scan(TextBatch.of(texts)), common_in)
    return leaks.document.tolist()


HELD_OUT = {f"test/{i}": " ".join(_prose(np.random.default_rng(i), 80)) for i in range(20)}


@pytest.mark.parametrize(
    "disguised",
    [
        lambda words: " ".join(words),
        lambda words: "\n".join(words).upper(),
        lambda words: ", ".join(words).title() + ".",
        lambda words: "> " + "\r\n> ".join(" ".join(words[i : i + 4]) for i in range(0, len(words), 4)),
        lambda words: " — ".join("".join(chr(ord(c) + 0xFEE0) for c in word) for word in words),  # full-width
    ],
    ids=["as it stands", "re-wrapped and shouted", "punctuated", "quoted lines", "full-width"],
)
@pytest.mark.parametrize("n_words", [13, 14, 40])
def test_a_leaked_span_is_found_however_it_is_set(disguised, n_words: int) -> None:  # type: ignore[no-untyped-def]
    index, draw = _index(HELD_OUT), np.random.default_rng(99)
    texts = []
    for i in range(20):
        start = int(draw.integers(0, 80 - n_words + 1))
        span = disguised(HELD_OUT[f"test/{i}"].split()[start : start + n_words])
        texts.append(" ".join([*_prose(draw, 50, "x"), span, *_prose(draw, 50, "x")]))
    batch = TextBatch.of(texts)
    leaks, common = resolve(index.scan(batch), 10)
    assert leaks.document.tolist() == list(range(20))
    assert len(common.ngram) == 0
    assert [index.owner_of(ngram) for ngram in leaks.ngram] == list(HELD_OUT)
    assert leaks.n_hits.tolist() == [n_words - 12] * 20
    np.testing.assert_allclose(leaks.share, (n_words - 12) / (100 + n_words - 12), rtol=1e-6)
    assert leaks.word.tolist() == [50] * 20


def test_the_evidence_holds_the_words() -> None:
    index = _index({"q/1": "In which of the following organs is the enzyme catalase found in abundance today?"})
    text = "Q: in which of the\nfollowing organs is the enzyme  Catalase found in abundance?"
    batch = TextBatch.of(["Unrelated.", text])
    leaks, _ = resolve(index.scan(batch), 10)
    assert leaks.document.tolist() == [1]
    words = phrase(batch, 1, int(leaks.word[0]), int(index.n_words[leaks.ngram[0]]))
    assert words == "in which of the following organs is the enzyme Catalase found in abundance"


def test_twelve_shared_words_are_no_leak() -> None:
    words = HELD_OUT["test/3"].split()
    other = _prose(np.random.default_rng(50), 40, "y")
    assert _leaking(_index(HELD_OUT), [" ".join([*other, *words[20:32], *other]), " ".join(words[20:33])]) == [1]


def test_unrelated_text_raises_no_alarm() -> None:
    draw = np.random.default_rng(1000)
    texts = [" ".join(_prose(draw, 400)) for _ in range(500)]  # the same vocabulary, 200,000 n-grams
    assert len(_index(HELD_OUT).scan(TextBatch.of(texts))) == 0


def test_short_held_out_documents_are_matched_whole_and_shorter_ones_counted() -> None:
    nine = "the capital of france is the city of paris"
    index = _index({"q/1": nine, "q/2": "only seven words are in this one", "q/3": ""})
    assert index.too_short == 2
    assert index.n_words.tolist() == [9]
    within = "And so: the capital of France is the city of Paris, as all know who have been there."
    other = ["the capital of france is the city of lights", "only seven words are in this one"]
    batch = TextBatch.of([within, nine.title(), *other])
    leaks, _ = resolve(index.scan(batch), 10)
    assert leaks.document.tolist() == [0, 1]
    assert phrase(batch, 0, int(leaks.word[0]), 9) == "the capital of France is the city of Paris"
    assert leaks.share[1] == 1.0


def test_a_phrase_in_more_documents_than_the_bound_is_common_and_listed() -> None:
    licence = "permission is hereby granted free of charge to any person obtaining a copy of this software"
    index = _index({"test/licence": licence, **HELD_OUT})
    draw = np.random.default_rng(8)
    texts = [" ".join([*_prose(draw, 30, "x"), licence]) for _ in range(11)]
    texts.append(licence + " " + HELD_OUT["test/5"])
    assert _leaking(index, texts, common_in=12) == list(range(12))
    leaks, common = resolve(index.scan(TextBatch.of(texts)), common_in=11)
    assert leaks.document.tolist() == [11]  # it leaks something else as well
    assert [index.owner_of(ngram) for ngram in leaks.ngram] == ["test/5"]
    assert leaks.n_hits.tolist() == [80 - 12]
    assert common.n_documents.tolist() == [12] * (len(licence.split()) - 12)
    assert common.document.tolist() == [0] * len(common.ngram)
    assert {index.owner_of(ngram) for ngram in common.ngram} == {"test/licence"}


@given(
    st.lists(st.integers(0, 2**64 - 1), min_size=1, unique=True), st.integers(0, 2**64 - 1), st.sampled_from([0, 40])
)
@settings(max_examples=200, deadline=None)
def test_a_hash_is_found_among_sorted_ones_however_they_are_spread(some: list[int], other: int, narrow: int) -> None:
    hashes = np.unique(np.array([value >> narrow for value in some], np.uint64))
    for place, value in enumerate(hashes):
        assert _place_of(value, hashes) == place
    assert 0 <= _place_of(np.uint64(other), hashes) < len(hashes)


def test_every_length_has_a_filter_that_lets_its_own_pass_and_few_others() -> None:
    draw = np.random.default_rng(5)
    held_out = {f"q/{i}": " ".join(_prose(draw, 8 + i % 40)) for i in range(400)}
    index = _index(held_out)
    assert index.lengths.tolist() == [8, 9, 10, 11, 12, 13]
    strangers = draw.integers(0, 2**64, 100_000, dtype=np.uint64)
    for length, bitmap in zip(index.lengths, index.filters, strict=True):
        own = index.hashes[index.n_words == length]
        assert len(own)
        assert _lets_pass(bitmap, own).all()
        assert _lets_pass(bitmap, strangers).mean() < 0.02
    assert sorted(index.scan(TextBatch.of(list(held_out.values()))).ngram.tolist()) == list(range(len(index)))


def _lets_pass(bitmap: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    word = bitmap[hashes >> np.uint64(64 + 6 - (len(bitmap) * 64 - 1).bit_length())]
    bits = [word >> (hashes >> np.uint64(shift) & np.uint64(63)) & np.uint64(1) for shift in (0, 6, 12)]
    return (bits[0] & bits[1] & bits[2]) == 1


def test_an_ngram_counts_once_a_document_and_names_its_first_place() -> None:
    words = HELD_OUT["test/0"].split()[:13]
    hits = _index(HELD_OUT).scan(TextBatch.of([" ".join(["x", *words, "y", *words])]))
    assert hits.document.tolist() == [0]
    assert hits.word.tolist() == [1]
    assert hits.out_of.tolist() == [28 - 12]


@given(st.permutations(range(12)), st.integers(1, 11))
@settings(max_examples=30, deadline=None)
def test_neither_batches_nor_their_order_change_the_answer(order: list[int], cut: int) -> None:
    ids = [f"d/{i:02d}" for i in range(12)]
    texts = [" ".join(_prose(np.random.default_rng(i // 2), 30 + i % 2)) for i in range(12)]  # pairs share n-grams
    whole = _index(dict(zip(ids, texts, strict=True)))
    parts = [order[:cut], order[cut:]]
    other = NgramIndex.build([([ids[i] for i in part], TextBatch.of([texts[i] for i in part])) for part in parts], 13)
    assert whole.owners.equals(other.owners)
    for name in ("hashes", "owner", "held_by", "n_words", "bitmap"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(other, name))
    assert set(whole.held_by.tolist()) == {1, 2}
    assert {whole.owner_of(i) for i in range(len(whole))} == set(ids)  # the even of each pair, the odd for its own tail
    at_once = whole.scan(TextBatch.of(texts))
    scanned = [whole.scan(TextBatch.of([texts[i] for i in part])).numbered(np.array(part)) for part in parts]
    one, two = resolve(at_once, 10)[0], resolve(Hits.joined(scanned), 10)[0]
    assert one.document.tolist() == two.document.tolist() == list(range(12))
    assert one.ngram.tolist() == two.ngram.tolist()


def test_an_index_comes_back_from_disk(tmp_path: Path) -> None:
    index = _index({**HELD_OUT, "z": "too short"})
    index.save(tmp_path / "index")
    loaded = NgramIndex.load(tmp_path / "index")
    assert loaded.too_short == 1
    assert loaded.owners.equals(index.owners)
    text = TextBatch.of([HELD_OUT["test/7"]])
    assert loaded.scan(text).ngram.tolist() == index.scan(text).ngram.tolist() != []


def test_a_benchmark_of_which_nothing_can_be_read_is_a_fault(tmp_path: Path) -> None:
    reasons = {0: [None, "broken_json"], 1: ["missing_text"]}  # by unit
    for unit, values in reasons.items():
        pq.write_table(pa.table({"reason": pa.array(values, pa.string())}), unit_file(tmp_path, unit))
    require_text(Sifted.open(tmp_path, 2), ["exam", "exam"])  # one of its files is enough
    with pytest.raises(Fault, match="'other'"):
        require_text(Sifted.open(tmp_path, 2), ["exam", "other"])


def test_empty_sides_are_no_special_case() -> None:
    nothing = NgramIndex.build([], 13)
    assert len(nothing.scan(TextBatch.of(["some text"]))) == 0
    leaks, common = resolve(_index(HELD_OUT).scan(TextBatch.of([])), 10)
    assert len(leaks.document) == len(common.ngram) == 0
    assert len(_index(HELD_OUT).scan(TextBatch.of(["", "…", "one word"]))) == 0


@pytest.mark.real
def test_planted_leaks_in_real_text_are_found_and_nothing_else(shared_data: Path) -> None:
    """Sections of a code of law are held out; spans of 16 to 60 words of them are planted in a quarter of the news."""
    folder = shared_data / "neardup" / "minhash_articles"
    lines = (folder / "articles_1000.train").read_text().splitlines()
    with gzip.open(shared_data / "neardup" / "dc_code_revisions" / "docs.jsonl.gz", "rt") as code:
        held_out = {record["id"]: record["text"] for record, _ in zip(map(json.loads, code), range(1000), strict=False)}
    training = [line.split(" ", 1)[1] for line in lines]
    index = _index(held_out)
    assert _leaking(index, training) == []
    draw = np.random.default_rng(1)
    owners = [name for name in held_out if len(held_out[name].split()) > 100][: len(training) // 4]
    for i, owner in enumerate(owners):
        words, size = held_out[owner].split(), int(draw.integers(16, 60))
        start = int(draw.integers(0, len(words) - size))
        training[i] += "\n" + "\n".join(words[start : start + size]).upper()
    found = _leaking(index, training, common_in=1000)
    assert len(owners) > 200
    assert found == list(range(len(owners)))
