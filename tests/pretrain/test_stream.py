"""The stream: the same rows everywhere, every token where the ledger says, no label across a document."""

from __future__ import annotations

import json
import pickle
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.shards.corpus import write_manifest
from curate.shards.fault import Fault
from curate.shards.format import TokenBatch, shard_name, token_dtype, write_shard_file, write_split_info
from pretrain.order import apportion, epoch_order, row_counts, turns, within
from pretrain.provenance import of_document, of_step
from pretrain.rows import NO_TARGET, PADDING, Batch
from pretrain.stream import Corpus, Stream, replay_corpora

L = 16  # tokens of a row
VOCABULARY = 300


def write_corpus(folder: Path, documents: list[np.ndarray], files: int = 2, vocabulary: int = VOCABULARY) -> Path:
    split = folder / "train"
    for file in range(files):
        part = documents[len(documents) * file // files : len(documents) * (file + 1) // files]
        batch = TokenBatch(
            np.concatenate([*part, np.zeros(0, np.int64)]).astype(np.uint32),
            np.cumsum([0] + [len(one) for one in part], dtype=np.int64),
            [f"{folder.name}/{file}.{row}" for row in range(len(part))],
            [folder.name] * len(part),
            np.array([len(one) for one in part], np.int64),
        )
        write_shard_file(split / shard_name(file, files), [batch], token_dtype(vocabulary))
    write_split_info(split, "train")
    write_manifest(folder, fingerprint={"made": "for a test"}, tokenizer={})
    return split


def random_documents(count: int, seed: int, longest: int = 50) -> list[np.ndarray]:
    """Of 1 to `longest` tokens: some a single token, some longer than a row."""
    random = np.random.default_rng(seed)
    lengths = np.concatenate([[1, L, L + 1, 3 * L], random.integers(1, longest, count - 4)])
    return [random.integers(1, VOCABULARY, n) for n in lengths]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory) -> list[Corpus]:
    folder = tmp_path_factory.mktemp("shards")
    return [
        Corpus("domain", write_corpus(folder / "domain", random_documents(150, 1))),
        Corpus("web", write_corpus(folder / "web", random_documents(20, 2)), share=0.15),
        Corpus("books", write_corpus(folder / "books", random_documents(60, 3)), share=0.1),
    ]


def stream_of(corpora: list[Corpus], **changed) -> Stream:
    return Stream.open(corpora, **{"sequence_length": L, "rows_per_step": 8, "seed": 1, "epochs": 2.5, **changed})


def joined(batches: list[Batch]) -> dict[str, np.ndarray]:
    fields = ("input_ids", "labels", "position_ids", "segment_corpus", "segment_document", "segment_start")
    return {field: np.concatenate([getattr(batch, field) for batch in batches]) for field in fields}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(one[field], other[field]) for field in one)


def segments_of(batch: Batch):
    """(corpus, document, start, ids, labels, positions) of each segment."""
    for k in range(len(batch.segment_document)):
        place = slice(batch.cu_seqlens[k], batch.cu_seqlens[k + 1])
        yield (
            int(batch.segment_corpus[k]),
            int(batch.segment_document[k]),
            int(batch.segment_start[k]),
            batch.input_ids[place],
            batch.labels[place],
            batch.position_ids[place],
        )


def test_no_label_crosses_a_document(corpora: list[Corpus]) -> None:
    stream = stream_of(corpora)
    cut, padded, alone = 0, 0, 0
    for step in range(stream.steps):
        batch = stream.batch(step)
        assert batch.cu_seqlens[0] == 0
        assert batch.cu_seqlens[-1] == stream.rows_in(step) * L
        assert (np.diff(batch.cu_seqlens) > 0).all()
        assert set(range(0, len(batch.input_ids), L)) <= set(batch.cu_seqlens.tolist()), "no segment crosses a row"
        for corpus, document, start, ids, labels, positions in segments_of(batch):
            assert positions.tolist() == list(range(len(ids)))
            if document == PADDING:
                padded += 1
                assert (corpus, start, set(ids), set(labels)) == (PADDING, 0, {0}, {NO_TARGET})
                continue
            whole = stream.corpora[corpus].split.tokens(document)
            assert np.array_equal(ids, whole[start : start + len(ids)])
            following = [*whole.tolist(), NO_TARGET][start + 1 : start + 1 + len(ids)]
            assert labels.tolist() == following
            cut += start + len(ids) < len(whole)
            alone += len(whole) == 1
        assert batch.n_targets == (batch.labels != NO_TARGET).sum()
        assert batch.longest_segment == np.diff(batch.cu_seqlens).max()
    assert min(cut, padded, alone) > 0, "the interesting cases occurred"


