"""Documents that weigh more than once: an epoch's rows hold each as often as it weighs, and every law stays a law."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_stream import L, random_documents, same, segments_of, stream_of, write_corpus

from curate.plugins import plugin, siblings
from curate.shards.corpus import ShardSplit, write_manifest
from curate.shards.format import TokenBatch, shard_name, token_dtype, write_shard_file, write_split_info
from pretrain.rows import PADDING, Packer, as_often
from pretrain.stream import Corpus


def write_weighed(folder: Path, documents: list[np.ndarray], weights: np.ndarray, files: int = 2) -> Path:
    split = folder / "train"
    for file, part in enumerate(np.array_split(np.arange(len(documents)), files)):
        batch = TokenBatch(
            np.concatenate([documents[i] for i in part]).astype(np.uint32),
            np.cumsum([0, *(len(documents[i]) for i in part)], dtype=np.int64),
            [f"{folder.name}/{i}" for i in part],
            [folder.name] * len(part),
            np.array([len(documents[i]) for i in part], np.int64),
            {"weight": pa.array(weights[part], pa.uint8())},
        )
        write_shard_file(split / shard_name(file, files), [batch], token_dtype(300), ["weight"])
    write_split_info(split, "train")
    write_manifest(folder, fingerprint={}, tokenizer={})
    return split


@pytest.fixture(scope="module")
def weighed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, np.ndarray]:
    documents = random_documents(80, 1)
    weights = np.random.default_rng(2).choice([1, 1, 1, 2, 3, 8], 80).astype(np.uint8)
    return Corpus("domain", write_weighed(tmp_path_factory.mktemp("w") / "domain", documents, weights)), weights


@given(st.lists(st.integers(0, 255), max_size=30))
@settings(max_examples=60, deadline=None)
def test_documents_come_as_often_as_they_weigh_and_none_again_before_all_have_come(weights: list[int]) -> None:
    order = as_often(np.array(weights, np.uint8))
    assert np.bincount(order, minlength=len(weights)).tolist() == weights
    time = [order[:at].tolist().count(document) for at, document in enumerate(order[:300].tolist())]
    assert time == sorted(time)


@pytest.mark.parametrize("name", siblings("pretrain.packers"))
def test_an_epoch_holds_each_document_exactly_as_often_as_it_weighs(
    weighed: tuple[Corpus, np.ndarray], name: str
) -> None:
    corpus, weights = weighed
    packer: Packer = plugin("pretrain.packers", name)()
    stream = stream_of([corpus], epochs=2, packer=packer)
    seen = [np.zeros(n, int) for n in stream.corpora[0].split.lengths]
    for batch in map(stream.batch, range(stream.steps)):
        for _, document, start, ids, _, _ in segments_of(batch):
            if document != PADDING:
                assert np.array_equal(ids, stream.corpora[0].split.tokens(document, start, start + len(ids)))
                seen[document][start : start + len(ids)] += 1
    assert all((one == 2 * weight).all() for one, weight in zip(seen, weights.tolist(), strict=True))
    assert {1, 2, 3, 8} == set(weights.tolist())
    assert len({document for document in range(80) if len(seen[document]) > L and weights[document] > 1}) > 3


def test_the_ledger_counts_tokens_as_often_and_sums(weighed: tuple[Corpus, np.ndarray]) -> None:
    corpus, weights = weighed
    stream = stream_of([corpus], epochs=1.5)
    lengths = stream.corpora[0].split.lengths
    for step in (0, stream.steps // 2, stream.steps):
        one = stream.ledger(step)["corpora"]["domain"]
        assert (one["documents"], one["documents_an_epoch"]) == (80, int(weights.sum()))
        assert one["tokens"] == int((lengths * weights.astype(int)).sum())
        assert all(
            epoch["trained"] + epoch["not_reached"] == epoch["tokens"] == one["tokens"] for epoch in one["epochs"]
        )
        trained = sum(batch.tokens_by_corpus["domain"] for batch in map(stream.batch, range(step)))
        assert one["trained"] == trained


def test_resuming_anywhere_gives_the_same_tail(weighed: tuple[Corpus, np.ndarray]) -> None:
    stream = stream_of([weighed[0]])
    for step in range(0, stream.steps, 7):
        again = stream_of([weighed[0]])
        assert again.check(stream.state(step)) == step * stream.rows_per_step
        assert same(_of(again.batch(step)), _of(stream.batch(step)))


def _of(batch: object) -> dict[str, np.ndarray]:
    return {name: getattr(batch, name) for name in ("input_ids", "labels", "position_ids", "segment_document")}


def test_documents_of_weight_one_are_the_stream_without_weights(tmp_path: Path) -> None:
    documents = random_documents(60, 4)
    plain = stream_of([Corpus("domain", write_corpus(tmp_path / "plain", documents))])
    ones = stream_of([Corpus("domain", write_weighed(tmp_path / "ones", documents, np.ones(60, np.uint8)))])
    assert plain.steps == ones.steps
    assert all(same(_of(plain.batch(step)), _of(ones.batch(step))) for step in range(plain.steps))
    assert plain.corpora[0].split.weights is None


def test_other_weights_are_other_shards(tmp_path: Path) -> None:
    """A checkpoint does not go on with them."""
    documents = random_documents(30, 4)
    states = [
        stream_of([Corpus("domain", write_weighed(tmp_path / str(w), documents, np.full(30, w, np.uint8)))]).state(0)
        for w in (1, 2)
    ]
    assert states[0] != states[1]


def test_shards_with_weights_load_with_datasets(weighed: tuple[Corpus, np.ndarray]) -> None:
    corpus, weights = weighed
    loaded = datasets.load_from_disk(str(corpus.folder))
    assert loaded["weight"][:] == weights.tolist()
    assert str(loaded.features["weight"].dtype) == "uint8"
    assert ShardSplit.open(corpus.folder).weights.tolist() == weights.tolist()  # type: ignore[union-attr]
