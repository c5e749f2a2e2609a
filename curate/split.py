"""Train, validation or test: by a hash of the cluster's id, whole clusters at a time.

A side is a pure function of seed, fractions and cluster id. So a cluster of near-duplicates never straddles, the
order and number of the other documents do not matter, and a corpus that grows keeps its held-out documents held out
(as long as no document of a lower id joins their cluster and renames it).

    0 ─── test ───┬─ validation ─┬────────────────── train ──────────────────── 1
                test      test + validation
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

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
