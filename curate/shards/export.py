"""Shards in the formats of other trainers (curate/exports), each read back before it counts as written.

shards/<corpus>/<split> ─write▶ <out>/<corpus>/<split>.… ─read▶ the same documents, token by token, or a Fault
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curate.shards.corpus import ShardSplit
from curate.shards.fault import Fault

Tokens = tuple[npt.NDArray[np.generic], npt.NDArray[np.generic]]
"""(tokens of some documents laid end to end, length of each)"""


class Exporter(Protocol):
    """A sibling in curate/exports. `place` is a path without suffix."""

    def write(self, split: ShardSplit, place: Path) -> list[Path]: ...

    def read(self, place: Path) -> Iterator[Tokens]:
        """What stands there, as a reader of that format finds it."""
        ...

    def how_to_load(self, place: Path) -> str: ...


def export_split(split: ShardSplit, exporter: Exporter, place: Path) -> list[Path]:
    """Write one split and hold what a reader finds against the shards. The files that were written."""
    place.parent.mkdir(parents=True, exist_ok=True)
    paths = exporter.write(split, place)
    if fingerprint(exporter.read(place)) != fingerprint(batches(split)):
        raise Fault("what was written reads back as other tokens", where=str(place), hint="is the disk full?")
    return paths


def batches(split: ShardSplit) -> Iterator[Tokens]:
    for chunk in split.table.column("input_ids").chunks:
        yield tokens_of(chunk)


def tokens_of(lists: pa.ListArray) -> Tokens:
    offsets = lists.offsets.to_numpy()
    return lists.values.to_numpy()[offsets[0] : offsets[-1]], np.diff(offsets)


def mapped(path: Path, kind: str) -> npt.NDArray[np.generic]:
    """A flat file of numbers; an empty one cannot be mapped."""
    return np.memmap(path, kind, "r") if path.stat().st_size else np.zeros(0, kind)


def fingerprint(documents: Iterable[Tokens]) -> tuple[int, int, str, str]:
    """(documents, tokens, digest of lengths, digest of tokens), whatever the width of a token and the batches."""
    of_lengths, of_tokens = hashlib.sha256(), hashlib.sha256()
    n_documents = n_tokens = 0
    for tokens, lengths in documents:
        n_documents, n_tokens = n_documents + len(lengths), n_tokens + len(tokens)
        of_lengths.update(np.asarray(lengths, "<i8").data)
        of_tokens.update(np.asarray(tokens, "<u4").data)
    return n_documents, n_tokens, of_lengths.hexdigest(), of_tokens.hexdigest()
