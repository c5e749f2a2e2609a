"""Two matched texts side by side, differing words marked.

Words are compared, white space is shown as it is. Only the neighbourhood of the first difference is compared and shown:
near-duplicates are long and alike, and what a reader wants to judge is where they part.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from itertools import groupby

WORDS_BEFORE = 40
WORDS_SHOWN = 200
WORDS_COMPARED = 280
"""More than are shown, so that a shift between the sides doesn't make the last words shown look different."""


@dataclass(frozen=True, slots=True)
class Side:
    parts: list[tuple[str, bool]]
    """Runs of text, and whether the run differs from the other side."""
    skipped: int
    """Words before the first one shown, the same on both sides."""
    rest: int
    """Words after the last one shown, of the excerpt at hand."""


def side_by_side(left: str, right: str) -> tuple[Side, Side]:
    """
    >>> one, two = side_by_side("take 5 mg daily", "take 50 mg daily")
    >>> one.parts, two.parts
    ([('take ', False), ('5 ', True), ('mg daily', False)], [('take ', False), ('50 ', True), ('mg daily', False)])
    """
    one, two = (re.findall(r"\s*\S+\s*", text) for text in (left, right))
    plain_one, plain_two = ([word.strip() for word in words] for words in (one, two))
    alike = 0
    while alike < min(len(one), len(two)) and plain_one[alike] == plain_two[alike]:
        alike += 1
    start = 0 if alike == len(one) == len(two) else max(0, alike - WORDS_BEFORE)
    window = slice(start, start + WORDS_COMPARED)
    matcher = difflib.SequenceMatcher(None, plain_one[window], plain_two[window], autojunk=False)
    blocks = matcher.get_matching_blocks()
    alike_one = {block.a + place for block in blocks for place in range(block.size)}
    alike_two = {block.b + place for block in blocks for place in range(block.size)}
    return _side(one, start, alike_one), _side(two, start, alike_two)


def _side(words: list[str], start: int, alike: set[int]) -> Side:
    shown = words[start : start + WORDS_SHOWN]
    runs = groupby(enumerate(shown), key=lambda word: word[0] not in alike)
    parts = [("".join(word for _, word in run), differs) for differs, run in runs]
    return Side(parts, start, len(words) - start - len(shown))