def test_every_token_but_a_documents_first_is_a_target_once_per_epoch(corpora: list[Corpus]) -> None:
    stream = stream_of(corpora[:1], epochs=3)
    split = stream.corpora[0].split
    seen = [np.zeros(n, int) for n in split.lengths]
    targets = [np.zeros(n, int) for n in split.lengths]
    for step in range(stream.steps):
        for _, document, start, ids, labels, _ in segments_of(stream.batch(step)):
            if document != PADDING:
                seen[document][start : start + len(ids)] += 1
                targets[document][start + 1 : start + 1 + len(ids)] += labels[: len(targets[document]) - start - 1] >= 0
    assert all((one == 3).all() for one in seen)
    assert all(one[0] == 0 and (one[1:] == 3).all() for one in targets)


def test_each_epoch_has_all_rows_in_a_new_order(corpora: list[Corpus]) -> None:
    stream = stream_of(corpora[:1], epochs=3)
    per_epoch = len(stream.corpora[0].plan)
    assert stream.rows == 3 * per_epoch
    orders = [[stream.row(epoch * per_epoch + row)[1] for row in range(per_epoch)] for epoch in range(3)]
    assert all(sorted(order) == list(range(per_epoch)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert orders[0] != sorted(orders[0])


def test_micro_batches_and_ranks_do_not_change_the_rows(corpora: list[Corpus]) -> None:
    stream = stream_of(corpora)
    whole = joined([stream.batch(step) for step in range(stream.steps)])
    for rows in (1, 3, 8):
        parts = [stream.batch(step, first, rows) for step in range(stream.steps) for first in range(0, 8, rows)]
        assert same(joined(parts), whole)
        assert sum(part.n_targets for part in parts) == (whole["labels"] != NO_TARGET).sum()
    other_steps = stream_of(corpora, rows_per_step=5)
    assert same(joined([other_steps.batch(step) for step in range(other_steps.steps)]), whole)


def test_resume_at_every_step_gives_the_same_tail(corpora: list[Corpus]) -> None:
    stream = stream_of(corpora)
    batches = [stream.batch(step) for step in range(stream.steps)]
    assert 0 < stream.rows_in(stream.steps - 1) < 8, "the last step is short, and kept"
    for step in range(stream.steps + 1):
        state = json.loads(json.dumps(stream.state(step)))
        again = stream_of(corpora)
        first = again.check(state)
        assert first == step
        for tail in range(first, stream.steps):
            assert same(joined([again.batch(tail)]), joined([batches[tail]]))
    assert len(json.dumps(stream.state(3))) < 2_000


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("sequence_length", {"sequence_length": 32}),
        ("seed", {"seed": 2}),
        ("epochs", {"epochs": 2}),
        ("rows_per_step", {"rows_per_step": 4}),
    ],
)
def test_a_changed_setting_is_refused_by_name(corpora: list[Corpus], field: str, changed: dict) -> None:
    state = stream_of(corpora).state(4)
    with pytest.raises(Fault, match=field):
        stream_of(corpora, **changed).check(state)


def test_changed_shards_and_shares_are_refused_by_name(corpora: list[Corpus], tmp_path: Path) -> None:
    state = stream_of(corpora).state(4)
    other = Corpus("web", write_corpus(tmp_path / "web", random_documents(20, 4)), share=0.15)
    with pytest.raises(Fault, match=r"corpora\.web\.shards"):
        stream_of([corpora[0], other, corpora[2]]).check(state)
    with pytest.raises(Fault, match=r"corpora\.books\.share"):
        stream_of([*corpora[:2], Corpus("books", corpora[2].folder, share=0.12)]).check(state)
    with pytest.raises(Fault, match=r"corpora\.books"):
        stream_of(corpora[:2]).check(state)


def test_the_same_shards_elsewhere_are_the_same_stream(corpora: list[Corpus], tmp_path: Path) -> None:
    moved = Corpus("domain", write_corpus(tmp_path / "elsewhere", random_documents(150, 1)))
    assert moved.folder != corpora[0].folder
    here = stream_of(corpora[:1])
    files = {path.name: path.read_bytes() for path in corpora[0].folder.iterdir()}
    for name, content in files.items():  # ids name the corpus they were made for, so copy the files themselves
        (moved.folder / name).write_bytes(content)
    write_manifest(moved.folder.parent, fingerprint={}, tokenizer={})
    assert stream_of([moved]).check(here.state(2)) == 2


