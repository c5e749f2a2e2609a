"""Shards at a URL: the run's own files, an index that is right to the byte, and nothing taken for what it isn't."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import datasets
import fsspec
import numpy as np
import pyarrow as pa
import pytest

from curate.shards.corpus import ShardSplit, shards_digest, write_manifest
from curate.shards.fault import Fault
from curate.shards.format import WEIGHT, TokenBatch, shard_name, token_dtype, write_shard_file, write_split_info
from curate.shards.remote import RemoteSplit, mapped, put_corpus
from curate.shards.store import Patience, Store

LENGTHS = [[[3, 1, 700], [], [5]], [[2, 2]], [[], [9, 33, 4, 1]]]  # by file and record batch


def corpus_of(folder: Path, vocabulary: int = 300, weighs: bool = False) -> Path:
    random = np.random.default_rng(vocabulary)
    for file, lists in enumerate(LENGTHS):
        batches = []
        for number, mine in enumerate(lists):
            ids = [f"a/{file}.{number}.{i}" for i in range(len(mine))]
            terms = {WEIGHT: pa.array([1 + i % 3 for i in range(len(mine))])} if weighs else {}
            batches.append(
                TokenBatch(
                    random.integers(0, vocabulary, sum(mine)).astype(np.uint32),
                    np.cumsum([0, *mine], dtype=np.int64),
                    ids,
                    ["a"] * len(mine),
                    np.array(mine, np.int64),
                    terms,
                )
            )
        path = folder / "train" / shard_name(file, len(LENGTHS))
        write_shard_file(path, batches, token_dtype(vocabulary), [WEIGHT] if weighs else [])
    write_split_info(folder / "train", "train")
    write_manifest(folder, fingerprint={"made": "for a test"}, tokenizer={})
    return folder


@pytest.fixture(params=["memory", "file"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "memory":
        fsspec.filesystem("memory").store.clear()
        return "memory://bucket/runs/x"
    return f"file://{tmp_path / 'bucket'}"


def never(seconds: float) -> None:
    raise AssertionError("nothing to wait for")


@pytest.mark.parametrize("vocabulary", [300, 70_000], ids=["uint16", "uint32"])
@pytest.mark.parametrize("weighs", [False, True])
def test_every_token_is_found_where_the_index_says(url: str, tmp_path: Path, vocabulary: int, weighs: bool) -> None:
    folder = corpus_of(tmp_path / "domain", vocabulary, weighs)
    put_corpus(folder, Store.at(f"{url}/domain", Patience(pause=never)))
    here, there = ShardSplit.open(folder / "train"), RemoteSplit.open(Store.at(f"{url}/domain"), "train")
    assert there.lengths.tolist() == here.lengths.tolist()
    assert (there.n_tokens, there.dtype, len(there)) == (here.n_tokens, here.dtype, len(here))
    assert there.shards_digest == shards_digest(folder / "train")
    assert (there.weights is None) == (here.weights is None) == (not weighs)
    if weighs:
        assert there.weights is not None
        assert here.weights is not None
        assert there.weights.tolist() == here.weights.tolist()
        assert there.weights.max() > 1
    for number, file in enumerate(there.files):
        copy = tmp_path / "copy"
        there.store.fetch(file.name, copy, file.sha256)
        content = mapped(copy)
        there.place(number, content)
        for document in np.flatnonzero(there.addresses):
            at = int(there.addresses[document]) - content.ctypes.data
            found = content[at : at + int(there.lengths[document]) * there.dtype.itemsize].view(there.dtype)
            assert found.tolist() == here.tokens(int(document)).tolist()
        assert set(np.flatnonzero(there.addresses)) == set(
            np.flatnonzero(there.files_of(np.arange(len(there))) == number)
        )
        there.forget(number)
        assert not there.addresses.any()


def test_what_lies_at_the_url_are_the_runs_own_files_and_an_index(url: str, tmp_path: Path) -> None:
    folder = corpus_of(tmp_path / "domain")
    n_bytes = put_corpus(folder, Store.at(f"{url}/domain"))
    files, root = fsspec.core.url_to_fs(f"{url}/domain")
    found = {name.removeprefix(root).lstrip("/"): files.cat_file(name) for name in files.find(root)}
    manifest = json.loads(found.pop("manifest.json"))
    assert (
        found.keys()
        == manifest["files"].keys()
        == {
            *(path.relative_to(folder).as_posix() for path in folder.glob("train/*")),
            "train/index.npz",
        }
    )
    index = found.pop("train/index.npz")
    assert all(content == (folder / name).read_bytes() for name, content in found.items())
    assert n_bytes == sum(map(len, found.values())) > 0
    put_corpus(folder, Store.at(f"{url}/again"))
    assert fsspec.open(f"{url}/again/train/index.npz").open().read() == index  # the same shards, the same bytes
    loaded = datasets.load_from_disk(f"{url}/domain/train")
    assert loaded["id"] == ShardSplit.open(folder / "train").ids.to_pylist()


def test_a_corpus_at_a_url_is_whole_or_not_there(url: str, tmp_path: Path) -> None:
    folder = corpus_of(tmp_path / "domain")
    store = Store.at(f"{url}/domain")
    (folder / "train" / "state.json").unlink()
    with pytest.raises(Fault):
        put_corpus(folder, store)
    assert not store.files.exists(f"{store.root}/manifest.json")
    with pytest.raises(Fault, match="no such file"):
        RemoteSplit.open(store, "train")


def test_shards_that_were_put_there_without_an_index_are_refused(url: str, tmp_path: Path) -> None:
    folder = corpus_of(tmp_path / "domain")
    files, root = fsspec.core.url_to_fs(f"{url}/domain")
    files.put(str(folder) + "/", root + "/", recursive=True)
    with pytest.raises(Fault, match="no split 'train' with an index"):
        RemoteSplit.open(Store.at(f"{url}/domain"), "train")


@pytest.mark.parametrize("name", ["train/data-00001-of-00003.arrow", "train/index.npz"])
def test_a_file_that_was_written_over_is_a_fault(url: str, tmp_path: Path, name: str) -> None:
    put_corpus(corpus_of(tmp_path / "domain"), Store.at(f"{url}/domain"))
    store = Store.at(f"{url}/domain", Patience(pause=never))
    known = RemoteSplit.open(store, "train").files[1].sha256
    content = store.read(name)
    store.files.pipe_file(f"{store.root}/{name}", content[:-1] + b"\x01")
    with pytest.raises(Fault, match="not the one its manifest speaks of"):
        _ = RemoteSplit.open(store, "train") if "index" in name else store.fetch(name, tmp_path / "copy", known)


def test_a_split_travels_to_another_process_without_its_addresses(tmp_path: Path) -> None:
    fsspec.filesystem("memory").store.clear()
    put_corpus(corpus_of(tmp_path / "domain"), Store.at("memory://b/domain"))
    split = RemoteSplit.open(Store.at("memory://b/domain"), "train")
    split.addresses[:] = 1
    again = pickle.loads(pickle.dumps(split))
    assert again.lengths.tolist() == split.lengths.tolist()
    assert not again.addresses.any()


# ---- hiccups


class Flaky:
    """A file system whose next calls fail."""

    def __init__(self, errors: list[Exception]) -> None:
        self.errors, self.calls = errors, 0

    def cat_file(self, path: str) -> bytes:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return b"content"


class Throttled(Exception):
    """A library's own."""


