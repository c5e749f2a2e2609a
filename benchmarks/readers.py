"""Who reads the rows of an epoch as batches: ours from the shards, the peers from what they ask to be written first.

Every reader writes a stream's epoch in its own format, in the order in which the rows come, opens it, and gives
batches of ROWS_AT_ONCE rows: input_ids, labels, position_ids. All peers' rows are packed beforehand, by our stream:
they read three columns of ready rows where ours puts rows together from documents.

litdata and mosaicml-streaming are no dependencies of ours: who has them installed sees them in the table. datatrove's
loader reads windows of one token file, so it gives ids and positions (from its index) and no labels.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

from curate.exports.datatrove import Datatrove
from curate.shards.corpus import ShardSplit, write_manifest
from curate.shards.format import TokenBatch, write_shard_file, write_split_info
from pretrain.rows import NO_TARGET
from pretrain.stream import Corpus, Stream

ROWS_AT_ONCE = 16  # of a batch
SEED = 1
COLUMNS = ("input_ids", "labels", "position_ids")
CHUNK = 64 << 20  # bytes of the peers' files, about what they write by themselves

Arrays = tuple[Any, Any, Any]
"""input_ids, labels (None where a reader gives none), position_ids of a batch"""


@dataclass(frozen=True, slots=True)
class Reader:
    name: str
    needs: str
    """The package that must be there."""
    write: Callable[[Stream, Path], object]
    open: Callable[[Path, int], Any]
    """From the folder and the row length: whatever `batches` takes."""
    batches: Callable[[Any], Iterator[Arrays]]

    @property
    def is_here(self) -> bool:
        return importlib.util.find_spec(self.needs) is not None


@dataclass(frozen=True, slots=True)
class Sums:
    """Of all arrays of an epoch: what must be the same whoever reads it. None: not given by this reader."""

    ids: int
    positions: int
    labels: int | None
    targets: int | None

    @classmethod
    def of(cls, batches: Iterator[Arrays]) -> Sums:
        ids = positions = labels = targets = 0
        has_labels = True
        for input_ids, some, position_ids in batches:
            ids, positions = ids + int(input_ids.sum()), positions + int(position_ids.sum())
            has_labels = some is not None
            if has_labels:
                labels, targets = labels + int(some.sum()), targets + int((some != NO_TARGET).sum())
        return cls(ids, positions, labels if has_labels else None, targets if has_labels else None)

    def agrees_with(self, ours: Sums) -> bool:
        mine, others = (self.ids, self.positions), (ours.ids, ours.positions)
        return mine == others and self.labels in (None, ours.labels) and self.targets in (None, ours.targets)


def write_corpus(folder: Path, lengths: np.ndarray, vocabulary: int) -> None:
    """A corpus of random tokens below `folder`."""
    draw = np.random.default_rng(SEED)
    batch = TokenBatch(
        tokens=draw.integers(0, vocabulary, int(lengths.sum()), dtype=np.uint16),
        offsets=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
        ids=[f"document-{i}" for i in range(len(lengths))],
        sources=["generated"] * len(lengths),
        n_bytes=4 * lengths.astype(np.int64),
    )
    _write_split(folder / "train", batch)
    write_manifest(folder, fingerprint={}, tokenizer={})


def stream_of(folder: Path, row: int) -> Stream:
    return Stream.open(
        [Corpus("domain", folder / "train")],
        sequence_length=row,
        rows_per_step=ROWS_AT_ONCE,
        seed=SEED,
        epochs=1,
        plans=folder / "plans",
    )


def _write_split(folder: Path, batch: TokenBatch) -> None:
    write_shard_file(folder / "data-00000-of-00001.arrow", [batch], pa.uint16())
    write_split_info(folder, "train")


# -- ours


def _our_batches(stream: Stream) -> Iterator[Arrays]:
    for step in range(stream.steps):
        batch = stream.batch(step)
        yield batch.input_ids, batch.labels, batch.position_ids


# -- datasets


def _write_for_datasets(stream: Stream, folder: Path) -> None:
    import datasets

    datasets.disable_progress_bars()
    row = datasets.Sequence(datasets.Value("int32"), length=stream.sequence_length)
    columns = _whole_columns(stream)
    made = datasets.Dataset.from_dict(columns, features=datasets.Features(dict.fromkeys(COLUMNS, row)))
    made.save_to_disk(str(folder))


def _open_map_style(folder: Path, row: int) -> Any:
    import datasets

    return datasets.load_from_disk(str(folder)).with_format("torch")


def _open_streaming(folder: Path, row: int) -> Any:
    import datasets

    files = str(folder / "*.arrow")
    return datasets.load_dataset("arrow", data_files=files, split="train", streaming=True).with_format("torch")


# -- litdata


def _write_for_litdata(stream: Stream, folder: Path) -> None:
    import torch
    from litdata.streaming import Cache

    folder.mkdir(parents=True)
    cache = Cache(str(folder), chunk_bytes=CHUNK)
    for number, row in enumerate(_rows(stream)):
        cache[number] = {name: torch.from_numpy(values) for name, values in row.items()}
    cache.done()
    cache.merge()


def _open_litdata(folder: Path, row: int) -> Any:
    import litdata

    return litdata.StreamingDataset(str(folder), shuffle=False)


def _litdata_batches(opened: Any) -> Iterator[Arrays]:
    import litdata

    for batch in litdata.StreamingDataLoader(opened, batch_size=ROWS_AT_ONCE):
        yield tuple(batch[name] for name in COLUMNS)


# -- mosaicml-streaming


def _streaming() -> Any:
    """The package without its ready-made data sets of pictures and text, which nobody here reads: they import
    torchvision, whose wheels on PyPI do not load beside torch for the CPU."""
    for part in ("vision", "text", "multimodal"):
        sys.modules.setdefault(f"streaming.{part}", ModuleType(f"streaming.{part}"))
    import streaming

    return streaming


def _write_for_streaming(stream: Stream, folder: Path) -> None:
    kinds = dict.fromkeys(COLUMNS, f"ndarray:int32:{stream.sequence_length}")
    with _streaming().MDSWriter(out=str(folder), columns=kinds, size_limit=CHUNK) as writer:
        for row in _rows(stream):
            writer.write(row)


def _open_streaming_dataset(folder: Path, row: int) -> Any:
    return _streaming().StreamingDataset(
        local=str(folder), batch_size=ROWS_AT_ONCE, shuffle=False, num_canonical_nodes=1
    )


# -- datatrove


def _write_for_datatrove(stream: Stream, folder: Path) -> None:
    """Segments stand as documents, so that its index restarts the positions where our rows do."""
    steps = [stream.batch(step) for step in range(stream.steps)]
    lengths = np.concatenate([np.diff(step.cu_seqlens) for step in steps])
    batch = TokenBatch(
        tokens=np.concatenate([step.input_ids for step in steps]).astype(np.uint16),
        offsets=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
        ids=[str(i) for i in range(len(lengths))],
        sources=["rows"] * len(lengths),
        n_bytes=lengths.astype(np.int64),
    )
    beside = folder.with_name(f"{folder.name}-shards")
    _write_split(beside, batch)
    folder.mkdir(parents=True)
    Datatrove().write(ShardSplit.open(beside), folder / "rows")


def _open_datatrove(folder: Path, row: int) -> Any:
    from datatrove.utils.dataset import DatatroveFolderDataset

    # its windows are one token longer than seq_len says
    return DatatroveFolderDataset(str(folder), seq_len=row - 1, filename_pattern="*.ds", return_positions=True)


def _datatrove_batches(opened: Any) -> Iterator[Arrays]:
    from torch.utils.data import DataLoader

    for batch in DataLoader(opened, batch_size=ROWS_AT_ONCE):
        yield batch["input_ids"], None, batch["positions"]


# -- what several use


def _loaded(opened: Any) -> Iterator[Arrays]:
    from torch.utils.data import DataLoader

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        for batch in DataLoader(opened, batch_size=ROWS_AT_ONCE):
            yield tuple(batch[name] for name in COLUMNS)


def _whole_columns(stream: Stream) -> dict[str, np.ndarray]:
    steps = list(_our_batches(stream))
    return {
        name: np.concatenate([step[i] for step in steps]).reshape(-1, stream.sequence_length).astype(np.int32)
        for i, name in enumerate(COLUMNS)
    }


def _rows(stream: Stream) -> Iterator[dict[str, np.ndarray]]:
    for arrays in _our_batches(stream):
        columns = [array.reshape(-1, stream.sequence_length).astype(np.int32) for array in arrays]
        for row in zip(*columns, strict=True):
            yield dict(zip(COLUMNS, row, strict=True))


OURS = Reader("ours", "numpy", lambda stream, folder: None, stream_of, _our_batches)
PEERS = (
    Reader("datasets, map-style, DataLoader", "datasets", _write_for_datasets, _open_map_style, _loaded),
    Reader("datasets, streaming, DataLoader", "datasets", _write_for_datasets, _open_streaming, _loaded),
    Reader("litdata", "litdata", _write_for_litdata, _open_litdata, _litdata_batches),
    Reader("mosaicml-streaming", "streaming", _write_for_streaming, _open_streaming_dataset, _loaded),
    Reader("datatrove, ids and positions only", "datatrove", _write_for_datatrove, _open_datatrove, _datatrove_batches),
)