def test_shares_are_exact(corpora: list[Corpus]) -> None:
    stream = stream_of(corpora, epochs=11)
    domain = 11 * len(stream.corpora[0].plan)
    counts = np.bincount(stream.corpus_of)
    assert counts[0] == domain
    assert abs(counts[1:].sum() - Fraction(25, 75) * domain) <= Fraction(1, 2)
    assert abs(counts[1] - Fraction(15, 75) * domain) <= 1
    assert stream.repetitions()["web"] > 2, "a replay corpus smaller than its share goes round"
    assert stream.repetitions()["domain"] == 11
    window = 100
    replay = np.convolve(stream.corpus_of > 0, np.ones(window, int), mode="valid")
    assert len(replay) > 300
    assert np.abs(replay - window * 0.25).max() <= 1 + 1e-2  # 1e-2: the whole stream's share is a rounded one


@given(first=st.integers(1, 3000), second=st.integers(0, 600), window=st.integers(1, 1000))
@settings(max_examples=200, deadline=None)
def test_any_window_holds_its_share_to_within_one_row(first: int, second: int, window: int) -> None:
    corpus, nth = turns([first, second])
    share = Fraction(second, first + second)
    held = np.convolve(corpus, np.ones(window, int), mode="valid") if window <= len(corpus) else np.zeros(0)
    assert all(abs(int(n) - window * share) <= 1 for n in np.unique(held))
    for index, count in enumerate((first, second)):
        assert nth[corpus == index].tolist() == list(range(count))


@given(counts=st.lists(st.integers(0, 200), min_size=3, max_size=5))
@settings(max_examples=100, deadline=None)
def test_several_replay_corpora_each_get_their_rows(counts: list[int]) -> None:
    corpus, _ = turns(counts)
    assert np.bincount(corpus, minlength=len(counts)).tolist() == counts
    alone, _ = turns([counts[0], sum(counts[1:])])
    assert np.array_equal(corpus > 0, alone > 0), "how replay is divided does not move the domain's rows"


def test_counts_sum_and_follow_shares() -> None:
    assert row_counts(950, [0.05]) == [950, 50]
    assert row_counts(10, []) == [10]
    assert apportion(10, [0.1, 0.1, 0.1]) == [4, 3, 3]
    assert sum(row_counts(1234, [0.07, 0.02, 0.011])[1:]) == round(1234 * 0.101 / 0.899)


def test_tokens_instead_of_epochs(corpora: list[Corpus]) -> None:
    stream = stream_of(corpora, epochs=None, tokens=40 * L - 3)
    assert stream.rows == 40
    assert (stream.corpus_of > 0).sum() == 10
    with pytest.raises(Fault, match="not both"):
        stream_of(corpora, tokens=1000)
    assert stream_of(corpora[:1], epochs=None).rows == len(stream.corpora[0].plan), "one epoch where nothing is said"


