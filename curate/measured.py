"""What a measure is: one number per document, with the unit and the meaning that a report can print beside it.

Measuring is apart from deciding. A family of measures (`curate/measures/<family>.py`) sees a batch of texts and returns
one array per measure; it removes nothing and knows no bound. Rules (`curate/rules.py`) put bounds on measures by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from curate.plugins import plugin
from curate.shards.fault import Fault
from curate.text import TextBatch

Column = npt.NDArray[np.generic]  # (n,) int64 or float64, one value per document


@dataclass(frozen=True, slots=True)
class Measure:
    name: str  # column of the ledger, and the name a recipe's rule uses
    unit: str  # words, characters, share of lines, ...
    meaning: str  # one sentence, down to how the counting is done
    source: str  # where the definition comes from, with the variant where variants differ


class Family(Protocol):
    """What the class of a file in `curate/measures` offers; a user's own is named `package.module:Name`."""

    measures: tuple[Measure, ...]

    def __call__(self, batch: TextBatch) -> dict[str, Column]: ...


def families(names: Iterable[str]) -> list[Family]:
    """The families a recipe names, in its order. Raises Fault for an unknown family."""
    return [plugin("curate.measures", name)() for name in names]


def measures_of(names: Iterable[str]) -> dict[str, Measure]:
    """Every measure that these families take, by name. Raises Fault where two families share a name."""
    found: dict[str, Measure] = {}
    for family in families(names):
        for measure in family.measures:
            if measure.name in found:
                raise Fault(f"two families take a measure called {measure.name!r}", where="curate.measures")
            found[measure.name] = measure
    return found


def measure(batch: TextBatch, of: Iterable[Family]) -> dict[str, Any]:
    """All measures of a batch, by name."""
    return {name: column for family in of for name, column in family(batch).items()}
