"""Where in a document a rule looks: the part that an excerpt should show.

share of lines, words or characters     the few lines where the same measure, taken of them alone, is worst
what occurs again and again             the piece that repeats most, and how often
counts of the whole (words, sentences)  the beginning
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import numpy as np

from curate.measured import Family, families
from curate.text import TextBatch

WINDOW = 400
"""Characters."""
LOOKED_AT = 400_000
"""Characters of a document, from its beginning."""
N_GRAM = re.compile(r"(?:top|duplicate)_(\d+)_gram")
WORD = re.compile(r"\w+")


class Excerpts:
    """Knows the families of measures that a run took."""

    def __init__(self, measured_by: Iterable[str]) -> None:
        self._family: dict[str, Family] = {}
        self._unit: dict[str, str] = {}
        for family in families(measured_by):
            for one in family.measures:
                self._family[one.name], self._unit[one.name] = family, one.unit

    def of(self, text: str, measure: str, is_lower: bool) -> str:
        """`is_lower`: low values are the bad ones."""
        if pieces := _pieces(text, measure):
            return _most_repeated(pieces)
        if text and self._unit.get(measure, "").startswith(("share", "per ")):
            windows = list(_windows(text))
            values = self._family[measure](TextBatch.of(windows))[measure].astype(np.float64)
            worst = np.nan_to_num(values if is_lower else -values, nan=np.inf)
            return windows[int(np.argmin(worst))]
        return text[:WINDOW]


def _windows(text: str) -> Iterable[str]:
    """The text in parts of about WINDOW characters, cut at line ends where it has some, at spaces where not."""
    at = 0
    while at < len(text):
        until = min(at + WINDOW, len(text))
        if until < len(text):
            cut = max(text.rfind("\n", at + WINDOW // 2, until), 0) or text.rfind(" ", at + WINDOW // 2, until)
            until = cut + 1 if cut > at else until
        yield text[at:until]
        at = until


def _pieces(text: str, measure: str) -> list[str]:
    """What the measure looks for repeats of; nothing where it does not."""
    if found := N_GRAM.match(measure):
        n, words = int(found[1]), WORD.findall(text)
        return [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
    if measure.startswith("duplicate_paragraph"):
        return [piece.strip() for piece in re.split(r"\n{2,}", text) if piece.strip()]
    if measure.startswith(("duplicate_line", "fineweb_copied_line", "page_header")):
        return [line.strip() for line in text.splitlines() if line.strip()]
    return []


def _most_repeated(pieces: list[str]) -> str:
    """The piece whose copies hold most characters, of equals the first."""
    piece, times = max(Counter(pieces).items(), key=lambda item: (item[1] - 1) * len(item[0]))
    return f"{times} times: {piece[:WINDOW]}"
