"""Shard files that lie at a URL, on this machine when their rows are wanted, and never more than the cache holds.

    trainer     rows 96 … 128 ─▶ at_hand: their files are here, or it waits for those that are not
    read-ahead  row 128 … 640 ─▶ the next file that is not here ─make room─▶ fetch ─▶ place

The order of training is known, so nothing is guessed: one thread walks the rows ahead of the trainer and fetches the
files they touch in the order of first need. Room is made by taking away the file whose window comes back last
(Belady 1966: none does better), never one that is wanted before the file it makes room for. So the walk ends by itself
where the cache is full of what comes sooner, and goes on as the trainer does.

A file in the cache is named by its sha256, which was checked on arrival; it appears whole, and what an earlier sitting
left is used again. Processes of one machine may share the folder: a file that several want is fetched by one. Each
counts what it uses itself; ranks of one training use the same files at the same steps.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from curate.shards.fault import Fault
from curate.shards.remote import RemoteFile, RemoteSplit, mapped
from curate.shards.store import Patience
from pretrain.rows import Packed
from pretrain.shuffle_windows import Visits, Windows

ROWS_AT_ONCE = 64  # of the walk: a look at some hundred documents
Key = tuple[int, int]  # index of the corpus, number of the file
Places = Callable[[int, int], tuple[np.ndarray, np.ndarray]]
"""For rows first:last of the stream, (corpus, row of its plan), both (last - first,)."""


@dataclass(frozen=True, slots=True)
class Cache:
    """Where copies of remote files lie, and how many bytes they may take."""

    folder: Path
    n_bytes: int
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True, eq=False)
class Remote:
    """A corpus of the stream whose shards lie at a URL."""

    packed: Packed
    split: RemoteSplit
    windows: Windows
    window_of: tuple[int, ...]  # of each file
    visits: Visits

    def touched(self, plan_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(file, the first of the rows that touches it), both (files touched,) int64."""
        plan = self.packed.plan
        begin, pieces = plan.row_first[plan_rows], plan.row_first[plan_rows + 1] - plan.row_first[plan_rows]
        before = np.cumsum(pieces) - pieces
        piece = np.arange(pieces.sum()) + np.repeat(begin - before, pieces)
        files, first = np.unique(self.split.files_of(plan.document[piece]), return_index=True)
        return files, np.repeat(np.arange(len(plan_rows)), pieces)[first]

    def window_at(self, row: int) -> tuple[int, ...]:
        """The files of the window in use at a row of the stream."""
        return self.windows[self.visits.at(row)]


