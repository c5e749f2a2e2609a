"""Train, validation or test: whole clusters at a time, by a place in [0, 1) that each of them has.

By default a place is a hash of the cluster's id, and shares of that interval are the sides. So a side is a pure
function of seed, shares and cluster id: a cluster of near-duplicates never straddles, the order and number of the other
documents do not matter, and a corpus that grows keeps its held-out documents held out (as long as no document of a
lower id joins their cluster and renames it).

    0 ─── test ───┬─ validation ─┬────────────────── train ──────────────────── 1
                test      test + validation

Where a size has to be met (a number of documents or tokens, the share of each source), clusters are dealt in the order
of their places until it is reached: the sizes are right within one cluster, and text that joins may move others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from curate.xxh64 import xxh64

SIDES = (None, "train", "validation", "test")
NOWHERE, TRAIN, VALIDATION, TEST = np.arange(4, dtype=np.uint8)

Float64s = npt.NDArray[np.float64]
Sides = npt.NDArray[np.uint8]


def assign(places: Float64s, validation: float, test: float) -> Sides:
    """The side of each place. Test comes first, so widening validation moves nothing out of test.

    >>> [SIDES[side] for side in assign(np.array([0.01, 0.03, 0.05]), validation=0.02, test=0.02)]
    ['test', 'validation', 'train']
    """
    return np.where(places < test, TEST, np.where(places < test + validation, VALIDATION, TRAIN))


def places(cluster_ids: pa.Array | pa.ChunkedArray, seed: int) -> Float64s:
    """Where clusters stand in [0, 1)."""
    return (xxh64(cluster_ids, f"{seed}/") >> np.uint64(11)).astype(np.float64) * 2.0**-53


@njit(cache=True, nogil=True)
def deal(cluster, stratum, amount, need):  # type: ignore[no-untyped-def]
    """The side of each document (n,), clusters in the order in which they are dealt, each one's documents together.

    need[side, stratum] is what that side still lacks; it is taken from, in place. A cluster goes to a side only where
    every stratum it touches lacks something: so no stratum gets more than it needs by more than its last cluster.

    >>> need = np.array([[0, 0], [0, 0], [0, 1], [2, 1]])  # by side: test wants two of stratum 0 and one of stratum 1
    >>> [SIDES[side] for side in deal(np.array([7, 8, 8, 9]), np.array([1, 0, 0, 1]), np.ones(4, np.int64), need)]
    ['test', 'test', 'test', 'validation']
    """
    sides = np.full(len(cluster), TRAIN)
    begin = 0
    while begin < len(cluster):
        stop = begin + 1
        while stop < len(cluster) and cluster[stop] == cluster[begin]:
            stop += 1
        for side in (TEST, VALIDATION):
            lacks = True
            for at in range(begin, stop):
                lacks &= need[side, stratum[at]] > 0
            if lacks:
                for at in range(begin, stop):
                    need[side, stratum[at]] -= amount[at]
                    sides[at] = side
                break
        begin = stop
    return sides
