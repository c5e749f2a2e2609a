"""Which items belong together: array union-find whose root is always the lowest member.

Only verified pairs unite, so a template shared by a million pages cannot merge them. The root being the minimum, the
answer does not depend on the order in which pairs arrive.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from curate.dedup.partitions import Numbers, narrowest


@njit(cache=True, nogil=True, inline="always")
def find(parent, item):  # type: ignore[no-untyped-def]
    """The root of an item; halves the path on its way."""
    while parent[item] != item:
        parent[item] = parent[parent[item]]
        item = parent[item]
    return item


@njit(cache=True, nogil=True, inline="always")
def unite_two(parent, left, right):  # type: ignore[no-untyped-def]
    one, two = find(parent, left), find(parent, right)
    parent[max(one, two)] = min(one, two)


@njit(cache=True, nogil=True)
def unite(parent, left, right):  # type: ignore[no-untyped-def]
    """Unite left[i] with right[i], in place."""
    for pair in range(len(left)):
        unite_two(parent, left[pair], right[pair])


@njit(cache=True, nogil=True)
def _flatten(parent):  # type: ignore[no-untyped-def]
    for item in range(len(parent)):  # a parent is lower than its child, hence flat already
        parent[item] = parent[parent[item]]
    return parent


def roots(parent: Numbers) -> Numbers:
    """The lowest member of each item's cluster."""
    return _flatten(parent.copy())


@njit(cache=True, nogil=True)
def apart(parent, left, right):  # type: ignore[no-untyped-def]
    """Of which pairs the two items are in different clusters: (p,) bool."""
    answers = np.empty(len(left), np.bool_)
    for pair in range(len(left)):
        answers[pair] = find(parent, left[pair]) != find(parent, right[pair])
    return answers


def singletons(items: int) -> Numbers:
    return np.arange(items, dtype=narrowest(items))
