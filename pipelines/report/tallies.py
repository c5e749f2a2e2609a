"""What can be counted while a ledger goes by, and does not grow with it: sums by name, and the lowest of each group.

    chunk   source  reason  bytes        Sums(("source", "reason"), ("bytes",))      Lowest(2), ranked by hash
            notes   short      10        (notes, short)    2 documents    40          (notes, short)   rows 0 and 2
            papers  short      20        (papers, short)   1 document     20          (papers, short)  row 1
            notes   short      30

Sums are of whole numbers, and what is lowest is ranked by values and never by when it came, so that a result doesn't
depend on how the ledger is cut. Scores are summed in steps of 2^-24, which is what a float32 near 1 can tell apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.report.ledger import Chunk, Int64s, Names

STEPS_OF_A_SCORE = 1 << 24

Row = dict[str, Any]


def in_steps(scores: npt.NDArray[np.floating[Any]]) -> Int64s:
    """Scores as whole numbers, so that their sum is the same in any order; 0 where there is none."""
    return np.round(np.nan_to_num(scores.astype(np.float64)) * STEPS_OF_A_SCORE).astype(np.int64)


def mean(steps: int, of: int) -> float | None:
    return steps / STEPS_OF_A_SCORE / of if of else None


class Sums:
    """Documents, and sums of whole numbers over them, by the names in some columns."""

    def __init__(self, columns: Sequence[str], weights: Sequence[str] = ()) -> None:
        self.columns, self.weights = tuple(columns), tuple(weights)
        self._sums: dict[tuple[int, ...], Int64s] = {}  # documents first, then the weights

    def add(self, codes: Sequence[Int64s], weights: Sequence[npt.NDArray[Any]] = ()) -> None:
        """`codes` and `weights`: of the same documents, (m,) each."""
        key = together(codes)
        _, first, group = np.unique(key, return_index=True, return_inverse=True)
        # float64 holds whole numbers to 2^53, and a chunk sums to less
        sums = [np.bincount(group, weight, len(first)).astype(np.int64) for weight in weights]
        counted = np.stack([np.bincount(group, minlength=len(first)), *sums], axis=1)  # (groups, 1 + weights)
        for place, one in zip(first.tolist(), counted, strict=True):
            names = tuple(int(code[place]) for code in codes)
            self._sums[names] = self._sums[names] + one if names in self._sums else one

    def rows(self, names: Names) -> list[Row]:
        """One per combination of names, sorted by them."""
        found = [
            {column: names.name(column, code) for column, code in zip(self.columns, codes, strict=True)}
            | dict(zip(("documents", *self.weights), sums.tolist(), strict=True))
            for codes, sums in self._sums.items()
        ]
        return sorted(found, key=lambda row: tuple(row[column] for column in self.columns))


def rolled(rows: Iterable[Row], *columns: str) -> list[Row]:
    """Rows of sums added up by fewer columns, sorted by them; other text is left out.

    >>> rolled([{"a": "x", "b": "u", "n": 1}, {"a": "x", "b": "v", "n": 2}], "a")
    [{'a': 'x', 'n': 3}]
    """
    found: dict[tuple[str, ...], Row] = {}
    for row in rows:
        key = tuple(row[column] for column in columns)
        sums = found.setdefault(key, dict(zip(columns, key, strict=True)))
        for name, value in row.items():
            if not isinstance(value, str):
                sums[name] = sums.get(name, 0) + value
    return [found[key] for key in sorted(found)]


class Lowest:
    """Of each group the few rows that rank lowest."""

    def __init__(self, at_most: int) -> None:
        self.at_most = at_most
        self._held: dict[tuple[int, ...], list[tuple[Any, ...]]] = {}  # (*ranks, row), the lowest first

    def add(self, codes: Sequence[Int64s], ranks: Sequence[npt.NDArray[Any]], rows: Int64s) -> None:
        """All (m,): the group of each row, what it is ranked by (the first of most weight), and its number."""
        key = together(codes)
        order = np.lexsort((*reversed(ranks), key))
        ends = np.flatnonzero(np.diff(key[order])) + 1
        for part in np.split(order, ends) if len(order) else ():
            names = tuple(int(code[part[0]]) for code in codes)
            lowest = part[: self.at_most]
            new = zip(*(rank[lowest].tolist() for rank in (*ranks, rows)), strict=True)
            self._held[names] = sorted([*self._held.get(names, []), *new])[: self.at_most]

    def held(self, *codes: int) -> list[tuple[Any, ...]]:
        """(*ranks, row) of one group, the lowest first."""
        return self._held.get(codes, [])

    def farthest(self, *codes: int) -> float:
        """The first rank of the last row held; infinite while there is room for more."""
        held = self.held(*codes)
        return float(held[-1][0]) if len(held) == self.at_most else np.inf

    def by_name(self, names: Names, columns: Sequence[str]) -> dict[tuple[str, ...], list[int]]:
        """Row numbers by the names of their group, sorted by those."""
        named = {
            tuple(names.name(column, code) for column, code in zip(columns, codes, strict=True)): [
                one[-1] for one in held
            ]
            for codes, held in self._held.items()
        }
        return dict(sorted(named.items()))


def together(codes: Sequence[Int64s]) -> Int64s:
    """One number for each combination of codes: (m,) in, (m,) out."""
    key = np.zeros(len(codes[0]), np.int64)
    for code in codes:
        key = key * (int(code.max(initial=-1)) + 2) + code + 1
    return key


def of(chunk: Chunk, columns: Sequence[str], where: npt.NDArray[np.bool_]) -> list[Int64s]:
    """The codes of some columns, of the rows that `where` marks."""
    return [chunk.codes(column)[where] for column in columns]
