"""Laws of the contamination check: a leak is found however it is set, its owner named, and nothing else called one."""

from __future__ import annotations

import gzip
import json
import unicodedata
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.contamination import CommonPhrases, Containment, Found, Leaks, Rule, SharedRun, phrase, resolve
from curate.hash_lookup import first_of_each, place_of
from curate.ngram_index import NgramIndex
from curate.passes.contaminate import require_text
from curate.passes.sift import unit_file
from curate.passes.sifted import Sifted
from curate.shards.fault import Fault
from curate.text import TextBatch
from curate.written_forms import as_one_form


def _prose(draw: np.random.Generator, words: int, vocabulary: str = "w") -> list[str]:
    return [f"{vocabulary}{i}" for i in draw.integers(0, 3000, words)]


RUN = SharedRun(13)


def _index(held_out: dict[str, str], rule: Rule = RUN) -> NgramIndex:
    return NgramIndex.build([(list(held_out), TextBatch.of(list(held_out.values())))], rule.words, rule.shortest)


def _resolve(index: NgramIndex, batch: TextBatch, common_in: int = 10, rule: Rule = RUN) -> tuple[Leaks, CommonPhrases]:
    return resolve(rule, index, rule.scan(index, batch), common_in)


def _leaking(index: NgramIndex, texts: list[str], common_in: int = 10, rule: Rule = RUN) -> list[int]:
    return _resolve(index, TextBatch.of(texts), common_in, rule)[0].document.tolist()


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
    leaks, common = _resolve(index, batch)
    assert leaks.document.tolist() == list(range(20))
    assert len(common.ngram) == 0
    assert [index.owner_of(ngram) for ngram in leaks.ngram] == list(HELD_OUT)
    assert leaks.n_hits.tolist() == [n_words - 12] * 20
    np.testing.assert_allclose(leaks.score, (n_words - 12) / (100 + n_words - 12), rtol=1e-6)
    assert leaks.word.tolist() == [50] * 20


def test_the_evidence_holds_the_words() -> None:
    index = _index({"q/1": "In which of the following organs is the enzyme catalase found in abundance today?"})
    text = "Q: in which of the\nfollowing organs is the enzyme  Catalase found in abundance?"
    batch = TextBatch.of(["Unrelated.", text])
    leaks, _ = _resolve(index, batch)
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
    leaks, _ = _resolve(index, batch)
    assert leaks.document.tolist() == [0, 1]
    assert phrase(batch, 0, int(leaks.word[0]), 9) == "the capital of France is the city of Paris"
    assert leaks.score[1] == 1.0


def test_a_phrase_in_more_documents_than_the_bound_is_common_and_listed() -> None:
    licence = "permission is hereby granted free of charge to any person obtaining a copy of this software"
    index = _index({"test/licence": licence, **HELD_OUT})
    draw = np.random.default_rng(8)
    texts = [" ".join([*_prose(draw, 30, "x"), licence]) for _ in range(11)]
    texts.append(licence + " " + HELD_OUT["test/5"])
    assert _leaking(index, texts, common_in=12) == list(range(12))
    leaks, common = _resolve(index, TextBatch.of(texts), 11)
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
        assert place_of(value, hashes) == place
    assert 0 <= place_of(np.uint64(other), hashes) < len(hashes)


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
    other = NgramIndex.build(
        [([ids[i] for i in part], TextBatch.of([texts[i] for i in part])) for part in parts], 13, 8
    )
    assert whole.owners.equals(other.owners)
    for name in ("sizes", "hashes", "owner", "shared", "n_words", "bitmap"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(other, name))
    assert {len(whole.holders(i)) for i in range(len(whole))} == {1, 2}
    assert {whole.owner_of(i) for i in range(len(whole))} == set(ids)  # the even of each pair, the odd for its own tail
    scanned = [RUN.scan(whole, TextBatch.of([texts[i] for i in part])).numbered(np.array(part)) for part in parts]
    one, two = _resolve(whole, TextBatch.of(texts))[0], resolve(RUN, whole, Found.joined(scanned), 10)[0]
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
    nothing = NgramIndex.build([], 13, 8)
    assert len(nothing.scan(TextBatch.of(["some text"]))) == 0
    leaks, common = _resolve(_index(HELD_OUT), TextBatch.of([]))
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


