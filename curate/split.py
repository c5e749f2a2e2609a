"""Train, validation or test: by a hash of the cluster's id, whole clusters at a time.

A side is a pure function of seed, fractions and cluster id. So a cluster of near-duplicates never straddles, the
order and number of the other documents do not matter, and a corpus that grows keeps its held-out documents held out
(as long as no document of a lower id joins their cluster and renames it).

    0 ─── test ───┬─ validation ─┬────────────────── train ──────────────────── 1
                test      test + validation
"""

from __future__ import annotations

from collections.abc import Iterable

import xxhash

TRAIN, VALIDATION, TEST = "train", "validation", "test"


def assign(cluster_ids: Iterable[str], seed: int, validation: float, test: float) -> list[str]:
    """The side of each cluster. Test comes first, so widening validation moves nothing out of test.

    >>> assign(["notes/17", "notes/18", "notes/17"], seed=1, validation=0.0, test=1.0)
    ['test', 'test', 'test']
    """
    return [_side(place(cluster_id, seed), validation, test) for cluster_id in cluster_ids]


def place(cluster_id: str, seed: int) -> float:
    """Where a cluster stands in [0, 1)."""
    return (xxhash.xxh64_intdigest(f"{seed}/{cluster_id}".encode()) >> 11) * 2.0**-53


def _side(place: float, validation: float, test: float) -> str:
    if place < test:
        return TEST
    return VALIDATION if place < test + validation else TRAIN
