"""One measure as a histogram: who stays, who leaves for this measure, who leaves for something else.

The range is robust (the middle 99 % of the documents) and widened to the rule's bounds where they are near; what lies
outside is counted at both ends, so that the bars and the ends together are all documents measured. Measures that span
decades (words) get logarithmic bins, small counts (stop words) a bin for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

BINS = 40
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def histogram(
    values: np.ndarray, kept: np.ndarray, failed: np.ndarray, at_least: float | None, at_most: float | None
) -> dict[str, Any]:
    """`values` (n,) float64 with NaN where the measure was not taken; `kept` (n,) and `failed` (n,) bool."""
    taken = np.isfinite(values)
    values, kept, failed = values[taken], kept[taken], failed[taken]
    if not len(values):
        return {"measured": 0}
    edges, scale = _edges(values, [bound for bound in (at_least, at_most) if bound is not None])
    parts = {"kept": kept, "failed": ~kept & failed, "other": ~kept & ~failed}
    return {
        "measured": len(values),
        "scale": scale,
        "edges": edges.tolist(),
        **{name: np.histogram(values[which], edges)[0].tolist() for name, which in parts.items()},
        "below": int(np.sum(values < edges[0])),
        "above": int(np.sum(values > edges[-1])),
        "quantiles": np.quantile(values, QUANTILES).tolist(),
    }


def fails(values: np.ndarray, at_least: float | None, at_most: float | None) -> np.ndarray:
    """Which values a rule with these bounds refuses; a bound itself passes."""
    below = np.zeros(len(values), bool) if at_least is None else values < at_least
    return below if at_most is None else below | (values > at_most)


def _edges(values: np.ndarray, bounds: Sequence[float]) -> tuple[np.ndarray, str]:
    low, middle, high = np.quantile(values, [0.005, 0.5, 0.995])
    reach = high - low or 1.0  # where nearly all documents are alike, the bound of a share is near all the same
    near = [bound for bound in bounds if low - reach <= bound <= high + reach]
    is_counts = np.all(values == np.round(values)) and all(bound == round(bound) for bound in near)
    if max([high, *near]) - min([low, *near]) <= 1.5 * BINS and is_counts:
        low, high = min([low, *near]), max([high, *near])
        return np.arange(np.floor(low) - 0.5, np.ceil(high) + 1.5), "counts"  # a bin each, or the bars would comb
    # on a linear axis half of such documents would share four of the forty bins; shares never look better for it
    if low >= 0 and middle >= 5 and high > 10 * middle:
        near = [bound for bound in bounds if max(low, 1.0) / 10 <= bound <= high * 10]
        return np.geomspace(min([max(low, 1.0), *near]), max([high, *near]) * 1.000001, BINS + 1), "log"
    low, high = min([low, *near]), max([high, *near])
    if high <= low:
        low, high = low - 0.5, high + 0.5
    margin = 0.02 * (high - low)  # a bound at the very rim could not be seen
    return np.linspace(0.0 if 0 <= low <= margin else low - margin, high + margin, BINS + 1), "linear"
