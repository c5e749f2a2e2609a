"""Line endings: one kind, \\n. Windows' and old Mac's, Unicode's line and paragraph separators, NEL, page and tab
feeds.

A form feed (pdftotext puts one between pages) is one line break: a page ends in the middle of a paragraph as often
as not.
"""

from __future__ import annotations

import re

ENDINGS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")


class LineEndings:
    suspect = r"[\r\v\f\x{85}\x{2028}\x{2029}]"

    def __call__(self, text: str) -> str:
        return ENDINGS.sub("\n", text)
