"""Which documents are copies of which, and which copy stays.

    keys ─▶ exact groups ─one of each─▶ LSH candidates ─exact Jaccard─▶ verified pairs ─▶ clusters ─policy─▶ who stays

- Exact copies collapse first: only a group's preferred copy meets LSH; its signature and shingles are those of all.
- A cluster is what verified pairs connect; its name is its lowest-id member. A split keeps clusters whole.
- Inside a cluster, documents are taken in the order of the policy (longest or lowest id; ties on id). The first one
  stays; every other that reaches the Jaccard bound *with it* leaves and names it; the next one left over stays, and
  so on. So a document leaves only for a near copy that stays: a chain A ~ B ~ C whose ends are unlike loses B alone if
  A is preferred, A and C if B is.
- Kept copies are compared with every member still undecided, whether or not LSH proposed the pair, up to
  `CHECKS_A_MEMBER` comparisons per member of the cluster; clusters of up to 2 * CHECKS_A_MEMBER members are hence
  always compared in full. In a greater one that exhausts this, an undecided document leaves if a pair already
  verified ties it to one that stays.

Everything works on numbers in the order of ids, so the order of the input changes nothing.

Legend: n documents, m exact groups (numbered by their lowest-id member), p pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.dedup.candidates import Effort, band_runs, proposals
from curate.dedup.clusters import roots, singletons, unite
from curate.dedup.exact import exact_groups
from curate.dedup.minhash import EMPTY, UInt32s, least_agreement
from curate.dedup.verify import Float64s, ShingleSets, jaccards
from curate.settings import Duplicates
from curate.text import Int64s, UInt64s

NOT_REMOVED, EXACT, NEAR = 0, 1, 2
CHECKS_A_MEMBER = 64


@dataclass(frozen=True, slots=True)
class Resolution:
    cluster: Int64s  # (n,) the cluster's member of lowest id; the document itself where it stands alone
    duplicate_of: Int64s  # (n,) the copy that stays in its place; -1: the document stays
    similarity: npt.NDArray[np.float32]  # (n,) exact Jaccard to that copy; 0 where the document stays
    level: npt.NDArray[np.uint8]  # (n,) NOT_REMOVED, EXACT or NEAR
    pairs_candidates: int  # distinct pairs compared exactly: they shared a band and were not connected yet
    pairs_verified: int  # of these, pairs that reached the bound


def resolve(
    ids: Sequence[str] | pa.Array | pa.ChunkedArray,
    keys: UInt64s,  # (n, 2) curate.dedup.exact
    signatures: UInt32s,  # (n, bands * rows) curate.dedup.minhash; may be memory-mapped
    n_chars: Int64s,  # (n,)
    shingle_sets: ShingleSets,  # curate.dedup.verify
    settings: Duplicates,
) -> Resolution:
    """Decide over all documents at once. Ids are unique; an array given in another order gives the same decisions."""
    rank = _ranks(ids)
    preference = _preference(rank, n_chars, settings.keep)
    group = exact_groups(keys, rank)
    preferred = _least_of_each(group, preference)  # (m,) the document that stands for its group
    pairs = _Pairs(preferred, n_chars, shingle_sets)
    cluster = _grow(signatures, pairs, settings)
    removed = _choose(cluster, preference[preferred], pairs, settings.verify_at_least)
    return _told(_least_of_each(group, rank), preferred, group, cluster, removed, pairs)


def _ranks(ids: Sequence[str] | pa.Array | pa.ChunkedArray) -> Int64s:
    """The place of each id in their order by code point."""
    array = ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(ids, pa.large_string())
    order = pc.sort_indices(array).to_numpy().astype(np.int64)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank


def _preference(rank: Int64s, n_chars: Int64s, keep: str) -> Int64s:
    """The place of each document in the order of the policy: the lower stays."""
    if keep == "lowest_id":
        return rank
    place = np.empty(len(rank), np.int64)
    place[np.lexsort((rank, -n_chars))] = np.arange(len(rank))
    return place


def _least_of_each(group: Int64s, by: Int64s) -> Int64s:
    """The document with the lowest `by` of each group (m,)."""
    order = np.lexsort((by, group))
    return order[np.flatnonzero(np.diff(group[order], prepend=-1))]


@dataclass(slots=True)
class _Pairs:
    """What is known of pairs of groups: verified ones with their Jaccard, and those found too unlike."""

    document: Int64s  # (m,) that stands for the group
    n_chars: Int64s
    shingle_sets: ShingleSets
    verified: list[tuple[Int64s, Int64s]] = field(default_factory=list)
    rejected: Int64s = field(default_factory=lambda: np.zeros(0, np.int64))  # ascending left * m + right
    compared: int = 0

    def jaccards(self, left: Int64s, right: Int64s) -> Float64s:
        return jaccards(self.document[left], self.document[right], self.n_chars, self.shingle_sets)

    def reaching(self, left: Int64s, right: Int64s, at_least: float) -> tuple[Int64s, Int64s]:
        """Those of the pairs (left < right) that reach the bound; pairs once rejected are not compared again."""
        codes = np.setdiff1d(left * len(self.document) + right, self.rejected)
        left, right = np.divmod(codes, max(len(self.document), 1))
        reached = self.jaccards(left, right) >= at_least
        self.compared += len(codes)
        self.rejected = np.union1d(self.rejected, codes[~reached])
        self.verified.append((left[reached], right[reached]))
        return self.verified[-1]


def _grow(signatures: UInt32s, pairs: _Pairs, settings: Duplicates) -> Int64s:
    """The cluster of each group (m,): what pairs that share a band and reach the bound connect."""
    bands, rows, at_least = settings.bands, settings.rows, settings.verify_at_least
    if signatures.shape[1] != bands * rows:
        raise ValueError(f"signatures of {signatures.shape[1]} values cannot make {bands} bands of {rows} rows")
    parent = singletons(len(pairs.document))
    sketched = np.flatnonzero(signatures[pairs.document, 0] != EMPTY)  # documents without shingles resemble nothing
    documents = pairs.document[sketched]
    least_agree = least_agreement(bands * rows, at_least)
    effort = Effort()
    local = singletons(len(sketched))  # ascends with `sketched`, so its roots are the lowest there too
    for band in range(bands):
        found = band_runs(signatures, documents, band, bands, rows, effort)
        for left, right in proposals(found, signatures, documents, local, least_agree, effort):
            one, two = pairs.reaching(sketched[left], sketched[right], at_least)
            unite(local, np.searchsorted(sketched, one), np.searchsorted(sketched, two))
    parent[sketched] = sketched[roots(local)]
    return parent


@dataclass(frozen=True, slots=True)
class _Removed:
    by: Int64s  # (m,) the group that stays in its place, or -1
    similarity: Float64s  # (m,)


def _choose(cluster: Int64s, preference: Int64s, pairs: _Pairs, at_least: float) -> _Removed:
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
    return _Removed(by, similarity)


def _leave_by_verified_pairs(
    left_over: Int64s, preference: Int64s, pairs: _Pairs, by: Int64s, similarity: Float64s
) -> None:
    """Decide groups of clusters too great to compare in full, in the order of the policy, by pairs verified before."""
    if len(left_over) == 0:
        return
    one = np.concatenate([pair[side] for side in (0, 1) for pair in pairs.verified])
    two = np.concatenate([pair[side] for side in (1, 0) for pair in pairs.verified])
    concerned = np.isin(one, left_over)
    near: dict[int, list[int]] = {}
    for group, other in zip(one[concerned].tolist(), two[concerned].tolist(), strict=True):
        near.setdefault(group, []).append(other)
    for group in left_over[np.argsort(preference[left_over])].tolist():
        stay = [other for other in near.get(group, []) if by[other] < 0 and preference[other] < preference[group]]
        by[group] = min(stay, key=lambda other: preference[other], default=-1)
    left_over = left_over[by[left_over] >= 0]
    similarity[left_over] = pairs.jaccards(by[left_over], left_over)


def _told(
    lowest: Int64s, preferred: Int64s, group: Int64s, cluster: Int64s, removed: _Removed, pairs: _Pairs
) -> Resolution:
    """From groups back to documents. Copies of a group that leaves, leave for the same near copy."""
    near = removed.by[group] >= 0
    exact = ~near & (preferred[group] != np.arange(len(group)))
    duplicate_of = np.full(len(group), -1, np.int64)
    duplicate_of[near] = preferred[removed.by[group[near]]]
    duplicate_of[exact] = preferred[group[exact]]
    similarity = removed.similarity[group].astype(np.float32)
    similarity[exact] = 1
    level = np.full(len(group), NOT_REMOVED, np.uint8)
    level[near], level[exact] = NEAR, EXACT
    n_verified = sum(len(left) for left, _ in pairs.verified)
    return Resolution(lowest[cluster[group]], duplicate_of, similarity, level, pairs.compared, n_verified)
