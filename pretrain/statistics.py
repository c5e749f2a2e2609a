"""How sure a change of bits per byte is: a paired bootstrap and a sign-flip test over duplicate clusters.

In come, per document, the nats before and after and the bytes of its text; out come the change of corpus-level bits
per byte and how far chance could have moved it. Three choices carry the file:

- *The unit is the duplicate cluster*, not the token nor the document: near-copies rise and fall together, and
  counting them apart would make the interval too narrow.
- *The pair is kept.* A unit brings its nats before and after together, so what makes texts hard or easy cancels out.
- *The ratio is kept.* Each resample is sum of nats / (ln 2 * sum of bytes), never a mean of per-document ratios.

The interval is the expanded percentile interval of Hesterberg 2015 ("What Teachers Should Know About the Bootstrap",
The American Statistician 69(4)): the plain percentile interval is too narrow for few units by the factor by which
Student's t and n - 1 are wider, so the quantiles are taken that much farther out. For many units they are the plain
2.5 % and 97.5 %.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np

LEAST_UNITS = 5
"""Below so many units no interval is given: five clusters cannot reach p < 0.05 by sign flips even if all agree."""

CHUNK_VALUES = 1 << 20
"""Random values drawn at a time: 8 MB, whatever the number of units and resamples."""


@dataclass(frozen=True, slots=True)
class Units:
    """One row per cluster, in the order of the clusters' names."""

    before: np.ndarray  # (K,) float64, nats
    after: np.ndarray  # (K,) float64, nats
    n_bytes: np.ndarray  # (K,) float64

    def __len__(self) -> int:
        return len(self.n_bytes)

    @property
    def difference(self) -> np.ndarray:  # (K,) float64, nats
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Change:
    bits_per_byte: float
    """After minus before: negative is better."""
    ci95: tuple[float, float] | None
    """None where there are fewer than LEAST_UNITS units."""
    p_value: float | None
    """Two-sided, of the sign-flip test; None as above."""
    units: int
    detectable: float | None
    """A true change of this size would be found significant four times out of five: what this set can show."""

    def as_json(self) -> dict[str, Any]:
        note = {} if self.ci95 else {"note": f"no interval: {self.units} units, {LEAST_UNITS} are the least"}
        return {
            "bits_per_byte": self.bits_per_byte,
            "ci95": list(self.ci95) if self.ci95 else None,
            "p_value": self.p_value,
            "units": self.units,
            "detectable": self.detectable,
        } | note


def units(clusters: Sequence[str] | np.ndarray, before: np.ndarray, after: np.ndarray, n_bytes: np.ndarray) -> Units:
    """Sums per cluster of per-document nats and bytes."""
    names, unit = np.unique(np.asarray(clusters, dtype=str), return_inverse=True)
    return Units(*(np.bincount(unit, weights=values, minlength=len(names)) for values in (before, after, n_bytes)))


def compare(units: Units, *, resamples: int, seed: int, name: str) -> Change:
    """The change over all units with its interval and p-value. Draws depend on `seed` and `name` only."""
    change = float(units.difference.sum() / (log(2) * units.n_bytes.sum()))
    n = len(units)
    if n < LEAST_UNITS:
        return Change(change, None, None, n, None)
    changes = bootstrap(units, resamples, generator(seed, name, "bootstrap"))
    tail = expanded_tail(n)
    low, high = np.quantile(changes, [tail, 1 - tail])
    standard_error = float(changes.std(ddof=1)) * sqrt(n / (n - 1))
    p_value = sign_flip(units.difference, resamples, generator(seed, name, "sign flips"))
    return Change(change, (float(low), float(high)), p_value, n, (_Z95 + _Z80) * standard_error)


def bootstrap(units: Units, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """The change in bits per byte of each resample of the units, drawn with replacement.  # (resamples,) float64"""
    difference, n_bytes = units.difference / log(2), units.n_bytes
    drawn = draws(generator, len(units), resamples, below=len(units))
    return np.concatenate([difference[rows].sum(axis=1) / n_bytes[rows].sum(axis=1) for rows in drawn])


def draws(generator: np.random.Generator, n: int, resamples: int, *, below: int) -> Iterator[np.ndarray]:
    """`resamples` rows of `n` numbers from 0 to `below` - 1, some rows at a time.  # (rows, n) int64"""
    rows = max(1, CHUNK_VALUES // n)
    for first in range(0, resamples, rows):
        yield generator.integers(0, below, size=(min(rows, resamples - first), n))


def sign_flip(difference: np.ndarray, resamples: int, generator: np.random.Generator) -> float:
    """Two-sided p of the paired permutation test: were before and after exchangeable in each unit, how often would
    the sum of differences be at least as far from zero? One is added above and below, so p is never 0 (Phipson and
    Smyth 2010)."""
    # rounding makes equal sums differ in the last place; they count as equal
    least = abs(float(difference.sum())) - 1e-12 * float(np.abs(difference).sum())
    as_far = 0
    for flips in draws(generator, len(difference), resamples, below=2):  # (rows, n) 0 or 1
        sums = difference.sum() - 2 * (flips @ difference)  # (rows,)
        as_far += int((np.abs(sums) >= least).sum())
    return (as_far + 1) / (resamples + 1)


def expanded_tail(n: int) -> float:
    """Share of resamples beyond each end of the 95 % interval: 0.025 for many units, less for few (Hesterberg 2015).

    >>> [round(expanded_tail(n), 4) for n in (5, 10, 100, 10_000)]
    [0.001, 0.0086, 0.0231, 0.025]
    """
    return NormalDist().cdf(-sqrt(n / (n - 1)) * student_t975(n - 1))


def student_t975(freedom: int) -> float:
    """The 97.5 % point of Student's t, by the expansion in 1/freedom of Abramowitz and Stegun 26.7.5: right to 0.3 %
    from 4 degrees of freedom on.

    >>> [round(student_t975(f), 2) for f in (4, 10, 100)]
    [2.77, 2.23, 1.98]
    """
    z = _Z95
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))


def generator(seed: int, *names: str) -> np.random.Generator:
    """A stream of random numbers of its own for each seed and name."""
    key = "\0".join((str(seed), *names)).encode()
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(key, digest_size=16).digest(), "little"))


_Z95 = NormalDist().inv_cdf(0.975)
_Z80 = NormalDist().inv_cdf(0.8)
