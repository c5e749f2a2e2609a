"""Shards: what is written is what `datasets` and our memory map read; what is broken is named."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pytest

from curate.shards.corpus import ShardSplit, read_manifest, write_manifest
from curate.shards.fault import Fault
from curate.shards.format import TokenBatch, shard_name, token_dtype, write_shard_file, write_split_info


def documents(count: int, vocabulary: int, seed: int = 0) -> list[list[int]]:
    random = np.random.default_rng(seed)
    lengths = np.concatenate([[1, 0, 700], random.integers(1, 60, size=max(0, count - 3))])[:count]
    return [random.integers(0, vocabulary, size=length).tolist() for length in lengths]


def batches_of(texts: list[list[int]], first: int, per_batch: int) -> list[TokenBatch]:
    found = []
    for start in range(0, len(texts), per_batch):
        some = texts[start : start + per_batch]
        found.append(
            TokenBatch(
                tokens=np.concatenate([np.asarray(text, np.uint32) for text in some]),
                offsets=np.cumsum([0] + [len(text) for text in some], dtype=np.int64),
                ids=[f"notes/{first + start + row}" for row in range(len(some))],
                sources=["notes" if (first + start + row) % 3 else "web" for row in range(len(some))],
                n_bytes=np.array([3 * len(text) for text in some], np.int64),
            )
        )
    return found


def write_split(folder: Path, texts: list[list[int]], vocabulary: int, files: int = 2, per_batch: int = 7) -> None:
    bounds = [len(texts) * file // files for file in range(files + 1)]
    for file in range(files):
        part = batches_of(texts[bounds[file] : bounds[file + 1]], bounds[file], per_batch)
        write_shard_file(folder / shard_name(file, files), iter(part), token_dtype(vocabulary))
    write_split_info(folder, folder.name)


@pytest.mark.parametrize(("vocabulary", "dtype"), [(300, "uint16"), (65_536, "uint16"), (65_537, "uint32")])
def test_datasets_loads_a_split_as_it_was_written(tmp_path: Path, vocabulary: int, dtype: str) -> None:
    texts = documents(40, vocabulary)
    write_split(tmp_path / "train", texts, vocabulary)
    loaded = datasets.load_from_disk(str(tmp_path / "train"))
    assert loaded["input_ids"][:] == texts
    assert loaded["id"][:] == [f"notes/{row}" for row in range(40)]
    assert loaded["n_bytes"][:] == [3 * len(text) for text in texts]
    assert loaded.features["input_ids"].feature.dtype == dtype
    assert str(loaded.split) == "train"
    assert loaded.select([39, 2])["input_ids"][:] == [texts[39], texts[2]]


def test_an_empty_split_loads(tmp_path: Path) -> None:
    write_split(tmp_path / "test", [], 300, files=1)
    assert len(datasets.load_from_disk(str(tmp_path / "test"))) == 0
    split = ShardSplit.open(tmp_path / "test")
    assert (len(split), split.n_tokens, split.n_bytes.tolist()) == (0, 0, [])


def test_a_lone_file_opens_in_datasets_too(tmp_path: Path) -> None:
    write_split(tmp_path / "train", documents(5, 300), 300, files=1)
    assert datasets.Dataset.from_file(str(tmp_path / "train" / shard_name(0, 1)))["input_ids"][:] == documents(5, 300)


@pytest.mark.parametrize("vocabulary", [300, 100_000])
def test_the_memory_map_gives_every_token_without_a_copy(tmp_path: Path, vocabulary: int) -> None:
    texts = documents(50, vocabulary)
    write_split(tmp_path / "train", texts, vocabulary, files=3)
    split = ShardSplit.open(tmp_path / "train")
    assert split.lengths.tolist() == [len(text) for text in texts]
    assert [split.tokens(row).tolist() for row in range(50)] == texts
    assert split.tokens(2, 10, 12).tolist() == texts[2][10:12]
    assert split.ids.to_pylist() == [f"notes/{row}" for row in range(50)]
    assert all(split.tokens(row).ctypes.data == split.addresses[row] for row in range(50) if texts[row])
    mapped = pa.total_allocated_bytes()
    assert ShardSplit.open(tmp_path / "train").n_tokens == sum(map(len, texts))
    assert pa.total_allocated_bytes() - mapped < 1_000, "opening a split allocates no Arrow memory"


def test_a_split_travels_to_another_process_by_its_folder(tmp_path: Path) -> None:
    write_split(tmp_path / "train", documents(9, 300), 300)
    revived = pickle.loads(pickle.dumps(ShardSplit.open(tmp_path / "train")))
    assert [revived.tokens(row).tolist() for row in range(9)] == documents(9, 300)


def test_how_a_split_is_cut_into_batches_does_not_change_what_it_says(tmp_path: Path) -> None:
    texts = documents(30, 300)
    write_split(tmp_path / "a", texts, 300, files=1, per_batch=4)
    write_split(tmp_path / "b", texts, 300, files=3, per_batch=30)
    one, other = ShardSplit.open(tmp_path / "a"), ShardSplit.open(tmp_path / "b")
    assert [one.tokens(row).tolist() for row in range(30)] == [other.tokens(row).tolist() for row in range(30)]


def test_the_same_documents_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_split(tmp_path / name / "train", documents(30, 300), 300)
    files = sorted(path.name for path in (tmp_path / "a" / "train").iterdir())
    assert len(files) == 4
    for name in files:
        assert (tmp_path / "a/train" / name).read_bytes() == (tmp_path / "b/train" / name).read_bytes()


def test_the_manifest_counts_what_lies_in_the_files(tmp_path: Path) -> None:
    texts = documents(30, 300)
    write_split(tmp_path / "domain" / "train", texts, 300)
    write_split(tmp_path / "domain" / "test", [], 300, files=1)
    written = write_manifest(tmp_path / "domain", fingerprint={"seed": 1}, tokenizer={"sha256": "x"})
    assert written == read_manifest(tmp_path / "domain")
    train = written["splits"]["train"]
    assert (train["documents"], train["tokens"]) == (30, sum(map(len, texts)))
    assert train["sources"]["web"] == {
        "documents": 10,
        "tokens": sum(len(text) for text in texts[::3]),
        "bytes": 3 * sum(len(text) for text in texts[::3]),
    }
    assert sum(source["bytes"] for source in train["sources"].values()) == train["bytes"]
    assert written["splits"]["test"] == {"documents": 0, "tokens": 0, "bytes": 0, "sources": {}}
    assert set(written["files"]) == {
        path.relative_to(tmp_path / "domain").as_posix() for path in (tmp_path / "domain").glob("*/*")
    }


def _cut_in_a_batch(folder: Path) -> None:
    path = folder / shard_name(1, 2)
    path.write_bytes(path.read_bytes()[:-700])


def _cut_between_batches(folder: Path) -> None:
    path = folder / shard_name(1, 2)
    path.write_bytes(path.read_bytes()[:-8])  # a legal Arrow stream, which is why the end mark is asked for


def _empty_file(folder: Path) -> None:
    (folder / shard_name(1, 2)).write_bytes(b"")


def _missing_file(folder: Path) -> None:
    (folder / shard_name(0, 2)).unlink()


def _missing_state(folder: Path) -> None:
    (folder / "state.json").unlink()


def _broken_state(folder: Path) -> None:
    (folder / "state.json").write_text("{")


def _other_state(folder: Path) -> None:
    (folder / "state.json").write_text(json.dumps({"files": []}))


def _other_schema(folder: Path) -> None:
    table = pa.table({"text": ["a"]})
    with pa.OSFile(str(folder / shard_name(0, 2)), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (_cut_in_a_batch, "truncated"),
        (_cut_between_batches, "truncated"),
        (_empty_file, "truncated"),
        (_missing_file, "missing"),
        (_missing_state, "there is no state.json"),
        (_broken_state, "not JSON"),
        (_other_state, "does not list"),
        (_other_schema, "not a shard of ours"),
    ],
)
def test_a_damaged_split_is_named(tmp_path: Path, damage, what: str) -> None:
    folder = tmp_path / "train"
    write_split(folder, documents(40, 300), 300)
    damage(folder)
    with pytest.raises(Fault, match=what) as raised:
        ShardSplit.open(folder)
    assert str(folder) in raised.value.where
    assert raised.value.hint


def test_a_missing_folder_manifest_and_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="no such folder"):
        ShardSplit.open(tmp_path / "nowhere")
    with pytest.raises(Fault, match=r"no manifest\.json"):
        read_manifest(tmp_path)
    write_split(tmp_path / "train", documents(9, 300), 300)
    (tmp_path / "train" / shard_name(1, 2)).unlink()
    with pytest.raises(Fault, match="not whole"):
        write_split_info(tmp_path / "train", "train")


def test_an_id_beyond_the_vocabulary_is_never_cut_down(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="70000 does not fit uint16"):
        write_shard_file(tmp_path / "x.arrow", iter(batches_of([[70_000]], 0, 1)), token_dtype(300))
    assert not (tmp_path / "x.arrow").exists()
