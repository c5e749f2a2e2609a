"""Laws of repeated spans: every run of words that stands in two documents is found, nothing else, and can be cut."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow.parquet as pq
import pytest
from classified import abstracts
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sifted_units import Doc, sources, write_units

import curate.dedup.anchors
import curate.dedup.partitions
from curate.cutting import without
from curate.dedup.anchors import anchored_runs, anchors, filter_of
from curate.dedup.spans import Found, find, shared_anchors
from curate.engine import Where
from curate.passes import repeated
from curate.passes.decide import Corpus
from curate.passes.repeated import EDITS, FOUND, find_repeated
from curate.passes.sift import unit_file
from curate.settings import Duplicates
from curate.split import TEST, TRAIN
from curate.text import TextBatch

Stretch = tuple[str, int, int]  # document, first word, words


@dataclass(frozen=True)
class Answer:
    spans: set[Stretch]
    copies: set[Stretch]
    passages: list[tuple[str, int, int, int]]  # holder, first word, words, documents


def found(documents: dict[str, str], words: int, batch: int = 3) -> Answer:
    """By the program, in the order in which the documents are given."""
    ids = list(documents)
    batches = [(at, TextBatch.of([documents[one] for one in ids[at : at + batch]])) for at in range(0, len(ids), batch)]
    with TemporaryDirectory() as folder:
        answer = _find(batches, ids, words, Path(folder))
        stretches = [
            {(ids[record], word, n) for record, word, n in part[:, :3].tolist()}
            for part in (answer.spans, answer.copies)
        ]
        assert sum(map(len, stretches)) == len(answer.spans) + len(answer.copies)
        listed = [(ids[one.record], one.word, one.words, one.documents) for one in answer.passages]
    return Answer(stretches[0], stretches[1], listed)


def _find(batches: Sequence[tuple[int, TextBatch]], ids: list[str], words: int, scratch: Path) -> Found:
    entries = []
    for first, one in batches:
        of, anchor = anchors(one, words)
        entries.append(np.stack((anchor, (first + of).astype(np.uint64)), axis=1))
    items, shared = shared_anchors(entries, sum(map(len, entries)), len(ids), scratch)
    runs = []
    for first, one in batches:
        of, word, run = anchored_runs(one, words, shared)
        item = np.searchsorted(items, first + of)
        known = np.isin(first + of, items)
        runs.append(np.stack((run, item.astype(np.uint64), word.astype(np.uint64)), axis=1)[known])
    rank = np.argsort(np.argsort(np.array(ids)[items], kind="stable"))
    return find(runs, sum(map(len, runs)), items, rank, words, scratch)


def by_hand(documents: dict[str, str], n: int) -> Answer:
    """By sets of tuples of words."""
    texts = {name: text.casefold().split() for name, text in documents.items()}
    holds: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for name, words in texts.items():
        for at in range(len(words) - n + 1):
            holds[tuple(words[at : at + n])].add(name)
    spans, copies = set(), set()
    for name, words in texts.items():
        runs = {at: holds[tuple(words[at : at + n])] for at in range(len(words) - n + 1)}
        spans |= {(name, *one) for one in _stretches([at for at in runs if len(runs[at]) > 1], n)}
        copies |= {(name, *one) for one in _stretches([at for at in runs if min(runs[at]) < name], n)}
    return Answer(spans, copies, [])


def _stretches(begins: list[int], n: int) -> Iterator[tuple[int, int]]:
    """Maximal stretches of words that are covered by runs of n."""
    covered = sorted({at + k for at in begins for k in range(n)})
    begin = 0
    for at in range(1, len(covered) + 1):
        if at == len(covered) or covered[at] != covered[at - 1] + 1:
            yield covered[begin], covered[at - 1] - covered[begin] + 1
            begin = at


few_words = st.lists(st.sampled_from("a b c d".split()), max_size=40).map(" ".join)
texts_of_few_words = st.lists(few_words, min_size=2, max_size=8).map(
    lambda texts: {f"d{i}": text for i, text in enumerate(texts)}
)


@settings(max_examples=100, deadline=None)
@given(texts_of_few_words, st.integers(2, 9))
@example({"d0": "a b c a b c a b c", "d1": "b c a b c a", "d2": ""}, 5)
def test_every_run_in_two_documents_is_found_and_nothing_else(documents: dict[str, str], words: int) -> None:
    expected, answer = by_hand(documents, words), found(documents, words)
    assert (answer.spans, answer.copies) == (expected.spans, expected.copies)


def long_documents(seed: int = 3) -> dict[str, str]:
    """Random words, and passages that several of them quote, some within others."""
    draw = random.Random(seed)
    fresh = (f"w{draw.randrange(4000)}" for _ in iter(int, 1))
    passages = [[next(fresh) for _ in range(draw.randint(8, 60))] for _ in range(12)]
    documents = {}
    for i in range(60):
        words = [next(fresh) for _ in range(draw.randint(0, 120))]
        for passage in draw.sample(passages, draw.choice((0, 1, 2, 3))):
            begin = draw.randrange(len(passage) // 2)
            at = draw.randint(0, len(words))
            words[at:at] = passage[begin : draw.randint(begin + 1, len(passage))]
        documents[f"d{i:02d}"] = " ".join(words)
    return documents


def test_neither_order_nor_batches_nor_partitions_nor_the_filter_change_what_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    documents = long_documents()
    expected, by_sets = found(documents, 10), by_hand(documents, 10)
    assert (expected.spans, expected.copies) == (by_sets.spans, by_sets.copies)
    assert len(expected.spans) > 30
    assert len(expected.passages) > 10
    assert expected.passages[0][3] > 3
    draw = random.Random(1)
    for batch, held, most_bits in ((1, 1 << 20, 1 << 31), (7, 40, 64), (100, 3, 1 << 31)):
        monkeypatch.setattr(curate.dedup.partitions, "ENTRIES_HELD", held)
        monkeypatch.setattr("curate.dedup.spans.filter_of", partial(filter_of, most_bits=most_bits))
        shuffled = draw.sample(sorted(documents), len(documents))
        assert found({name: documents[name] for name in shuffled}, 10, batch) == expected


def test_a_passage_is_told_with_the_documents_that_hold_it() -> None:
    documents = long_documents(5)
    texts = {name: text.split() for name, text in documents.items()}
    answer = found(documents, 10)
    for name, word, words, n in answer.passages:
        assert words >= 10
        for at in range(word, word + words - 9):
            run = " " + " ".join(texts[name][at : at + 10]) + " "
            holding = [other for other, text in documents.items() if run in f" {text} "]
            assert len(holding) == n
            assert min(holding) == name


def test_case_punctuation_and_line_breaks_hide_nothing() -> None:
    passage = "the quick brown fox jumps over the lazy dog while seven wise owls look on"
    loud = passage.upper().replace(" ", " —\n ", 5)
    answer = found({"a": f"one two. {passage}.", "b": f"Ünlike “{loud}”; three"}, 12)
    assert answer.spans == {("a", 2, 15), ("b", 1, 15)}
    assert answer.copies == {("b", 1, 15)}


pieces = st.sampled_from(
    ["a", "b", "ab", "é", "発", "熱", "𝛼", "😀", " ", " ", "\n", "\n\n", ". ", "(", ")", "-", "\u3000", "。"]
)
any_text = st.lists(pieces, max_size=60).map("".join)


@settings(max_examples=300, deadline=None)
@given(any_text, any_text, st.data())
def test_cutting_leaves_just_the_other_words(before: str, text: str, data: st.DataObject) -> None:
    batch = TextBatch.of([before, text])
    words = batch.words.hash[batch.words.first[1] :].tolist()
    leaves = data.draw(st.lists(st.booleans(), min_size=len(words), max_size=len(words)))
    cut = without(batch, 1, list(_stretches([i for i, one in enumerate(leaves) if one], 1)))
    assert TextBatch.of([cut]).words.hash.tolist() == [word for word, one in zip(words, leaves, strict=True) if not one]
    if not any(leaves):
        assert cut == text


@pytest.mark.parametrize(
    ("text", "first", "words", "left"),
    [
        ("We disagree. (See the Notice: free to copy.)  The court", 2, 6, "We disagree. The court"),
        ("One two.\n\nThree four.\n\nFive six.", 2, 2, "One two.\nFive six."),
        ("“One two” three", 0, 2, "three"),
        ("one two (three).\n", 1, 2, "one"),
        ("  one two three", 1, 1, "  one three"),
        ("one-two-three", 1, 1, "one- three"),
        ("先。複製。後。", 1, 2, "先。 後。"),
        ("one 😀 two 😀 three", 1, 1, "one 😀 😀 three"),
    ],
)
def test_marks_and_white_space_go_along_with_what_is_cut(text: str, first: int, words: int, left: str) -> None:
    assert without(TextBatch.of(["x y", text]), 1, [(first, words)]) == left


@settings(max_examples=100, deadline=None)
@given(texts_of_few_words, st.integers(2, 9))
def test_after_cutting_no_repeated_run_stands_whole_in_two_documents(documents: dict[str, str], n: int) -> None:
    """But for what a cut joins. And every word that left stands on in a document of lower id."""
    copies: dict[str, set[int]] = defaultdict(set)
    for name, word, words in found(documents, n).copies:
        copies[name] |= set(range(word, word + words))
    texts = {name: text.split() for name, text in documents.items()}
    holders: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for name, words_of in texts.items():
        for at in range(len(words_of) - n + 1):
            if not copies[name] & set(range(at, at + n)):
                holders[tuple(words_of[at : at + n])].add(name)
    assert all(len(names) == 1 for names in holders.values())
    stays = {word for name, words_of in texts.items() for at, word in enumerate(words_of) if at not in copies[name]}
    assert stays == {word for words_of in texts.values() for word in words_of}


# -- the pass


def prose(seed: str, words: int = 120) -> str:
    draw = random.Random(seed)
    return " ".join(f"w{draw.randrange(5000)}" for _ in range(words))


NOTICE = prose("notice", 30)
DOCS = {
    "one": [
        *[Doc(f"a{i}", f"{prose(f'a{i}')}\n\n{NOTICE}. {prose(f'b{i}')}", position=i) for i in range(5)],
        Doc("held-out", f"{prose('h')} {NOTICE}"),
        Doc("gone", NOTICE, is_removed=True),
    ],
    "two": [
        Doc("only-the-notice", NOTICE.upper() + "!"),
        *[Doc(f"c{i}", prose(f"c{i}"), position=i) for i in range(6)],
        Doc("quotes-c2", f"{prose('q')} {' '.join(prose('c2').split()[20:70])}."),
    ],
}


def decided(folder: Path, action: str, units: Sequence[tuple[str, Sequence[Doc]]] = tuple(DOCS.items())) -> Corpus:
    sifted, judged = write_units(folder, units)
    corpus = Corpus.load(sifted, judged, sources(*(name for name, _ in units)))
    corpus.side[corpus.kept] = TRAIN
    ids = np.array([name for _, rows in sifted.every(["id"]) for name in rows["id"].to_pylist()])
    corpus.side[ids == "one/held-out"] = TEST
    of = Duplicates.model_validate({"spans": {"words": 12, "action": action}})
    (folder / "decided").mkdir()
    find_repeated(corpus, of, 1, folder / "decided", Where(workers=1), lambda *_: None)
    return corpus


def texts_after(corpus: Corpus, folder: Path) -> dict[str, str]:
    after = corpus.sifted.edited(folder / "decided" / EDITS)
    return {
        name: text
        for _, rows in after.every(["id", "text"])
        for name, text in zip(rows["id"].to_pylist(), rows["text"].to_pylist(), strict=True)
    }


def test_copies_are_cut_on_the_training_side_and_a_document_that_is_nothing_else_leaves(tmp_path: Path) -> None:
    corpus = decided(tmp_path, "remove")
    before = {f"{source}/{doc.id}": doc.text for source, docs in DOCS.items() for doc in docs}
    after = texts_after(corpus, tmp_path)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"one/a1", "one/a2", "one/a3", "one/a4", "two/quotes-c2"}  # of c2, only the copy; of a0, nothing
    assert after["one/a3"] == f"{prose('a3')}\n{prose('b3')}"
    assert after["two/quotes-c2"] == prose("q")
    corpus.write(tmp_path / "decided")
    rows = [row for unit in (0, 1) for row in pq.read_table(unit_file(tmp_path / "decided", unit)).to_pylist()]
    left = {row["id"]: row for row in rows if row["reason"] == "repeated_spans"}
    assert list(left) == ["two/only-the-notice"]
    row = left["two/only-the-notice"]
    assert (row["fate"], row["stage"], row["split"]) == ("removed", "dedup", None)
    assert row["evidence"] == "all of its 30 words stand in other documents too, some of them in one/a0"


def test_figures_are_of_what_was_found_and_of_what_was_cut(tmp_path: Path) -> None:
    corpus = decided(tmp_path, "remove")
    told = json.loads((tmp_path / "decided" / FOUND).read_text())
    one, two = told["by_source"]
    assert one == {"source": "one", "documents": 5, "documents_with_spans": 5, "spans": 5, "span_words": 150} | {
        "bytes": sum(len(doc.text) for doc in DOCS["one"][:5]),
        "span_bytes": 5 * len(NOTICE),
        "documents_cut": 4,
        "bytes_cut": 4 * (len(NOTICE) + len("\n\n. ") - 1),
        "documents_left": 0,
    }
    assert (two["documents"], two["documents_with_spans"], two["documents_cut"], two["documents_left"]) == (8, 3, 1, 1)
    assert {row["words_from"]: row["spans"] for row in told["lengths"] if row["spans"]} == {24: 6, 48: 2}
    first, second = told["most_repeated"]
    assert first == {"text": NOTICE, "words": 30, "documents": 6, "examples": ["one/a0", "one/a1"]}
    assert (second["words"], second["documents"], second["examples"]) == (50, 2, ["two/c2", "two/quotes-c2"])
    assert corpus.scratch.exists()


def test_reporting_changes_no_document(tmp_path: Path) -> None:
    corpus = decided(tmp_path, "report")
    assert not (tmp_path / "decided" / EDITS).exists()
    assert int((corpus.side == TRAIN).sum()) == 5 + 8
    told = json.loads((tmp_path / "decided" / FOUND).read_text())
    assert [row["spans"] for row in told["by_source"]] == [5, 3]
    assert {row["documents_cut"] for row in told["by_source"]} == {0}


def test_workers_order_and_row_groups_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = decided(tmp_path / "here", "remove")
    expected = texts_after(corpus, tmp_path / "here"), (tmp_path / "here" / "decided" / FOUND).read_text()
    monkeypatch.setattr(repeated, "SMALL_BYTES", 0)  # by the engine, in other processes
    draw = random.Random(2)
    units = [(source, draw.sample(docs[at::2], len(docs[at::2]))) for source, docs in DOCS.items() for at in (1, 0)]
    corpus = decided(tmp_path / "there", "remove", units)
    assert (texts_after(corpus, tmp_path / "there"), (tmp_path / "there" / "decided" / FOUND).read_text()) == expected


@pytest.mark.real
def test_quotations_planted_in_real_text_are_found_and_little_else(shared_data: Path) -> None:
    documents = dict(abstracts(shared_data)[:3000])
    names = sorted(documents)
    plain = found(documents, 40, 500)
    draw, planted = random.Random(4), set()
    for quoted, quoting in zip(names[::30], names[7::30], strict=False):
        words = documents[quoted].split()
        if len(words) < 120:
            continue
        at = draw.randrange(len(words) - 60)
        quotation = "\n".join(words[at : at + 60]).upper()
        documents[quoting] = f"{documents[quoting]} {quotation}"
        planted.add(quoting)
    answer = found(documents, 40, 500)
    assert len(planted) > 50
    assert planted <= {name for name, _, _ in answer.spans}
    holding = {name for name, _, _ in plain.spans}
    assert len(holding) < 0.05 * len(documents)
    quoted_too = {name for name, _, _ in answer.spans} - planted - holding
    assert len(quoted_too) <= len(planted)
