"""Characters in lines that stood in their document before: a hash table of lines, equality checked byte by byte.

Legend: n documents, l lines, b bytes.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from curate.lanes import step
from curate.measures._tables import hash_bytes, same_bytes, slots_for


@njit(cache=True, nogil=True)
def copied_characters(data, first, start, end, characters):  # type: ignore[no-untyped-def]
    """Per document: characters of lines that are copies of an earlier one, (n,) int64."""
    copied, most = np.zeros(len(first) - 1, np.int64), 0
    for i in range(len(copied)):
        most = max(most, first[i + 1] - first[i])
    slots, hashes = np.empty(slots_for(most), np.int64), np.empty(most, np.uint64)
    _add_copies(data, first, start, end, characters, slots, hashes, copied)
    return copied


@step
def _add_copies(data, first, start, end, characters, slots, hashes, copied):  # type: ignore[no-untyped-def]
    for i in range(len(copied)):
        begin, until = first[i], first[i + 1]
        n_slots = slots_for(until - begin)
        if until - begin < 2:
            continue
        slots[:n_slots] = -1
        for k in range(begin, until):
            digest = hash_bytes(data, start[k], end[k])
            hashes[k - begin] = digest
            slot = digest & np.uint64(n_slots - 1)
            while slots[slot] >= 0:
                other = slots[slot]
                if hashes[other - begin] == digest and same_bytes(data, start[other], end[other], start[k], end[k]):
                    copied[i] += characters[k]
                    break
                slot = (slot + np.uint64(1)) & np.uint64(n_slots - 1)
            if slots[slot] < 0:
                slots[slot] = k
