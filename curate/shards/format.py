"""How tokenised documents lie on disk, and how they get there.

    shards/<corpus>/<split>/
      data-00000-of-00003.arrow     Arrow IPC *stream*, one row per document
      dataset_info.json             the columns, in the words of Hugging Face `datasets`
      state.json                    the data files in order

`datasets.load_from_disk("shards/<corpus>/<split>")` opens such a folder with no code of ours, and ours reads it by
memory map (`curate/shards/corpus.py`). In come batches of token ids with their documents' ids, one iterator per
file, so that a parallel task writes its file alone: the number of files is planned, so every name is known
beforehand. When all files of a split are there, `write_split_info` adds the two small JSON files. A split without
documents is one file of no rows.

| column    | Arrow type                 | meaning                                                      |
|-----------|----------------------------|--------------------------------------------------------------|
| input_ids | list<uint16> or list<uint32> | BOS as the tokenizer demands, the text, EOS                  |
| id        | string                     | the document's id, as in the ledger                          |
| source    | string                     | the source it came from                                      |
| n_bytes   | int64                      | UTF-8 bytes of its text: what bits per byte are divided by   |
| licence   | string                     | only where a source tells one; empty for documents without   |
| consent   | string                     | likewise                                                     |
| weight    | uint8                      | only where the recipe rehydrates: times an epoch trains on it |
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from curate.shards.fault import Fault
from curate.shards.seal import write_json

TERMS = ("licence", "consent")
"""What a document may be used for: columns that stand only in shards of recipes whose sources tell them."""
WEIGHT = "weight"
OPTIONAL = {**dict.fromkeys(TERMS, pa.string()), WEIGHT: pa.uint8()}
"""Columns that stand only in shards of recipes that give rise to them."""
MOST_TOKENS_IN_A_BATCH = 2**31 - 1  # a list column's offsets are int32
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"  # Arrow's end mark: a file without it was cut


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Some documents, tokenised. Document i's tokens are tokens[offsets[i]:offsets[i + 1]]."""

    tokens: np.ndarray  # (t,) unsigned integers; of the shard's own type they are written as they lie in memory
    offsets: np.ndarray  # (n + 1,) int64, starting at 0
    ids: Sequence[str] | pa.Array
    sources: Sequence[str] | pa.Array
    n_bytes: np.ndarray  # (n,) int64
    terms: Mapping[str, pa.Array | pa.ChunkedArray] = field(default_factory=dict)  # (n,), by names of OPTIONAL


@dataclass(frozen=True, slots=True)
class ShardFile:
    """What a task wrote: the file's name and what it holds."""

    name: str
    documents: int
    tokens: int
    text_bytes: int


def token_dtype(vocabulary: int) -> pa.DataType:
    """The smallest type that holds every id of a vocabulary.

    >>> token_dtype(50_277), token_dtype(65_536), token_dtype(65_537)
    (DataType(uint16), DataType(uint16), DataType(uint32))
    """
    return pa.uint16() if vocabulary <= 2**16 else pa.uint32()


def shard_name(index: int, files: int) -> str:
    """
    >>> shard_name(2, 12)
    'data-00002-of-00012.arrow'
    """
    return f"data-{index:05d}-of-{files:05d}.arrow"