# -- containment


HALF = Containment(8, 0.5, 13)


def _sets(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + 8]) for i in range(len(words) - 7)}


def _by_brute_force(items: dict[str, str], texts: list[str], at_least: float, common_in: int) -> dict[int, set[str]]:
    """Of each text, the items that it shares most with, where that is enough."""
    held = Counter(ngram for text in texts for ngram in _sets(text))
    leaks = {}
    for i, text in enumerate(texts):
        shares = {
            name: Fraction(sum(held[n] <= common_in for n in _sets(item) & _sets(text)), min(map(len, both)))
            for name, item in items.items()
            if len(item.split()) >= 13 and all(both := (_sets(item), _sets(text)))
        }
        best = max(shares.values(), default=Fraction(0))
        if best and best >= Fraction(str(at_least)):
            leaks[i] = {name for name, share in shares.items() if share == best}
    return leaks


@pytest.mark.parametrize("at_least", [0.1, 0.3, 0.5, 0.7, 1.0])
def test_containment_is_what_brute_force_over_sets_finds(at_least: float) -> None:
    """Items and texts of a few dozen words out of common passages, so that shares of every size occur."""
    draw, rule = np.random.default_rng(int(at_least * 10)), Containment(8, at_least, 13)
    passages = [_prose(draw, int(draw.integers(4, 25))) for _ in range(80)]

    def text() -> str:
        some = 80 * draw.random(int(draw.integers(1, 6))) ** 2  # the first ones are many texts'
        return " ".join(word for i in some.astype(int) for word in passages[i])

    items = {f"i/{i:02d}": text() for i in range(60)}
    texts = [text() for _ in range(400)]
    index = _index(items, rule)
    expected = _by_brute_force(items, texts, at_least, 20)
    assert 20 < len(expected) < 400
    leaks, common = _resolve(index, TextBatch.of(texts), 20, rule)
    assert leaks.document.tolist() == list(expected)
    assert len(common.ngram)
    named = [str(index.owners[item]) for item in leaks.item.tolist()]
    assert named == [min(names) for names in expected.values()]
    for i, item, ngram, hits in zip(leaks.document, named, leaks.ngram, leaks.n_hits, strict=True):
        assert item in [str(index.owners[holder]) for holder in index.holders(ngram)]
        assert hits <= len(_sets(items[item]) & _sets(texts[i]))


def test_an_item_or_a_document_within_the_other_is_contained() -> None:
    long, short = " ".join(_prose(np.random.default_rng(1), 200)), " ".join(_prose(np.random.default_rng(2), 20))
    index = _index({"long": long, "short": short}, HALF)
    part = " ".join(long.split()[50:80])
    texts = [f"{' '.join(_prose(np.random.default_rng(3), 500))} {short}", part, f"{part} {part} {part}", long]
    leaks, _ = _resolve(index, TextBatch.of(texts), 10, HALF)
    assert [str(index.owners[item]) for item in leaks.item.tolist()] == ["short", "long", "long", "long"]
    assert leaks.score[[0, 1, 3]].tolist() == [1, 1, 1]
    assert leaks.n_hits[2] == 23  # each n-gram once


def test_items_shorter_than_a_run_are_left_to_the_first_rule() -> None:
    twelve = "which of these is the most likely cause of a sudden fever"
    index = _index({"q": twelve}, HALF)
    assert len(index) == 0
    assert _leaking(_index({"q": twelve}), [f"So {twelve}?"]) == [0]


def test_set_phrases_alone_make_no_leak_of_a_text() -> None:
    phrase = " ".join(_prose(np.random.default_rng(4), 40))
    texts = [f"{phrase} {' '.join(_prose(np.random.default_rng(100 + i), 20))}" for i in range(11)]
    index = _index({"q": phrase}, HALF)
    assert _leaking(index, texts, 11, HALF) == list(range(11))
    assert _leaking(index, texts, 10, HALF) == []
    _, common = _resolve(index, TextBatch.of(texts), 10, HALF)
    assert len(common.ngram) == 33


