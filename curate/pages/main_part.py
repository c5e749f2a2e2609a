"""Which part of a page is its main text, and which rows in it are not: sums and scores over the table of elements.

mass     of an element: characters of prose below it, where prose is what stands in blocks of 80 or more unlinked
         characters. An element whose tag or name says boilerplate is dropped if a third of the page's mass or less
         stands in it: names are often wrong about the element that holds the article.
score    each block with text lends its parent (a container: itself) a score that grows with its length, half of it
         to the one above, a third to the next: Arc90's Readability. Times the share of unlinked characters.
main     the element of the highest score; in it, blocks that are mostly links go.
covered  the share of the page's mass that the main text holds. Little means that the choice was a guess.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from curate.pages.page import Page
from curate.pages.tags import ASIDE, CELL, CONTAINER, FIRST_BLOCK, HEADING, INLINE, LIST, PARAGRAPH, TABLE

PROSE_CHARS = 80  # a sentence or two: menus, bylines and buttons have lines shorter than that
SCORED_CHARS = 25  # Readability's
KEPT_SHARE = 1 / 3  # of the page's mass: an element that holds more is no boilerplate, whatever its name
SHORT_CHARS = 400  # a block of links of up to so many characters goes where half of it is links, a longer one at 0.8


@dataclass(frozen=True, slots=True)
class MainPart:
    row: int  # of the element that holds it; the root where there is none
    dropped: np.ndarray  # (n,) bool
    covered: float  # of the page's mass, 0 to 1


def main_part(page: Page) -> MainPart:
    row, dropped, covered = _main_part(page.kind, page.parent, page.end, page.named, page.prose, page.linked)
    return MainPart(int(row), dropped, float(covered))


@njit(cache=True, nogil=True)
def _sums(values: np.ndarray, parent: np.ndarray, dropped: np.ndarray) -> np.ndarray:
    """Of each row's subtree, without dropped ones."""
    total = np.zeros(len(values), np.float64)
    for row in range(len(values) - 1, -1, -1):
        if dropped[row]:
            total[row] = 0.0
            continue
        total[row] += values[row]
        if row:
            total[parent[row]] += total[row]
    return total


@njit(cache=True, nogil=True)
def _main_part(
    kind: np.ndarray, parent: np.ndarray, end: np.ndarray, named: np.ndarray, prose: np.ndarray, linked: np.ndarray
) -> tuple[int, np.ndarray, float]:
    n = len(kind)
    dropped = np.zeros(n, np.bool_)
    solid = np.where(prose - linked >= PROSE_CHARS, prose - linked, 0)
    mass = _sums(solid, parent, dropped)
    for row in range(1, n):
        suspect = named[row] or kind[row] == ASIDE
        dropped[row] = dropped[parent[row]] or (suspect and mass[row] <= KEPT_SHARE * mass[0])
    chars, links = _sums(prose, parent, dropped), _sums(linked, parent, dropped)
    main = _best(kind, parent, prose, dropped, chars, links)
    for row in range(main + 1, end[main]):
        is_piece = kind[row] in (LIST, CONTAINER, PARAGRAPH, TABLE, HEADING)
        is_links = links[row] > 0.5 * chars[row] and (chars[row] < SHORT_CHARS or links[row] > 0.8 * chars[row])
        dropped[row] = dropped[row] or dropped[parent[row]] or (is_piece and is_links)
    held = 0.0
    for row in range(main, end[main]):
        held += 0.0 if dropped[row] else solid[row]
    return main, dropped, held / mass[0] if mass[0] else 1.0


@njit(cache=True, nogil=True)
def _best(
    kind: np.ndarray, parent: np.ndarray, prose: np.ndarray, dropped: np.ndarray, chars: np.ndarray, links: np.ndarray
) -> int:
    """The row of the highest score; of equals the first."""
    n = len(kind)
    score = np.zeros(n, np.float64)
    for row in range(1, n):
        if dropped[row] or prose[row] < SCORED_CHARS or kind[row] < FIRST_BLOCK or kind[row] == HEADING:
            continue
        worth = 1.0 + min(prose[row] / 100.0, 3.0)
        to = row if kind[row] in (CONTAINER, CELL, ASIDE) else parent[row]
        for weight in (1.0, 0.5, 0.3):
            score[to] += weight * worth
            if to == 0:
                break
            to = parent[to]
    best, most = 0, 0.0
    for row in range(n):
        if score[row] > 0 and chars[row] > 0 and kind[row] != INLINE:
            this = score[row] * (1.0 - links[row] / chars[row])
            if this > most:
                best, most = row, this
    return best