@pytest.mark.parametrize("error", [ConnectionResetError("gone"), TimeoutError(), Throttled("slow down")])
def test_a_hiccup_is_told_and_tried_again_after_longer_and_longer_pauses(error: Exception) -> None:
    paused: list[float] = []
    told: list[str] = []
    files = Flaky([error, error, error])
    store = Store("s3://b", files, "b", Patience((1, 2, 4), paused.append, told.append))
    assert store.read("manifest.json") == b"content"
    assert paused == [1, 2, 4]
    assert len(told) == 3
    assert "s3://b/manifest.json" in told[0]
    assert type(error).__name__ in told[0]


def test_what_outlasts_the_last_pause_is_a_fault() -> None:
    files = Flaky([ConnectionError("no route")] * 9)
    with pytest.raises(Fault, match="no route"):
        Store("s3://b", files, "b", Patience((1, 2), lambda _: None, lambda _: None)).read("x")
    assert files.calls == 3


@pytest.mark.parametrize("error", [FileNotFoundError("x"), PermissionError("no"), OSError(28, "No space left")])
def test_what_wont_pass_is_a_fault_at_once(error: Exception) -> None:
    files = Flaky([error])
    with pytest.raises(Fault):
        Store("s3://b", files, "b", Patience(pause=never)).read("x")
    assert files.calls == 1


def test_our_own_mistakes_keep_their_traceback() -> None:
    with pytest.raises(TypeError):
        Store("s3://b", Flaky([TypeError("ours")]), "b", Patience(pause=never)).read("x")


def test_a_store_that_fsspec_does_not_know_is_a_fault() -> None:
    with pytest.raises(Fault, match="cannot open the store"):
        Store.at("nosuch://bucket/x")