def test_a_phrase_also_of_documents_that_share_too_little_is_common() -> None:
    """Whether an n-gram is common is a question to all training documents, not to those that may leave."""
    item = " ".join(_prose(np.random.default_rng(5), 20))
    within = [f"{' '.join(_prose(np.random.default_rng(200 + i), 300))} {item[: item.rindex(' ')]}" for i in range(9)]
    long = " ".join([item, *_prose(np.random.default_rng(6), 400)])
    index = _index({"q": long}, HALF)
    assert _leaking(index, [item, *within], 10, HALF) == [0]
    assert _leaking(index, [item, *within], 9, HALF) == []
    assert len(HALF.scan(index, TextBatch.of(within)).hits) == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20)), max_size=60))
def test_the_first_hit_of_each_ngram_of_a_document_is_kept(pairs: list[tuple[int, int]]) -> None:
    pairs = sorted(pairs, key=lambda pair: pair[0])
    document, place = (np.array([pair[i] for pair in pairs], np.int64) for i in (0, 1))
    seen: set[tuple[int, int]] = set()
    expected = [not (pair in seen or seen.add(pair)) for pair in pairs]  # type: ignore[func-returns-value]
    assert first_of_each(document, place).tolist() == expected


# -- forms of writing


DOSE = "a dose of 20 μg was given twice each day to all of the 12 patients"
FORMS = {
    "decomposed Latin": (
        "naïve café señor Über façade Ångström crème brûlée à la carte étude coöperate rôle",
        lambda text: unicodedata.normalize("NFD", text),
    ),
    "decomposed Hangul": (
        "한국어 문장을 분해된 자모로 쓰면 다른 글자가 되지만 같은 글로 읽어야 한다 그래서 모은다 하나로 다시",
        lambda text: unicodedata.normalize("NFD", text),
    ),
    "ligatures": (
        "the first finding of baffled office staff was a final fix for five fish figures",
        lambda text: text.replace("ffl", "ﬄ").replace("fi", "ﬁ"),
    ),
    "full width": (DOSE, lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)),
    "micro sign, capitals": (DOSE, lambda text: text.replace("μ", "µ").upper()),
    "dashes and quotes": (
        "the patient's well-known follow-up wasn't done by the doctor's on-call team that day",
        lambda text: text.replace("-", "\u2010").replace("'", "’"),
    ),
}


@pytest.mark.parametrize(("held_out", "form"), FORMS.values(), ids=FORMS)
def test_a_leak_is_found_in_every_form_of_writing(held_out: str, form) -> None:  # type: ignore[no-untyped-def]
    assert len(TextBatch.of([held_out]).words.hash) >= 13
    other = form(held_out)
    assert other != held_out
    for rule in (RUN, HALF):
        index = NgramIndex.build([(["h"], as_one_form(pa.array([held_out])))], rule.words, rule.shortest)
        found = rule.scan(index, as_one_form(pa.array([f"before {other} after"])))
        assert resolve(rule, index, found, 10)[0].document.tolist() == [0]
        index = NgramIndex.build([(["h"], as_one_form(pa.array([other])))], rule.words, rule.shortest)
        found = rule.scan(index, as_one_form(pa.array([f"before {held_out} after"])))
        assert resolve(rule, index, found, 10)[0].document.tolist() == [0]


def test_text_that_needs_nothing_is_passed_on_as_it_is() -> None:
    texts = pa.array(["plain", "été ﬁn", "e\u0301te\u0301", "漢字 発熱"], pa.large_string())
    assert as_one_form(texts).array.to_pylist() == ["plain", "été fin", "été", "漢字 発熱"]
    plain = texts.take([0, 3])
    assert as_one_form(plain).array is plain or as_one_form(plain).array.equals(plain)