def test_the_ledger_sums_exactly(corpora: list[Corpus]) -> None:
    stream = stream_of(corpora)
    for step in (0, 1, stream.steps // 2, stream.steps, None):
        ledger = stream.ledger(step)
        steps = stream.steps if step is None else step
        trained = {packed.name: 0 for packed in stream.corpora}
        padding = 0
        for batch in map(stream.batch, range(steps)):
            padding += int(np.diff(batch.cu_seqlens)[batch.segment_document == PADDING].sum())
            for name, n in batch.tokens_by_corpus.items():
                trained[name] += n
        assert {name: one["trained"] for name, one in ledger["corpora"].items()} == trained
        assert sum(one["padding"] for one in ledger["corpora"].values()) == padding
        assert sum(one["rows"] for one in ledger["corpora"].values()) == ledger["rows"]
        for one in ledger["corpora"].values():
            for epoch in one["epochs"]:
                assert epoch["trained"] + epoch["not_reached"] == epoch["tokens"] == one["tokens"]
                assert epoch["trained"] + epoch["padding"] == epoch["rows"] * L
    assert len(stream.ledger()["corpora"]["domain"]["epochs"]) == 3
    assert stream.ledger()["corpora"]["domain"]["epochs"][2]["not_reached"] > 0, "2.5 epochs end inside the third"
    json.dumps(stream.ledger())


def test_replay_is_divided_by_tokens(corpora: list[Corpus]) -> None:
    web, books = replay_corpora({"web": corpora[1].folder, "books": corpora[2].folder}, 0.1)
    opened = stream_of([corpora[0], web, books])
    tokens = [packed.split.n_tokens for packed in opened.corpora]
    assert web.share == pytest.approx(0.1 * tokens[1] / (tokens[1] + tokens[2]))
    assert web.share + books.share == pytest.approx(0.1)


def test_a_stream_travels_to_another_process(corpora: list[Corpus]) -> None:
    stream = stream_of(corpora)
    assert same(joined([pickle.loads(pickle.dumps(stream)).batch(3)]), joined([stream.batch(3)]))


def test_wide_token_ids_are_gathered_too(tmp_path: Path) -> None:
    documents = [one + 99_000 for one in random_documents(30, 5)]
    corpus = Corpus("domain", write_corpus(tmp_path / "domain", documents, vocabulary=100_000))
    stream = stream_of([corpus], epochs=1)
    batch = stream.batch(0, 0, 8)
    assert batch.input_ids.max() > 2**16
    assert stream.corpora[0].split.dtype == np.uint32


def test_faults_of_a_user(corpora: list[Corpus], tmp_path: Path) -> None:
    empty = Corpus("web", write_corpus(tmp_path / "web", []), share=0.1)
    with pytest.raises(Fault, match="no tokens to train on"):
        stream_of([corpora[0], empty])
    with pytest.raises(Fault, match="together below 1"):
        stream_of([corpora[0], Corpus("web", corpora[1].folder, share=1.0)])
    with pytest.raises(Fault, match="no split 'test'"):
        replay_corpora({"web": corpora[1].folder.with_name("test")}, 0.1)


def test_the_order_of_an_epoch_is_a_fixed_function() -> None:
    # these values are on users' disks: a change of the function would move every resumed run
    assert epoch_order(1, "domain", 0, 8).tolist() == [7, 3, 0, 2, 6, 5, 1, 4]
    assert epoch_order(1, "domain", 1, 8).tolist() == [3, 7, 0, 6, 4, 2, 5, 1]
    assert sorted(epoch_order(7, "web", 3, 1000).tolist()) == list(range(1000))


@given(
    counts=st.lists(st.integers(0, 60), min_size=1, max_size=5),
    most=st.lists(st.integers(0, 60), min_size=5, max_size=5),
)
@settings(deadline=None)
def test_rows_beyond_a_limit_come_from_corpora_with_room(counts: list[int], most: list[int]) -> None:
    most = most[: len(counts)]
    found = within(counts, [max(n, 1) / 300 for n in counts], most)
    assert all(n <= limit for n, limit in zip(found, most, strict=True))
    assert sum(found) == min(sum(counts), sum(most))
    assert all(n >= min(count, limit) for n, count, limit in zip(found, counts, most, strict=True))


def test_no_corpus_is_gone_through_more_often_than_the_limit(corpora: list[Corpus]) -> None:
    free = stream_of(corpora)
    assert max(free.repetitions().values()) > 3  # the small one
    held = stream_of(corpora, repeat_at_most=2.5)
    assert all(times <= 2.5 for times in held.repetitions().values())
    assert held.rows == free.rows  # other replay stands in
    with pytest.raises(Fault, match=r"domain would be gone through 2\.5 times"):
        stream_of(corpora, repeat_at_most=2)
    with pytest.raises(Fault, match="repeat_at_most"):
        held.check(free.state(1))


def test_the_steps_of_every_document_are_the_documents_of_every_step(corpora: list[Corpus]) -> None:
    stream = stream_of(corpora)
    by_step = [piece for step in range(stream.steps) for piece in of_step(stream, step)]
    by_document = [
        piece
        for packed in stream.corpora
        for document in range(len(packed.split))
        for piece in of_document(stream, packed.name, document)
    ]
    assert sorted(by_document) == sorted(by_step)
    assert {piece.corpus for piece in by_step} == {"domain", "web", "books"}
    whole = joined([stream.batch(step) for step in range(stream.steps)])
    assert len(by_step) == (whole["segment_corpus"] != PADDING).sum()
    again = of_document(stream, "domain", by_step[0].document)
    assert len({piece.step for piece in again}) > 1  # two and a half epochs
