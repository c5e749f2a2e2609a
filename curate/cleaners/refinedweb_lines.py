"""RefinedWeb's lines: drops lines of capitals, digits, counters and single words (`curate/measures/refinedweb.py`).

Optional, and meant for web pages: in statutes and papers it takes the headings. All other lines stay as they are, and
so do blank ones.
"""

from __future__ import annotations

from curate.measures.refinedweb import against_lines
from curate.text import TextBatch


class RefinedwebLines:
    def __call__(self, text: str) -> str:
        batch = TextBatch.of([text])
        lines, raw = batch.lines, batch.data.tobytes()
        pieces, behind = [], 0
        for place in lines.start[against_lines(batch) != 0].tolist():
            start, end = raw.rfind(b"\n", 0, place) + 1, raw.find(b"\n", place)
            pieces.append(raw[behind:start])
            behind = len(raw) if end < 0 else end + 1
        return (b"".join(pieces) + raw[behind:]).decode()