class ReadAhead:
    """Files of the remote corpora (by their index in the stream) for rows in the order of the stream."""

    def __init__(self, corpora: dict[int, Remote], places: Places, rows: int, cache: Cache) -> None:
        self._corpora, self._places, self._rows, self._cache = corpora, places, rows, cache
        self._files = {(i, n): file for i, one in corpora.items() for n, file in enumerate(one.split.files)}
        self._change = threading.Condition()
        self._one_waits = threading.Lock()  # two that wait, each with half its files here, could wait for ever
        self._here: dict[Key, np.ndarray] = {}  # maps of the files that are placed
        self._pins: Counter[Key] = Counter()  # files of rows that are being gathered, here or waited for
        self._position = self._walked = 0  # rows of the stream: the trainer's, the walk's
        self._is_whole = self._is_idle = self._is_closed = False
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        self.waited = 0
        """How often the trainer had to wait for a file."""
        self.fetched = 0
        """Files that came from the store."""

    def __reduce__(self) -> tuple[type[ReadAhead], tuple[object, ...]]:
        return ReadAhead, (self._corpora, self._places, self._rows, self._cache)  # another process has its own thread

    @contextmanager
    def at_hand(self, first: int, last: int) -> Iterator[None]:
        """Have the files of rows first:last placed while the block runs."""
        if self._is_whole:
            yield
            return
        with self._one_waits, self._change:
            self._go_to(first)
            wanted = self._wanted(first, last)
            self._pins.update(wanted)
            try:
                self._wait_for(wanted)
            except BaseException:
                self._unpin(wanted)
                raise
        try:
            yield
        finally:
            with self._change:
                self._unpin(wanted)

    def settle(self) -> None:
        """Return when there is nothing to fetch until the trainer goes on."""
        with self._change:
            self._change.wait_for(lambda: self._is_idle or self._failure is not None or self._thread is None)

    def close(self) -> None:
        """End the thread and take the maps away. The files stay for another sitting."""
        with self._change:
            self._is_closed, self._is_whole = True, False
            for index, file in self._here:
                self._corpora[index].split.forget(file)
            self._here.clear()
            self._change.notify_all()

    # ---- the trainer's side, under the lock

    def _go_to(self, row: int) -> None:
        """Note where the trainer is. Where that is not on the way of the walk, the walk begins anew there."""
        if self._is_closed:
            raise ValueError("the stream is closed")
        if not self._position <= row <= self._walked:
            self._walked = row
        self._position = row
        if self._thread is None:
            self._take_over()
            self._thread = threading.Thread(target=self._work, name="read-ahead", daemon=True)
            self._thread.start()

    def _wanted(self, first: int, last: int) -> list[Key]:
        """The files of some rows; where the whole windows are here, theirs."""
        if self._whole_until(first) >= last:
            return [(index, file) for index, one in self._corpora.items() for file in one.window_at(first)]
        wanted = [key for _, key in self._touched(first, last)]
        n_bytes = sum(self._files[key].n_bytes for key in wanted)
        if n_bytes > self._cache.n_bytes:
            raise Fault(
                f"{last - first} rows need {n_bytes / 1e9:.3g} GB of shards at once, more than the cache holds",
                where="train.cache_gb",
                hint="raise train.cache_gb, or lower train.micro_batch_tokens",
            )
        return wanted

    def _wait_for(self, wanted: list[Key]) -> None:
        self._is_idle = False
        self._change.notify_all()
        self.waited += any(key not in self._here for key in wanted)
        while not all(key in self._here for key in wanted):
            if self._failure is not None:
                raise self._failure
            self._change.wait()

    def _unpin(self, keys: list[Key]) -> None:
        self._pins.subtract(keys)
        self._pins = +self._pins
        self._is_idle = False
        self._change.notify_all()

    # ---- the thread's side

    def _work(self) -> None:
        try:
            while (key := self._next_file()) is not None:
                content = self._fetch(self._corpora[key[0]].split, self._files[key])
                with self._change:
                    if not self._is_closed:
                        self._place(key, content)
        except BaseException as error:  # it is the trainer's to raise
            with self._change:
                self._failure = error
                self._change.notify_all()

    def _next_file(self) -> Key | None:
        """Wait for a file that is wanted and that has room; None at the end."""
        with self._change:
            while not self._is_closed:
                found = self._first_missing()
                if found and self._make_room(self._files[found[1]].n_bytes, wanted_at=found[0]):
                    return found[1]
                self._is_idle = True
                self._change.notify_all()
                self._change.wait()
        return None

    def _first_missing(self) -> tuple[int, Key] | None:
        """(row that wants it, a file that is not here): one that the trainer waits for, or the next on the walk."""
        while not self._is_closed:
            if urgent := [key for key in self._pins if key not in self._here]:
                return -1, urgent[0]
            if self._walked >= self._rows:
                break
            self._walked = max(self._walked, self._whole_until(self._walked))
            touched = self._touched(self._walked, self._walked + ROWS_AT_ONCE)
            if missing := [one for one in touched if one[1] not in self._here]:
                return missing[0]
            self._walked += ROWS_AT_ONCE
            self._change.wait(0)  # lets the trainer in
        return None

    def _fetch(self, split: RemoteSplit, file: RemoteFile) -> np.ndarray:
        """A map of the file's copy, which is fetched unless it is there."""
        path = self._path(file)
        while True:  # more than once only where another process makes room of the file at this moment
            with _alone(path.with_suffix(".lock")):
                if (content := _copy_at(path, file)) is not None:
                    return content
                partial = path.with_suffix(".partial")
                split.store.fetch(file.name, partial, file.sha256)
                os.replace(partial, path)
                self.fetched += 1

    # ---- the cache, under the lock

    def _place(self, key: Key, content: np.ndarray) -> None:
        self._corpora[key[0]].split.place(key[1], content)
        self._here[key] = content
        self._is_whole = len(self._here) == len(self._files)
        self._change.notify_all()

    def _make_room(self, n_bytes: int, wanted_at: int) -> bool:
        """Take files away that are wanted later, until so many bytes more fit; False where that cannot be."""
        while sum(self._files[key].n_bytes for key in self._here) + n_bytes > self._cache.n_bytes:
            next_use = {key: self._next_use(key) for key in self._here if key not in self._pins}
            last = max(next_use, key=lambda key: (next_use[key], key), default=None)
            if last is None or next_use[last] <= wanted_at:
                return False
            self._corpora[last[0]].split.forget(last[1])
            del self._here[last]
            self._path(self._files[last]).unlink(missing_ok=True)
        return True

    def _take_over(self) -> None:
        """Use what an earlier sitting left, as far as there is room; clear away the rest."""
        self._cache.folder.mkdir(parents=True, exist_ok=True)
        known = {self._path(file): key for key, file in self._files.items()}
        for path in set(self._cache.folder.glob("*.arrow")) - known.keys():
            path.unlink(missing_ok=True)
        left = self._cache.n_bytes
        for path, key in sorted(known.items(), key=lambda one: (self._next_use(one[1]), one[1])):
            content = _copy_at(path, self._files[key])
            if content is None or len(content) > left:
                path.unlink(missing_ok=True)
            else:
                left -= len(content)
                self._place(key, content)

    def _path(self, file: RemoteFile) -> Path:
        return self._cache.folder / f"{file.sha256}.arrow"

    # ---- what the order of training says

    def _touched(self, first: int, last: int) -> list[tuple[int, Key]]:
        """(row of the stream that touches it first, file) for rows first:last, in order."""
        corpus_of, plan_rows = self._places(first, min(last, self._rows))
        found = []
        for index, one in self._corpora.items():
            mine = np.flatnonzero(corpus_of == index)
            files, rows = one.touched(plan_rows[mine])
            at = (first + mine[rows]).tolist()
            found += [(row, (index, file)) for row, file in zip(at, files.tolist(), strict=True)]
        return sorted(found)

    def _whole_until(self, row: int) -> int:
        """The first row from `row` on whose windows are not all here."""
        ends = []
        for index, one in self._corpora.items():
            if not all((index, file) in self._here for file in one.window_at(row)):
                return row
            ends.append(one.visits.end(row))
        return min(ends)

    def _next_use(self, key: Key) -> int:
        """The row from which on a file is wanted; none beyond the trainer's, where its window is in use."""
        one = self._corpora[key[0]]
        return one.visits.next_of(one.window_of[key[1]], self._position)


def _copy_at(path: Path, file: RemoteFile) -> np.ndarray | None:
    """A map of the copy, if it is there whole."""
    try:
        content = mapped(path)
    except (FileNotFoundError, ValueError):  # ValueError: an empty file cannot be mapped
        return None
    return content if len(content) == file.n_bytes else None


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes out meanwhile; the system lets them in again if this one dies."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
