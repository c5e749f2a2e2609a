"""Exports hold the shards' tokens, as the readers of those formats find them."""

from __future__ import annotations

from pathlib import Path

import datasets
import numpy as np
import pytest

from curate.exports.datatrove import Datatrove
from curate.exports.megatron import Megatron
from curate.exports.parquet import Parquet
from curate.plugins import plugin, siblings
from curate.shards.corpus import ShardSplit
from curate.shards.export import export_split
from curate.shards.fault import Fault
from curate.shards.format import TokenBatch, shard_name, token_dtype, write_shard_file, write_split_info

LENGTHS = [1, 700, 2, 33, 33, 5]


def split_of(folder: Path, vocabulary: int, lengths: list[int] = LENGTHS) -> ShardSplit:
    random = np.random.default_rng(vocabulary)
    for file in range(2):
        mine = lengths[file::2]
        tokens = random.integers(0, vocabulary, sum(mine)).astype(np.uint32)
        offsets = np.cumsum([0, *mine], dtype=np.int64)
        ids = [f"a/{file}.{i}" for i in range(len(mine))]
        batch = TokenBatch(tokens, offsets, ids, ["a"] * len(mine), np.array(mine, np.int64))
        write_shard_file(folder / shard_name(file, 2), [batch], token_dtype(vocabulary))
    write_split_info(folder, "train")
    return ShardSplit.open(folder)


@pytest.fixture(params=[300, 70_000], ids=["uint16", "uint32"])
def split(tmp_path: Path, request: pytest.FixtureRequest) -> ShardSplit:
    return split_of(tmp_path / "shards" / "a" / "train", request.param)


def documents(split: ShardSplit) -> list[list[int]]:
    return [split.tokens(i).tolist() for i in range(len(split))]


@pytest.mark.parametrize("name", siblings("curate.exports"))
def test_what_is_read_back_are_the_documents_of_the_shards(split: ShardSplit, tmp_path: Path, name: str) -> None:
    exporter = plugin("curate.exports", name)()
    paths = export_split(split, exporter, tmp_path / "out" / "a" / "train")
    assert all(path.is_file() and path.name.startswith("train.") for path in paths)
    found = []
    for tokens, lengths in exporter.read(tmp_path / "out" / "a" / "train"):
        found += [one.tolist() for one in np.split(tokens, np.cumsum(lengths)[:-1])]
    assert found == documents(split)


@pytest.mark.parametrize("name", siblings("curate.exports"))
def test_a_damaged_export_is_a_fault(split: ShardSplit, tmp_path: Path, name: str) -> None:
    exporter = plugin("curate.exports", name)()

    class Damaging:
        read = staticmethod(exporter.read)

        def write(self, split: ShardSplit, place: Path) -> list[Path]:
            other = split_of(tmp_path / "other", 300, [*LENGTHS[:-1], 6])
            return list(exporter.write(other, place))

    with pytest.raises(Fault, match="reads back as other tokens"):
        export_split(split, Damaging(), tmp_path / "train")  # type: ignore[arg-type]


def test_parquet_is_read_by_datasets(split: ShardSplit, tmp_path: Path) -> None:
    export_split(split, Parquet(), tmp_path / "train")
    cache = str(tmp_path / "cache")
    loaded = datasets.load_dataset("parquet", data_files=str(tmp_path / "train.parquet"), cache_dir=cache)["train"]
    assert loaded["input_ids"] == documents(split)
    assert loaded["id"] == split.ids.to_pylist()


def test_datatroves_own_writer_makes_the_same_files_and_its_loader_reads_them(
    split: ShardSplit, tmp_path: Path
) -> None:
    from datatrove.pipeline.tokens.tokenizer import TokenizedFile
    from datatrove.utils.dataset import DatatroveFileDataset

    export_split(split, Datatrove(), tmp_path / "ours" / "train")
    width = split.dtype.itemsize
    theirs = TokenizedFile(str(tmp_path / "theirs"), "train.ds", token_size=width)
    for one in documents(split):
        theirs.write(one, None)
    theirs.close()
    for name in ("train.ds", "train.ds.index"):
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()
    windows = DatatroveFileDataset(str(tmp_path / "ours" / "train.ds"), seq_len=6, token_size=width)
    flat = [token for one in documents(split) for token in one]
    read = [token for i in range(len(windows)) for token in windows[i]["input_ids"].tolist()]
    assert read == flat[: len(read)]
    assert len(flat) - len(read) < 7  # its loader drops the tail


def test_megatron_files_are_byte_for_byte_those_of_an_independent_writer(split: ShardSplit, tmp_path: Path) -> None:
    from datatrove.pipeline.tokens.megatron_tokenizer import MegatronTokenizedFile

    export_split(split, Megatron(), tmp_path / "ours" / "train")
    theirs = MegatronTokenizedFile(str(tmp_path / "theirs"), "train", token_size=split.dtype.itemsize)
    for one in documents(split):
        theirs.write(one)
    theirs.close()
    for name in ("train.bin", "train.idx"):
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()
