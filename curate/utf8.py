"""UTF-8 as kernels read it: a character at a time, or eight bytes at once as one number.

    code_point(data, at)         (0xE9, 2) where é begins
    eight_bytes(data, at, end)   b"fever" as 0x0000007265766566, little-endian

Text is valid UTF-8 by Arrow's contract: a lead byte is followed by as many bytes as it says.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from curate.lanes import step


@njit(cache=True, nogil=True, inline="always")
def code_point(data, at):  # type: ignore[no-untyped-def]
    """(code point, bytes it takes) at a byte offset of valid UTF-8."""
    first = data[at]
    if first < 0x80:
        return np.uint32(first), 1
    if first < 0xE0:
        return np.uint32((first & 0x1F) << 6 | (data[at + 1] & 0x3F)), 2
    if first < 0xF0:
        return np.uint32((first & 0x0F) << 12 | (data[at + 1] & 0x3F) << 6 | (data[at + 2] & 0x3F)), 3
    code = (first & 0x07) << 18 | (data[at + 1] & 0x3F) << 12 | (data[at + 2] & 0x3F) << 6 | (data[at + 3] & 0x3F)
    return np.uint32(code), 4


@step
def stripped(data, at, end, table, bit):  # type: ignore[no-untyped-def]
    """The byte range without white space at its ends, as str.strip. In the table `bit` says white space."""
    while at < end:
        code, width = code_point(data, at)
        if not table[code] & bit:
            break
        at += width
    while at < end:
        last = end - 1
        while data[last] & 0xC0 == 0x80:
            last -= 1
        if not table[code_point(data, last)[0]] & bit:
            break
        end = last
    return at, end
