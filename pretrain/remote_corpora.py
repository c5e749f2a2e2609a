"""Corpora of a stream whose shards lie at a URL: how they are opened, dealt into windows, packed and read ahead.

On this machine lies a corpus' manifest alone; tokens come file by file (pretrain/read_ahead.py). What is at the URL
must be what the manifest speaks of, so a stream of remote shards is that of the local ones: the same identity, the same
rows. Only where the shards are larger than the cache are rows shuffled within windows of files
(pretrain/shuffle_windows.py), and then the identity says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from curate.shards.corpus import ShardSplit
from curate.shards.fault import Fault
from curate.shards.remote import RemoteSplit
from curate.shards.store import Store
from pretrain.plans import pack
from pretrain.read_ahead import Cache, Places, ReadAhead, Remote
from pretrain.rows import Packed, Packer
from pretrain.shuffle_windows import Visits, Windows, packed_in_windows, room_of_each, windows_of


def open_split(folder: Path, url: str | None, shards: str, cache: Cache | None) -> ShardSplit | RemoteSplit:
    """The split in `folder`, or at `url` (of its corpus). `shards`: the digest that the manifest here states."""
    if url is None:
        return ShardSplit.open(folder)
    if cache is None:
        raise Fault("shards at a URL need a cache on this machine", where=url, hint="give Stream.open a cache")
    split = RemoteSplit.open(Store.at(url, cache.patience), folder.name)
    if split.shards_digest != shards:
        raise Fault(
            f"the shards at the URL are not those of {folder.parent}: their checksums differ",
            where=url,
            hint="put this run's shards there:  postgrad export RUN URL --to shards",
        )
    return split


def dealt(
    names: Sequence[str], splits: Sequence[ShardSplit | RemoteSplit], cache: Cache | None, seed: int
) -> list[Windows | None]:
    """The windows of each corpus; None for one on this machine."""
    windows: list[Windows | None] = [None] * len(splits)
    sizes = {
        index: [file.n_bytes for file in split.files]
        for index, split in enumerate(splits)
        if isinstance(split, RemoteSplit)
    }
    if cache is not None:
        rooms = room_of_each([sum(one) for one in sizes.values()], cache.n_bytes)
        for (index, file_bytes), room in zip(sizes.items(), rooms, strict=True):
            windows[index] = windows_of(names[index], file_bytes, room, seed)
    return windows


def packed_by(
    packer: Packer,
    name: str,
    split: ShardSplit | RemoteSplit,
    windows: Windows | None,
    shards: str,
    row_length: int,
    plans: Path | None,
) -> Packed:
    if windows is None or len(windows) == 1:
        return pack(packer, name, split, shards, row_length, plans)
    assert isinstance(split, RemoteSplit)
    return packed_in_windows(packer, name, split, windows, row_length)


def read_ahead_of(
    corpora: Sequence[Packed],
    windows: Sequence[Windows | None],
    corpus_of: np.ndarray,
    places: Places,
    seed: int,
    cache: Cache | None,
) -> ReadAhead | None:
    """None where all shards lie on this machine."""
    remote = {}
    for index, (packed, dealt_as) in enumerate(zip(corpora, windows, strict=True)):
        rows = np.flatnonzero(corpus_of == index) if dealt_as is not None else np.zeros(0, np.int64)
        if dealt_as is not None and len(rows):
            assert isinstance(packed.split, RemoteSplit)
            window_of = {file: window for window, files in enumerate(dealt_as) for file in files}
            in_order = tuple(window_of[file] for file in range(len(window_of)))
            remote[index] = Remote(packed, packed.split, dealt_as, in_order, Visits.of(packed, seed, rows))
    return ReadAhead(remote, places, len(corpus_of), cache) if remote and cache is not None else None
