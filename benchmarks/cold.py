"""A clean slate for what reads files: a fresh process, and files that are not in memory.

`evict` asks the kernel to drop the pages of files it has cached (fsync, then posix_fadvise DONTNEED: dirty pages and
pages that a process has mapped would stay), and `cached` asks it how many it still holds (mincore), so that a cold
turn says how cold it was. What the disk or its host keep in caches of their own is beyond reach.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def in_a_fresh_process(work: Callable[..., T], *given: object) -> T:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(work, *given).result()


def files_below(*folders: Path) -> list[Path]:
    return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())


def evict(paths: Iterable[Path]) -> float:
    """Drop the files from the page cache; gives the share of their pages that is still there."""
    held = pages = 0
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            mine, all_of_it = _cached(descriptor)
        finally:
            os.close(descriptor)
        held, pages = held + mine, pages + all_of_it
    return held / max(pages, 1)


def _cached(descriptor: int) -> tuple[int, int]:
    """(pages in memory, pages) of a file."""
    size = os.fstat(descriptor).st_size
    if size == 0:
        return 0, 0
    pages = -(-size // mmap.PAGESIZE)
    told = (ctypes.c_ubyte * pages)()
    with mmap.mmap(descriptor, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as view:
        first = ctypes.c_char.from_buffer(view)
        failed = ctypes.CDLL(None, use_errno=True).mincore(
            ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(size), told
        )
        del first
    if failed:
        raise OSError(ctypes.get_errno(), "mincore")
    return sum(one & 1 for one in told), pages
