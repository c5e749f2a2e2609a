"""Reading shards back: a split as flat arrays over memory-mapped files, and the manifest of a corpus.

`ShardSplit.open` maps the files of a split and copies no token. What a packer needs is `lengths`; what a stream
needs is, for each document, the *address* of its first token in the mapped files: with it a compiled kernel gathers
segments of any documents without a Python object per token or per document. That is 12 bytes of memory per
document, whatever the number of tokens. A folder that is missing, cut short or of another schema is a Fault, found
on opening.

`write_manifest` counts what lies in the files (not what somebody meant to write) by source and split, and hashes them.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.shards.fault import Fault
from curate.shards.format import END_OF_STREAM, OPTIONAL, WEIGHT, shard_schema
from curate.shards.seal import MANIFEST, digest, sha256, write_json

AGAIN = "run the shard stage again"


@dataclass(frozen=True, slots=True, eq=False)
class ShardSplit:
    """One split of a corpus, memory-mapped. n documents, in the order of files and rows."""

    folder: Path
    lengths: np.ndarray  # (n,) int32, tokens of each document
    addresses: np.ndarray  # (n,) int64, where its first token lies in this process: valid while this object lives
    dtype: np.dtype[Any]  # uint16 or uint32, of a token
    table: pa.Table  # all columns, zero-copy
    _chunks: tuple[np.ndarray, ...]  # the tokens of each record batch, views of the maps
    _chunk_first: np.ndarray  # (chunks + 1,) int64, first document of each record batch

    @staticmethod
    def open(folder: Path | str) -> ShardSplit:
        """Map the split in `folder` (`shards/<corpus>/<split>`)."""
        folder = Path(folder)
        paths = data_files(folder)
        maps = [_map(path) for path in paths]
        # opening looks at a page here and there: with the kernel's usual reading around, a gigabyte cold took seconds
        _advise(maps, mmap.MADV_RANDOM)
        table = _mapped_table(folder, paths, maps)
        lists = table.column("input_ids").chunks
        width = table.schema.field("input_ids").type.value_type.bit_width // 8
        dtype = np.dtype(f"uint{8 * width}")
        chunks = tuple(_numbers(chunk.values, dtype) for chunk in lists)
        chunk_first = np.cumsum([0] + [len(chunk) for chunk in lists], dtype=np.int64)
        lengths, addresses = np.empty(table.num_rows, np.int32), np.empty(table.num_rows, np.int64)
        for first, tokens, chunk in zip(chunk_first[:-1].tolist(), chunks, lists, strict=True):
            offsets = _numbers(chunk.offsets, np.dtype(np.int32))
            mine = slice(first, first + len(chunk))
            np.subtract(offsets[1:], offsets[:-1], out=lengths[mine])
            np.multiply(offsets[:-1], width, out=addresses[mine], dtype=np.int64)
            addresses[mine] += tokens.ctypes.data
        _advise(maps, mmap.MADV_NORMAL)
        return ShardSplit(folder, lengths, addresses, dtype, table, chunks, chunk_first)

    def __reduce__(self) -> tuple[Callable[..., ShardSplit], tuple[Path]]:
        return ShardSplit.open, (self.folder,)  # another process maps the files anew: addresses don't travel

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def n_tokens(self) -> int:
        return int(self.lengths.sum(dtype=np.int64))

    @property
    def n_bytes(self) -> np.ndarray:
        """(n,) int64, UTF-8 bytes of each document's text."""
        return self.table.column("n_bytes").to_numpy()

    @property
    def weights(self) -> np.ndarray | None:
        """(n,) uint8, how often an epoch trains on each document; None where every one is trained on once."""
        return self.table.column(WEIGHT).to_numpy() if WEIGHT in self.table.column_names else None

    @property
    def ids(self) -> pa.ChunkedArray:
        return self.table.column("id")

    @property
    def sources(self) -> pa.ChunkedArray:
        return self.table.column("source")

    def tokens(self, document: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Tokens start:stop of a document: a view of the map, nothing is copied."""
        if not 0 <= document < len(self):
            raise IndexError(f"document {document} of {len(self)}")
        chunk = int(np.searchsorted(self._chunk_first, document, side="right")) - 1
        values = self._chunks[chunk]
        first = (int(self.addresses[document]) - values.ctypes.data) // values.itemsize
        return values[first : first + int(self.lengths[document])][start:stop]


def write_manifest(corpus_folder: Path, *, fingerprint: dict[str, Any], tokenizer: dict[str, Any]) -> dict[str, Any]:
    """Count and hash all splits below `corpus_folder` and write its manifest.json; returns what it says."""
    splits = sorted(path.parent for path in corpus_folder.glob("*/state.json"))
    manifest = {
        "fingerprint": fingerprint,
        "tokenizer": tokenizer,
        "splits": {folder.name: _counts(ShardSplit.open(folder)) for folder in splits},
        "files": {
            path.relative_to(corpus_folder).as_posix(): sha256(path)
            for folder in splits
            for path in sorted(folder.iterdir())
        },
    }
    write_json(corpus_folder / MANIFEST, manifest)
    return manifest


def read_manifest(corpus_folder: Path) -> dict[str, Any]:
    """What `write_manifest` wrote; a Fault where it is missing or not ours."""
    path = corpus_folder / MANIFEST
    manifest = _read_json(path)
    missing = [key for key in ("fingerprint", "tokenizer", "splits", "files") if key not in manifest]
    if missing:
        raise Fault(f"the corpus manifest lacks {', '.join(missing)}", where=str(path), hint=AGAIN)
    return manifest


def shards_digest(split_folder: Path) -> str:
    """Digest of a split's shard files' checksums, as the corpus manifest states them: other tokens, another digest."""
    files = read_manifest(split_folder.parent)["files"]
    return digest({name: files[name] for name in sorted(files) if name.startswith(f"{split_folder.name}/data-")})


def _counts(split: ShardSplit) -> dict[str, Any]:
    rows = pa.table({"source": split.sources, "tokens": split.lengths.astype(np.int64), "bytes": split.n_bytes})
    by_source = rows.group_by("source").aggregate([("tokens", "count"), ("tokens", "sum"), ("bytes", "sum")])
    sources = {
        row["source"]: {"documents": row["tokens_count"], "tokens": row["tokens_sum"], "bytes": row["bytes_sum"]}
        for row in by_source.sort_by("source").to_pylist()
    }
    totals = {key: sum(one[key] for one in sources.values()) for key in ("documents", "tokens", "bytes")}
    return {**totals, "sources": sources}


def data_files(folder: Path) -> list[Path]:
    """The files of a split in order, as its state.json names them; a Fault where one is missing."""
    if not folder.is_dir():
        raise Fault(
            "there is no such folder of shards", where=str(folder), hint="check the path, or run the shard stage"
        )
    state = _read_json(folder / "state.json")
    try:
        paths = [folder / entry["filename"] for entry in state["_data_files"]]
    except (KeyError, TypeError) as error:
        raise Fault("state.json does not list the data files", where=str(folder / "state.json"), hint=AGAIN) from error
    for path in paths:
        if not path.is_file():
            raise Fault("a shard file is missing", where=str(path), hint=AGAIN)
    if not paths:
        raise Fault("state.json lists no data files", where=str(folder / "state.json"), hint=AGAIN)
    return paths


def _mapped_table(folder: Path, paths: list[Path], maps: list[mmap.mmap]) -> pa.Table:
    tables = [_table_of(path, whole) for path, whole in zip(paths, maps, strict=True)]
    for table, path in zip(tables, paths, strict=True):
        if not table.schema.equals(tables[0].schema):
            raise Fault("shard files of one split differ in schema", where=str(path), hint=AGAIN)
    table = pa.concat_tables(tables)
    if any(table.column(name).null_count for name in table.column_names):
        raise Fault("a shard holds rows with nulls", where=str(folder), hint=AGAIN)
    return table


def _map(path: Path) -> mmap.mmap:
    # Arrow takes a stream without its end mark as whole, so a file cut between two batches would go unnoticed
    if path.stat().st_size < len(END_OF_STREAM) or _last_bytes(path) != END_OF_STREAM:
        raise Fault("a shard file is truncated", where=str(path), hint=AGAIN)
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _advise(maps: list[mmap.mmap], advice: int) -> None:
    for whole in maps:
        whole.madvise(advice)


def _table_of(path: Path, whole: mmap.mmap) -> pa.Table:
    try:
        # not pa.memory_map: it asks the kernel to fetch all that is read through it, so opening would read every token
        table = pa.ipc.open_stream(pa.BufferReader(pa.py_buffer(whole))).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise Fault(f"a shard file is broken: {error}", where=str(path), hint=AGAIN) from error
    terms = [name for name in OPTIONAL if name in table.column_names]
    if not any(table.schema.equals(shard_schema(dtype, terms)) for dtype in (pa.uint16(), pa.uint32())):
        found = ", ".join(f"{field.name} {field.type}" for field in table.schema)
        raise Fault(
            f"not a shard of ours: its columns are {found}",
            where=str(path),
            hint="needed are input_ids list<uint16|uint32>, id string, source string, n_bytes int64",
        )
    return table


def _numbers(array: pa.Array, dtype: np.dtype[Any]) -> np.ndarray:
    """A view of its values; pyarrow's own to_numpy would import pandas, a third of a second and 40 MB."""
    if not len(array):
        return np.zeros(0, dtype)
    return np.frombuffer(array.buffers()[1], dtype, len(array), array.offset * dtype.itemsize)


def _last_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-len(END_OF_STREAM), 2)
        return file.read()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Fault(f"there is no {path.name}", where=str(path), hint=AGAIN) from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise Fault(f"{path.name} is not JSON: {error}", where=str(path), hint=AGAIN) from error
    if not isinstance(content, dict):
        raise Fault(f"{path.name} is not a JSON object", where=str(path), hint=AGAIN)
    return content
