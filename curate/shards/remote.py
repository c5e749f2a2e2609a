"""Shards at a URL: put there whole, and opened by reading only what is small.

    run/shards/<corpus>/ ─put_corpus▶ URL/<corpus>/{manifest.json, train/{data-*.arrow, index.npz, …}, …}
                                      URL/<corpus>/train ─RemoteSplit.open▶ lengths of all documents, no token

The manifest goes last, so that a corpus at a URL is whole or not there. The files are those of the run, byte for byte:
`datasets.load_from_disk` opens the same URL, and a stream of them is the stream of the local ones. What is added is
an index per split (curate/shards/token_index.py).

A `RemoteSplit` has the face of a `ShardSplit` as far as packing and gathering go. Its addresses hold for the files that
somebody has placed (pretrain/read_ahead.py), and are 0 for the others.
"""

from __future__ import annotations

import json
import mmap
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curate.shards.corpus import data_files, read_manifest
from curate.shards.fault import Fault
from curate.shards.seal import MANIFEST, digest, sha256, write_json
from curate.shards.store import Store
from curate.shards.token_index import INDEX, TokenIndex

PUT = "postgrad export RUN URL --to shards  puts a run's shards there"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A data file of a split, as the manifest states it."""

    name: str  # below the corpus: train/data-00000-of-00002.arrow
    sha256: str
    n_bytes: int


@dataclass(frozen=True, slots=True, eq=False)
class RemoteSplit:
    """One split of a corpus at a URL. n documents, in the order of files and rows."""

    store: Store  # of the corpus
    name: str
    files: tuple[RemoteFile, ...]
    file_first: np.ndarray  # (files + 1,) int64, first document of each file, and n
    lengths: np.ndarray  # (n,) int32, tokens of each document
    weights: np.ndarray | None  # (n,) uint8, how often an epoch trains on each document; None: once
    addresses: np.ndarray  # (n,) int64, where its first token lies in this process; 0 while its file is not placed
    dtype: np.dtype[Any]  # uint16 or uint32, of a token
    shards_digest: str  # what `curate.shards.corpus.shards_digest` says of the same split on a disk
    _index: TokenIndex

    @staticmethod
    def open(corpus: Store, split: str) -> RemoteSplit:
        """Read manifest and index of a split of the corpus at a URL."""
        checksums = _read_manifest(corpus)["files"]
        names = sorted(name for name in checksums if name.startswith(f"{split}/data-"))
        if not names or f"{split}/{INDEX}" not in checksums:
            raise Fault(f"the shards have no split {split!r} with an index", where=corpus.url, hint=PUT)
        place = f"{split}/{INDEX}"
        index = TokenIndex.from_bytes(corpus.read_sealed(place, checksums[place]), corpus.where(place))
        sizes = index.file_bytes.tolist()
        return RemoteSplit(
            corpus,
            split,
            tuple(RemoteFile(name, checksums[name], size) for name, size in zip(names, sizes, strict=True)),
            index.file_first,
            index.lengths,
            index.weights if len(index.weights) else None,
            np.zeros(len(index.lengths), np.int64),
            np.dtype(f"uint{8 * int(index.token_bytes[0])}"),
            digest({name: checksums[name] for name in names}),
            index,
        )

    def __reduce__(self) -> tuple[Callable[..., RemoteSplit], tuple[Store, str]]:
        return RemoteSplit.open, (self.store, self.name)  # another process places files of its own

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def n_tokens(self) -> int:
        return int(self.lengths.sum(dtype=np.int64))

    def files_of(self, documents: np.ndarray) -> np.ndarray:
        """(n,) int64, the file of each document."""
        return np.searchsorted(self.file_first, documents, side="right") - 1

    def place(self, file: int, content: np.ndarray) -> None:
        """Give a file's documents addresses in a map of it, which the caller keeps alive until `forget`."""
        self.addresses[self._documents(file)] = content.ctypes.data + self._index.positions(file)

    def forget(self, file: int) -> None:
        self.addresses[self._documents(file)] = 0

    def _documents(self, file: int) -> slice:
        return slice(int(self.file_first[file]), int(self.file_first[file + 1]))


def mapped(path: Path) -> np.ndarray:
    """(bytes,) uint8, a map of a file: valid also after the file is unlinked."""
    with path.open("rb") as file:
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)


def put_corpus(folder: Path, store: Store) -> int:
    """Put the sealed corpus in `folder` (shards/<corpus>) into a store, each file read back; its bytes."""
    manifest = read_manifest(folder)
    checksums = dict(manifest["files"])
    for name, known in sorted(checksums.items()):
        store.put(folder / name, name, known)
    with tempfile.TemporaryDirectory(prefix=".index-") as beside:
        made = Path(beside) / "made"
        for split in manifest["splits"]:
            made.write_bytes(TokenIndex.of(data_files(folder / split)).as_bytes())
            checksums[f"{split}/{INDEX}"] = sha256(made)
            store.put(made, f"{split}/{INDEX}", checksums[f"{split}/{INDEX}"])
        write_json(made, {**manifest, "files": checksums})
        store.put(made, MANIFEST, sha256(made))
    return sum((folder / name).stat().st_size for name in manifest["files"])


def _read_manifest(corpus: Store) -> dict[str, Any]:
    content = corpus.read(MANIFEST)
    try:
        manifest = json.loads(content)
        if not isinstance(manifest["files"], dict):
            raise ValueError("files is no object")
    except (ValueError, KeyError, TypeError) as error:
        raise Fault(f"not a manifest of shards: {error}", where=corpus.where(MANIFEST), hint=PUT) from error
    return dict(manifest)
