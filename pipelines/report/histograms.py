"""One measure as a histogram: who stays, who leaves for this measure, who leaves for something else.

    values of a sample ─▶ axis (edges)      values of everybody, chunk by chunk ─▶ bars

The range is robust (the middle 99 % of the documents) and widened to the rules' bounds where they are near; what lies
outside is counted at both ends, so that the bars and the ends together are all documents measured. Measures that span
decades (words) get logarithmic bins, small counts (stop words) a bin for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.report.ledger import Bools, Floats

BINS = 40
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
PARTS = ("kept", "failed", "other")
KEPT, FAILED, OTHER = range(3)


@dataclass(frozen=True, slots=True)
class Axis:
    edges: npt.NDArray[np.float64]  # (bins + 1,)
    scale: str  # linear, log, or counts: a bin for each whole number
    quantiles: list[float]

    @classmethod
    def through(cls, values: Floats, bounds: Sequence[float] = ()) -> Axis:
        """`values`: of some or all documents, NaN where the measure was not taken. `bounds`: to be seen if near."""
        values = values[np.isfinite(values)]
        if not len(values):  # of a measure so rare that no document of the sample has it
            values, quantiles = np.array([0.0, 1.0]), []
        else:
            quantiles = np.quantile(values, QUANTILES).tolist()
        return cls(*_edges(values, bounds), quantiles)


class Bars:
    """Documents per bin, as they go by."""

    def __init__(self, axis: Axis) -> None:
        self.axis = axis
        # (parts, below + bins + above)
        self._counts = np.zeros((len(PARTS), len(axis.edges) + 1), np.int64)

    def add(self, values: Floats, kept: Bools, failed: Bools | None = None) -> None:
        """All (n,). `failed`: what a bound on this measure refuses; without one, nothing."""
        part = np.where(kept, KEPT, OTHER)
        if failed is not None:
            part[failed & ~kept] = FAILED
        taken = np.isfinite(values)
        if not taken.all():
            values, part = values[taken], part[taken]
        at = part * self._counts.shape[1] + _places(values, self.axis)
        self._counts += np.bincount(at, minlength=self._counts.size).reshape(self._counts.shape)

    def numbers(self) -> dict[str, Any]:
        measured = int(self._counts.sum())
        if not measured:
            return {"measured": 0}
        return {
            "measured": measured,
            "scale": self.axis.scale,
            "edges": self.axis.edges.tolist(),
            **{name: counts[1:-1].tolist() for name, counts in zip(PARTS, self._counts, strict=True)},
            "below": int(self._counts[:, 0].sum()),
            "above": int(self._counts[:, -1].sum()),
            "quantiles": self.axis.quantiles,
        }


def _places(values: Floats, axis: Axis) -> npt.NDArray[np.int64]:
    """(n,) 0 below the first edge, then a place per bin, then above the last: what a search among the edges gives, for
    a quarter of its time. All finite."""
    edges, bins = axis.edges, len(axis.edges) - 1
    low, width, x = edges[0], edges[1] - edges[0], values
    if axis.scale == "log":
        low, width, x = np.log(edges[0]), np.log(edges[1] / edges[0]), np.log(np.maximum(values, edges[0]))
    place = np.clip((x - low) / width, 0, bins - 1).astype(np.int64)
    place += values >= edges[place + 1]  # rounding may have missed by one
    place -= values < edges[place]
    place[values == edges[-1]] = bins - 1  # the last bin holds both its edges
    return place + 1


def _edges(values: Floats, bounds: Sequence[float]) -> tuple[npt.NDArray[np.float64], str]:
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
