"""How many bands of how many rows: the curve of a setting, and the setting that a target asks for.

    P(candidate | Jaccard s) = 1 - (1 - s^rows)^bands

A target is a recall at a Jaccard and a number of permutations (bands x rows) that may be spent. Of all settings that
reach it, the one is taken that proposes fewest pairs below that Jaccard, reckoned as datasketch reckons false
positives: the area under the curve from 0 to it. For each number of rows only the fewest bands that reach the recall
can be that one, since every further band lifts the whole curve. Equal areas go to fewer permutations.

    >>> [choose_bands(0.95, 0.8, permutations) for permutations in (64, 128, 256, 512)]
    [(10, 6), (13, 7), (21, 9), (34, 11)]

The area falls slowly while the permutations rise (0.175, 0.157, 0.128, 0.109 in the line above), the cost of a
signature and its bytes rise with them. FineWeb's 14 x 8 has a recall of 0.924 there.
"""

from __future__ import annotations

from math import ceil, log1p
from typing import Final

MOST_BANDS: Final = 512
MOST_ROWS: Final = 64
_STEPS = 2048  # of Simpson's rule: nine digits of an area


def candidate_probability(jaccard: float, bands: int, rows: int) -> float:
    """The chance that two documents of this Jaccard share a band.

    >>> round(candidate_probability(0.8, bands=14, rows=8), 3)
    0.924
    """
    return 1 - (1 - jaccard**rows) ** bands


def choose_bands(recall: float, jaccard: float, permutations_at_most: int) -> tuple[int, int]:
    """(bands, rows) for a target. Raises ValueError where it is out of reach, saying what is not."""
    fewest = [(bands_for(recall, jaccard, rows), rows) for rows in range(1, MOST_ROWS + 1)]
    within = [(b, r) for b, r in fewest if b <= MOST_BANDS and b * r <= permutations_at_most]
    if not within:
        bands = min(MOST_BANDS, permutations_at_most)  # of one row: no setting recalls more
        raise ValueError(
            f"a recall of {recall:g} at Jaccard {jaccard:g} is out of reach of {permutations_at_most} permutations: "
            f"{bands} bands of 1 row reach {candidate_probability(jaccard, bands, 1):.3f}"
        )
    return min(within, key=lambda choice: (round(false_area(choice[0], choice[1], jaccard), 12), choice[0] * choice[1]))


def bands_for(recall: float, jaccard: float, rows: int) -> int:
    """The fewest bands of so many rows that reach a recall; more than MOST_BANDS where those do not."""
    missed = log1p(-(jaccard**rows))  # of the chance that one band is not shared
    bands = max(1, ceil(min(log1p(-recall) / missed, MOST_BANDS + 1))) if missed else MOST_BANDS + 1
    # logarithms may round to either side of a whole number
    while bands > 1 and candidate_probability(jaccard, bands - 1, rows) >= recall:
        bands -= 1
    while bands <= MOST_BANDS and candidate_probability(jaccard, bands, rows) < recall:
        bands += 1
    return bands


def false_area(bands: int, rows: int, jaccard: float) -> float:
    """The area under the curve of a setting from 0 to `jaccard`, by Simpson's rule."""
    width = jaccard / _STEPS
    curve = [candidate_probability(step * width, bands, rows) for step in range(_STEPS + 1)]
    return (curve[0] + 4 * sum(curve[1::2]) + 2 * sum(curve[2:-1:2]) + curve[-1]) * width / 3
