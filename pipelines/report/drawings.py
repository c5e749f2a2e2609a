"""Places on a drawing as percentages: an inline SVG follows the width of the page, and its letters don't shrink."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear axis from `low` to `high`, drawn between two percentages of the width."""

    low: float
    high: float
    left: float = 0.0
    right: float = 100.0

    def at(self, value: float) -> str:
        """
        >>> Axis(-1.0, 1.0).at(0.0), Axis(0, 10, left=50).at(20)
        ('50.00%', '100.00%')
        """
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return f"{self.left + min(max(share, 0.0), 1.0) * (self.right - self.left):.2f}%"

    def ticks(self, about: int = 5) -> list[float]:
        """Round numbers inside the axis.

        >>> Axis(-0.23, 0.04).ticks()
        [-0.2, -0.1, 0.0]
        """
        width = self.high - self.low
        if width <= 0:
            return [self.low]
        magnitude = 10.0 ** math.floor(math.log10(width / about))
        step = next(step for step in (1, 2, 5, 10) if step * magnitude >= width / about) * magnitude
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(place * step, 12) + 0.0 for place in range(first, last + 1)]


def axis_around_zero(values: list[float], left: float = 2.0, right: float = 98.0) -> Axis:
    """An axis that holds these values and zero, with a margin."""
    low, high = min([0.0, *values]), max([0.0, *values])
    margin = 0.08 * (high - low) or 1.0
    return Axis(low - margin, high + margin, left, right)
