"""What a classifier is worth, on documents it was not trained on: precision, recall, AUC, and a threshold.

    score      0.1   0.3   0.4   0.6   0.7   0.9
    truth     other other  dom. other  dom.  dom.
    threshold                        ^ the lowest that keeps the precision asked for: recall 2/3, fall-out 0

Precision depends on how much of the text is the domain, which held-out sets cannot know; recall (share of the domain
that is found) and fall-out (share of the other text that is taken for it) do not. So precision is stated for a share of
domain documents, one half unless something better is known:

    precision = share * recall / (share * recall + (1 - share) * fall_out)

Intervals are Wilson's (1927) at 95 %; precision's carries those of recall and fall-out through, which makes it wider
than it need be.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

Float64s = npt.NDArray[np.float64]

Z = 1.959964  # of a normal distribution's middle 95 %
FEWEST_ABOVE = 10  # held-out documents at or above a threshold that is chosen: fewer say nothing of its precision
CURVE = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Point:
    """What happens at one threshold."""

    threshold: float
    domain_above: int
    """Held-out documents of the domain whose score is at least the threshold."""
    other_above: int
    recall: float
    recall_ci95: tuple[float, float]
    fall_out: float
    fall_out_ci95: tuple[float, float]
    precision: float
    precision_ci95: tuple[float, float]
    f1: float


@dataclass(frozen=True, slots=True)
class HeldOut:
    domain: Float64s  # scores of held-out documents of the domain
    other: Float64s

    def at(self, threshold: float, share: float = 0.5) -> Point:
        """At and above the threshold, where `share` of all documents are of the domain."""
        found = int((self.domain >= threshold).sum())
        mistaken = int((self.other >= threshold).sum())
        recall, fall_out = found / max(1, len(self.domain)), mistaken / max(1, len(self.other))
        low, high = wilson(found, len(self.domain)), wilson(mistaken, len(self.other))
        precision = _precision(recall, fall_out, share)
        return Point(
            threshold=float(threshold),
            domain_above=found,
            other_above=mistaken,
            recall=recall,
            recall_ci95=low,
            fall_out=fall_out,
            fall_out_ci95=high,
            precision=precision,
            precision_ci95=(_precision(low[0], high[1], share), _precision(low[1], high[0], share)),
            f1=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        )

    @property
    def both(self) -> Float64s:
        return np.concatenate([self.domain, self.other])

    def curve(self, share: float = 0.5) -> list[dict[str, Any]]:
        return [asdict(self.at(threshold, share)) for threshold in CURVE]

    @property
    def auc(self) -> float:
        """Chance that a document of the domain scores above one that is not; equal scores count half."""
        p, q = len(self.domain), len(self.other)
        of_domain = float(ranks(self.both)[:p].sum())
        return (of_domain - p * (p - 1) / 2) / max(1, p * q)


@dataclass(frozen=True, slots=True)
class Choice:
    threshold: float
    reached: bool
    """Whether the precision that was asked for is reached on the held-out documents."""


def choose(held_out: HeldOut, precision: float, share: float = 0.5) -> Choice:
    """The threshold of the largest recall whose precision is at least `precision`, halfway to the score below.

    Where none reaches it: that of the best precision. A threshold that fewer than `FEWEST_ABOVE` held-out documents
    reach is not considered: its precision would be chance.
    """
    scores = np.unique(held_out.both)  # ascending; candidates: one below each
    found = len(held_out.domain) - np.searchsorted(np.sort(held_out.domain), scores)
    mistaken = len(held_out.other) - np.searchsorted(np.sort(held_out.other), scores)
    enough = found + mistaken >= min(FEWEST_ABOVE, int((found + mistaken).max(initial=0)))
    recall, fall_out = found / max(1, len(held_out.domain)), mistaken / max(1, len(held_out.other))
    precisions = np.where(enough, _precision(recall, fall_out, share), -1.0)
    reaches = precisions >= precision
    reached = bool(reaches.any())
    if reached:
        best = np.lexsort((-scores, fall_out, -np.where(reaches, recall, -1.0)))[0]
    else:
        best = np.lexsort((-recall, -precisions))[0]
    below = scores[best - 1] if best > 0 else scores[best]
    return Choice(float((scores[best] + below) / 2), reached)


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The interval of a share that was counted.

    >>> [round(end, 3) for end in wilson(9, 10)], wilson(0, 0)
    ([0.596, 0.982], (0.0, 1.0))
    """
    if of == 0:
        return (0.0, 1.0)
    share, slack = hits / of, Z**2 / of
    middle = share + slack / 2
    reach = Z * sqrt(share * (1 - share) / of + slack / (4 * of))
    return (max(0.0, (middle - reach) / (1 + slack)), min(1.0, (middle + reach) / (1 + slack)))


def ranks(values: Float64s) -> Float64s:
    """Place of each value in ascending order, from 0; equal values share the mean of their places.

    >>> ranks(np.array([3.0, 1.0, 3.0])).tolist()
    [1.5, 0.0, 1.5]
    """
    _, number, counts = np.unique(values, return_inverse=True, return_counts=True)
    after = np.cumsum(counts)
    middle: Float64s = (after - counts + after - 1) / 2
    return middle[number]


def _precision(recall: Any, fall_out: Any, share: float) -> Any:
    """Of shares, or arrays of them; 1 where nothing is above the threshold: nothing is mistaken there."""
    right, wrong = share * np.asarray(recall), (1 - share) * np.asarray(fall_out)
    every = right + wrong
    found = np.where(every > 0, right / np.where(every > 0, every, 1.0), 1.0)
    return float(found) if found.ndim == 0 else found
