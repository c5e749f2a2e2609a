"""Which copies of a cluster stay. Pure: in come clusters of groups of exact copies, out comes who leaves for whom.

Inside a cluster, groups are taken in the order of the policy. The first one stays; every other that reaches the Jaccard
bound *with it* leaves and names it; the next one left over stays, and so on. So a document leaves only for a near copy
that stays: a chain A ~ B ~ C whose ends are unlike loses B alone if A is preferred, A and C if B is.

A group that stays is compared with every member still undecided, whether or not LSH proposed the pair, up to
`CHECKS_A_MEMBER` comparisons per member of the cluster; clusters of up to 2 * CHECKS_A_MEMBER members are hence always
compared in full. In a greater one that exhausts this, an undecided group leaves if a pair already verified ties it to
one that stays.

Legend: m groups.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from curate.dedup.partitions import positions
from curate.dedup.verify import Float64s
from curate.text import Int64s

CHECKS_A_MEMBER = 64


@dataclass(frozen=True, slots=True)
class Pairs:
    """What can be known of pairs of groups."""

    jaccards: Callable[[Int64s, Int64s], Float64s]
    verified: Callable[[], Int64s]
    """(v, 2) pairs that are known to reach the bound."""


@dataclass(frozen=True, slots=True)
class Removed:
    by: Int64s  # (m,) the group that stays in its place, or -1
    similarity: Float64s  # (m,)


def choose(cluster: Int64s, preference: Int64s, pairs: Pairs, at_least: float) -> Removed:
    """Which groups leave and for which, in rounds: in each, the preferred undecided group of every cluster stays."""
    m = len(cluster)
    by, similarity = np.full(m, -1, np.int64), np.zeros(m, np.float64)
    size = np.bincount(cluster, minlength=m)
    checks = size * CHECKS_A_MEMBER
    undecided = np.flatnonzero(size[cluster] > 1)
    undecided = undecided[np.lexsort((preference[undecided], cluster[undecided]))]
    while len(undecided):
        opens = np.flatnonzero(np.diff(cluster[undecided], prepend=-1))
        follow = np.diff(opens, append=len(undecided)) - 1
        stays = np.repeat(undecided[opens], follow)  # beside each other member of its cluster
        others = np.delete(undecided, opens)
        checks[cluster[undecided[opens]]] -= follow
        within = checks[cluster[others]] >= 0
        left_over, stays, others = others[~within], stays[within], others[within]
        _leave_by_verified_pairs(left_over, preference, pairs, by, similarity)
        jaccard = pairs.jaccards(stays, others)
        leaves = jaccard >= at_least
        by[others[leaves]], similarity[others[leaves]] = stays[leaves], jaccard[leaves]
        undecided = others[~leaves]
    return Removed(by, similarity)


def _leave_by_verified_pairs(
    left_over: Int64s, preference: Int64s, pairs: Pairs, by: Int64s, similarity: Float64s
) -> None:
    """Decide groups of clusters too great to compare in full, in the order of the policy, by pairs verified before."""
    if len(left_over) == 0:
        return
    known = pairs.verified()
    one, two = np.concatenate((known, known[:, ::-1])).T
    concerned = positions(one, np.sort(left_over)) >= 0
    near: dict[int, list[int]] = {}
    for group, other in zip(one[concerned].tolist(), two[concerned].tolist(), strict=True):
        near.setdefault(group, []).append(other)
    for group in left_over[np.argsort(preference[left_over])].tolist():
        stay = [other for other in near.get(group, []) if by[other] < 0 and preference[other] < preference[group]]
        by[group] = min(stay, key=lambda other: preference[other], default=-1)
    left_over = left_over[by[left_over] >= 0]
    similarity[left_over] = pairs.jaccards(by[left_over], left_over)