def write_shard_file(
    path: Path, batches: Iterable[TokenBatch], dtype: pa.DataType, terms: Sequence[str] = ()
) -> ShardFile:
    """Write one data file of a split, batch by batch, each batch an Arrow record batch. The file appears whole.

    `terms`: those of OPTIONAL that every batch brings.
    """
    schema = shard_schema(dtype, terms)
    documents = tokens = text_bytes = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.tmp")
    with pa.OSFile(str(beside), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            writer.write_batch(_record_batch(batch, schema))
            documents += len(batch.offsets) - 1
            tokens += len(batch.tokens)
            text_bytes += int(np.sum(batch.n_bytes))
    os.replace(beside, path)
    return ShardFile(path.name, documents, tokens, text_bytes)


def write_split_info(folder: Path, split: str) -> None:
    """Make the data files of `folder` a data set that `datasets.load_from_disk` opens."""
    names = sorted(path.name for path in folder.glob("data-*.arrow"))
    planned = [shard_name(index, len(names)) for index in range(len(names))]
    if not names or names != planned:
        raise Fault(
            f"the shard files of split {split!r} are not whole: found {', '.join(names) or 'none'}",
            where=str(folder),
            hint="run the shard stage again",
        )
    with pa.memory_map(str(folder / names[0])) as source:
        schema = pa.ipc.open_stream(source).schema
    dtype, terms = schema.field("input_ids").type.value_type, [name for name in OPTIONAL if name in schema.names]
    info = {"citation": "", "description": "", "features": _features(dtype, terms), "homepage": "", "license": ""}
    state: dict[str, Any] = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": _content_hash([folder / name for name in names]),
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": split,
    }
    write_json(folder / "dataset_info.json", info)
    write_json(folder / "state.json", state)


def shard_schema(dtype: pa.DataType, terms: Sequence[str] = ()) -> pa.Schema:
    """The columns of a shard, with the note by which `datasets` knows its own features in a lone file."""
    note = json.dumps({"info": {"features": _features(dtype, terms)}})
    columns = {"input_ids": pa.list_(dtype), "id": pa.string(), "source": pa.string(), "n_bytes": pa.int64()}
    return pa.schema([*columns.items(), *((name, OPTIONAL[name]) for name in terms)], metadata={"huggingface": note})


def _record_batch(batch: TokenBatch, schema: pa.Schema) -> pa.RecordBatch:
    lists = schema.field("input_ids").type
    kind = np.dtype(lists.value_type.to_pandas_dtype())
    if len(batch.tokens) > MOST_TOKENS_IN_A_BATCH:
        raise Fault(
            f"a batch holds {len(batch.tokens):,} tokens, more than 2^31 - 1", hint="split it: documents are huge"
        )
    if batch.tokens.dtype != kind and len(batch.tokens) and int(batch.tokens.max()) > np.iinfo(kind).max:
        raise Fault(f"token id {int(batch.tokens.max())} does not fit {lists.value_type}: the vocabulary is larger")
    offsets = pa.array(batch.offsets.astype(np.int32))
    tokens = pa.array(batch.tokens.astype(kind, copy=False))
    columns = [
        pa.ListArray.from_arrays(offsets, tokens, type=lists),
        _strings(batch.ids),
        _strings(batch.sources),
        pa.array(batch.n_bytes, pa.int64()),
        *(_filled(batch.terms[name], kind) for name, kind in OPTIONAL.items() if name in schema.names),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _filled(values: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return pc.fill_null(array.cast(kind), 1 if kind == OPTIONAL[WEIGHT] else "")


def _strings(values: Sequence[str] | pa.Array) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    return values.cast(pa.string()) if isinstance(values, pa.Array) else pa.array(values, pa.string())


def _features(dtype: pa.DataType, terms: Sequence[str]) -> dict[str, Any]:
    # "Sequence" is read by every version of `datasets`; 4.0 and later call it List and take both
    return {
        "input_ids": {"feature": {"dtype": str(dtype), "_type": "Value"}, "_type": "Sequence"},
        "id": {"dtype": "string", "_type": "Value"},
        "source": {"dtype": "string", "_type": "Value"},
        "n_bytes": {"dtype": "int64", "_type": "Value"},
    } | {name: {"dtype": str(OPTIONAL[name]), "_type": "Value"} for name in terms}


def _content_hash(paths: list[Path]) -> str:
    """What `datasets` keys its caches on, so it must change with the content and with nothing else."""
    running = xxhash.xxh3_64()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                running.update(block)
    return running.hexdigest()
