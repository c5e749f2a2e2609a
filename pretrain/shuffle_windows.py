"""A shuffle for corpora larger than the cache: files in windows, rows packed and shuffled within each.

A shuffle over a whole corpus wants all of its files at every step. Where they don't fit the cache, the files, in an
order drawn from the seed, are dealt into windows of which two fit: the one in use, and the next, fetched meanwhile.

    files    c f | a e | d b       drawn once, so that neighbours (often of one source) part
    epoch 1  a e | d b | c f       windows in a new order every epoch,
             rows of a and e shuffled, then those of d and b, ...    rows in a new order within each

Rows are packed from documents of one window. Everything here is a pure function of the files' sizes, the size of the
cache and the seed. A corpus that fits is one window, and its order is that of pretrain/order.py to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from curate.shards.fault import Fault
from curate.shards.remote import RemoteSplit
from pretrain.order import epoch_order
from pretrain.rows import Packed, Packer, Plan, as_often

Windows = tuple[tuple[int, ...], ...]  # the files of each window
NEVER = 2**62  # a row that no stream has


@dataclass(frozen=True, slots=True, eq=False)
class Visits:
    """When the windows of a corpus are in use: visit i from row first[i] of the stream to that of the next."""

    first: np.ndarray  # (visits,) int64
    window: np.ndarray  # (visits,) int64

    @staticmethod
    def of(packed: Packed, seed: int, rows: np.ndarray) -> Visits:
        """`rows`: those of the stream that are of this corpus, in order, over all epochs."""
        bounds, per_epoch = packed.windows or (0, len(packed.plan)), len(packed.plan)
        nth, window = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for epoch in range(-(-len(rows) // max(per_epoch, 1))):
            turns = window_turns(seed, packed.name, epoch, len(bounds) - 1)
            sizes = np.diff(bounds)[turns]
            nth.append(epoch * per_epoch + np.cumsum(sizes) - sizes)
            window.append(turns)
        begins, windows = np.concatenate(nth), np.concatenate(window)
        reached = begins < len(rows)
        return Visits(rows[begins[reached]], windows[reached])

    def at(self, row: int) -> int:
        """The window in use at a row of the stream; before the first, that one."""
        return int(self.window[self._visit(row)])

    def end(self, row: int) -> int:
        """The row at which the next visit begins."""
        after = self._visit(row) + 1
        return int(self.first[after]) if after < len(self.first) else NEVER

    def next_of(self, window: int, row: int) -> int:
        """The row at which a window's next visit begins, or began where it is in use."""
        visit = self._visit(row)
        later = np.flatnonzero(self.window[visit:] == window)
        return int(self.first[visit + later[0]]) if len(later) else NEVER

    def _visit(self, row: int) -> int:
        return max(0, int(np.searchsorted(self.first, row, side="right")) - 1)


def room_of_each(sizes: Sequence[int], room: int) -> list[int]:
    """Bytes of the cache for each corpus: what it needs where that is no more than its part, else equal parts.

    >>> room_of_each([10, 500, 300], 210)
    [10, 100, 100]
    """
    rooms = [0] * len(sizes)
    for done, index in enumerate(sorted(range(len(sizes)), key=lambda one: sizes[one])):
        rooms[index] = min(sizes[index], room // (len(sizes) - done))
        room -= rooms[index]
    return rooms


def windows_of(name: str, file_bytes: Sequence[int], room: int, seed: int) -> Windows:
    """The files of a corpus, dealt into windows of at most half the room; one window where all fit."""
    if sum(file_bytes) <= room:
        return (tuple(range(len(file_bytes))),)
    largest = max(file_bytes)
    if 2 * largest > room:
        raise Fault(
            f"the cache has {room / 1e9:.3g} GB for {name}, whose files have up to {largest / 1e9:.3g} GB",
            where="train.cache_gb",
            hint="it must hold two files of each corpus that doesn't fit: raise it, or lower shards.shard_mb",
        )
    windows: list[list[int]] = []
    for file in epoch_order(seed, f"{name}\0files", 0, len(file_bytes)).tolist():
        if not windows or sum(file_bytes[other] for other in windows[-1]) + file_bytes[file] > room // 2:
            windows.append([])
        windows[-1].append(file)
    return tuple(tuple(sorted(window)) for window in windows)


def packed_in_windows(packer: Packer, name: str, split: RemoteSplit, windows: Windows, row_length: int) -> Packed:
    """The plans of all windows, one after the other."""
    plans = [_plan(packer, split, window, row_length) for window in windows]
    pieces = np.cumsum([0, *(len(plan.length) for plan in plans)])
    plan = Plan(
        row_length,
        np.concatenate([[0], *(plan.row_first[1:] + first for plan, first in zip(plans, pieces[:-1], strict=True))]),
        np.concatenate([plan.document for plan in plans]),
        np.concatenate([plan.start for plan in plans]),
        np.concatenate([plan.length for plan in plans]),
    )
    bounds = np.cumsum([0, *(len(plan) for plan in plans)])
    return Packed(name, split, plan, plan.row_tokens, tuple(bounds.tolist()))


def _plan(packer: Packer, split: RemoteSplit, window: Sequence[int], row_length: int) -> Plan:
    documents = [np.arange(split.file_first[file], split.file_first[file + 1], dtype=np.int32) for file in window]
    document = np.concatenate(documents)
    if split.weights is not None:
        document = document[as_often(split.weights[document])]
    lengths = split.lengths[document]
    plan = packer.plan(lengths, row_length)
    assert plan.n_tokens == int(lengths.sum(dtype=np.int64)), f"{type(packer).__name__} lost or doubled tokens"
    return Plan(row_length, plan.row_first, document[plan.document], plan.start, plan.length)


def window_turns(seed: int, corpus: str, epoch: int, windows: int) -> np.ndarray:
    """(windows,) int32: which window comes when in an epoch."""
    return epoch_order(seed, f"{corpus}\0windows", epoch, windows)


@lru_cache(maxsize=32)
def order_in_windows(seed: int, corpus: str, epoch: int, bounds: tuple[int, ...]) -> np.ndarray:
    """(rows,) int32; window w holds the rows bounds[w] : bounds[w + 1] of the plan. Read-only, since it is shared."""
    parts = [
        bounds[window] + epoch_order(seed, f"{corpus}\0{window}", epoch, bounds[window + 1] - bounds[window])
        for window in window_turns(seed, corpus, epoch, len(bounds) - 1).tolist()
    ]
    order = np.concatenate(parts).astype(np.int32)
    order.flags.writeable = False
    return order
