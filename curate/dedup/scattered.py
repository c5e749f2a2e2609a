"""Many small pieces of a file, from anywhere in it, into one array: what a random access per document comes down to.

    begins   40  7  90          the file      …|7······|…|40··|…|90·|
    sizes     4  7   2          the answer    |40··|7······|90·|

Reads are system calls, a million of them where a million signatures are fetched, and from Python each costs twice as
much around the call as in it. So the loop is compiled and calls `pread` itself. Pieces that follow each other in the
file are read as one. Mapping the file instead would count every page looked at as memory of the process.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

from curate.dedup.partitions import Numbers

# pread(file, into, bytes, from), of the C library that Python itself runs on
_pread = types.ExternalFunction("pread", types.intp(types.intc, types.uintp, types.uintp, types.int64))


def read_pieces(file: int, begins: Numbers, sizes: Numbers, into: np.ndarray) -> None:
    """Fill the array `into` with sizes[i] bytes from begins[i] of the file, for each i in turn."""
    came = _read(file, begins, sizes, into.ctypes.data)
    if came != into.nbytes:
        raise OSError(f"{came:,} of {into.nbytes:,} bytes of scratch could be read back")


@njit(cache=True, nogil=True)
def _read(file, begins, sizes, into):  # type: ignore[no-untyped-def]
    """How many bytes came before a read failed, if one did."""
    came, piece = np.int64(0), 0
    while piece < len(begins):
        begin, end = np.int64(begins[piece]), np.int64(begins[piece])
        while piece < len(begins) and begins[piece] == end:
            end += sizes[piece]
            piece += 1
        while begin < end:
            n = _pread(np.intc(file), np.uintp(into + came), np.uintp(end - begin), begin)
            if n <= 0:
                return came
            begin, came = begin + n, came + n
    return came
