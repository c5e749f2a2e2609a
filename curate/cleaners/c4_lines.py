"""C4's lines: drops the lines that C4 drops, and the citation markers of the others (`curate/measures/c4.py`).

Optional, and meant for web pages: it takes every heading, every row of a table and every item of a list that ends in no
mark. `c4_dropped_character_share` tells beforehand how much it would take.
"""

from __future__ import annotations

from curate.measures._c4_lines import DROPPED
from curate.measures.c4 import CITATION, against_lines
from curate.text import TextBatch


class C4Lines:
    def __call__(self, text: str) -> str:
        before = None
        while text != before:  # a marker inside a marker, [[1]], leaves another behind
            before, text = text, self._once(text)
        return text

    def _once(self, text: str) -> str:
        batch = TextBatch.of([text])
        kept = (against_lines(batch)[0] & DROPPED) == 0
        raw, lines = batch.data.tobytes(), batch.lines
        spelled = (raw[a:b].decode() for a, b in zip(lines.start[kept].tolist(), lines.end[kept].tolist(), strict=True))
        return "\n".join(CITATION.sub("", line) for line in spelled)
