"""MinHash signatures (Broder 1997): k numbers per document whose agreement estimates the Jaccard of two shingle sets.

    shingle hashes (32 bits)   h1 h2 h3 …
    permutation p              a_p * fmix32(h) + b_p  mod 2^32, a_p odd: a bijection, so no collisions of its own
    signature                  the least value of each permutation

This is datasketch's scheme `affine32`, bit for bit, parameters included: a row loads as
`datasketch.LeanMinHash(seed=seed, hashvalues=row, scheme="affine32")` and lives in any of its LSH stores. A document
without shingles has every value at its maximum, as an empty MinHash there. The kernel is a loop that compilers
vectorise (16 permutations an instruction with AVX-512), four shingles at a time, so that each load of the parameters
serves four.

Legend: n documents, s shingles, k permutations.
"""

from __future__ import annotations

from functools import cache
from math import exp, lgamma, log

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.dedup.shingles import ShingleRecipe
from curate.text import TextBatch

UInt32s = npt.NDArray[np.uint32]

SCHEME = "affine32"
EMPTY = np.uint32(0xFFFFFFFF)  # every value of a document without shingles


def signatures(batch: TextBatch, recipe: ShingleRecipe, permutations: int, seed: int) -> UInt32s:
    """Signatures of the documents: (n, permutations) uint32. The low 32 bits of each shingle's hash enter."""
    offsets, values = recipe.shingles(batch)
    multipliers, shifts = parameters(permutations, seed)
    return permuted_minima(offsets, values, multipliers, shifts)


@cache
def parameters(permutations: int, seed: int) -> tuple[UInt32s, UInt32s]:
    """(a, b) of each permutation, (k,) uint32, drawn in datasketch's order from NumPy's frozen legacy generator."""
    draw = np.random.RandomState(seed)
    multipliers = draw.randint(0, 1 << 31, permutations, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    shifts = draw.randint(0, 1 << 32, permutations, dtype=np.uint32)
    return multipliers, shifts


@njit(cache=True, nogil=True, inline="always")
def _fmix32(value):  # type: ignore[no-untyped-def]
    """Murmur3's 32-bit finaliser."""
    value = np.uint32(value)
    value ^= value >> np.uint32(16)
    value = np.uint32(value * np.uint32(0x85EBCA6B))
    value ^= value >> np.uint32(13)
    value = np.uint32(value * np.uint32(0xC2B2AE35))
    return np.uint32(value ^ (value >> np.uint32(16)))


@njit(cache=True, nogil=True)
def permuted_minima(offsets, values, multipliers, shifts):  # type: ignore[no-untyped-def]
    """The least permuted value of each document's `values[offsets[i] : offsets[i + 1]]`: (n, k) uint32."""
    n, k = len(offsets) - 1, len(multipliers)
    minima = np.full((n, k), EMPTY, np.uint32)
    for i in range(n):
        row = minima[i]
        at, stop = offsets[i], offsets[i + 1]
        while at < stop:
            # The last shingle stands in for those a tail of fewer than four lacks: a minimum does not mind.
            h0 = _fmix32(values[at])
            h1 = _fmix32(values[min(at + 1, stop - 1)])
            h2 = _fmix32(values[min(at + 2, stop - 1)])
            h3 = _fmix32(values[min(at + 3, stop - 1)])
            for p in range(k):
                a, b = multipliers[p], shifts[p]
                low = min(np.uint32(a * h0 + b), np.uint32(a * h1 + b))
                high = min(np.uint32(a * h2 + b), np.uint32(a * h3 + b))
                row[p] = min(row[p], min(low, high))
            at += 4
    return minima


@njit(cache=True, nogil=True, inline="always")
def agreement(signatures, one, two):  # type: ignore[no-untyped-def]
    """How many of k values two signatures share: k times the estimated Jaccard."""
    same = 0
    for p in range(signatures.shape[1]):
        same += signatures[one, p] == signatures[two, p]
    return same


@cache
def least_agreement(permutations: int, jaccard: float, missed: float = 1e-6) -> int:
    """The agreement that a pair of at least this Jaccard falls short of with a chance of at most `missed`.

    Agreement is binomial (k, J). Pairs below are dismissed without fetching their texts; with few permutations
    nothing is.

    >>> least_agreement(112, 0.8), least_agreement(112, 1.0), least_agreement(4, 0.8)
    (68, 112, 0)
    """
    if jaccard in (0.0, 1.0):
        return round(jaccard * permutations)
    below = 0.0
    for same in range(permutations + 1):
        ways = lgamma(permutations + 1) - lgamma(same + 1) - lgamma(permutations - same + 1)
        below += exp(ways + same * log(jaccard) + (permutations - same) * log(1 - jaccard))
        if below > missed:
            return same
    return permutations
