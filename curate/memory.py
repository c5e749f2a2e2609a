"""Memory that a process frees: a worker keeps it and needs it again at once; who waits for workers gives it back."""

from __future__ import annotations

import ctypes

KEPT_BYTES = 256 << 20  # free memory at the end of the heap that a process keeps; a batch takes some tens of MB
SMALL_BYTES = 32 << 20  # larger arrays, of a huge document, go back to the system at once; glibc allows no more

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of glibc's malloc.h: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD


def keep_memory() -> None:
    """Where the C library is glibc, keep what is freed; elsewhere nothing needs doing, or nobody knows what.

    By default it goes back to the system after each batch and comes again a page at a time, each page zeroed and each
    a fault: that took half the time of finding words.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, SMALL_BYTES)


def give_back() -> None:
    """Return what is free to the system, of Arrow's pool and of the C library's, before other processes want it."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
