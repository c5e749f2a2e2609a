"""A part of a page as text: blocks apart by blank lines, list items behind dashes, a row's cells between bars.

    <h2>Dose</h2><ul><li>once<li>twice</ul>          Dose
    <table><tr><td>drug<td>5 mg</table>
                                                     - once
                                                     - twice

                                                     drug | 5 mg

A row whose cells hold lists, headings or tables of their own is layout, not data: its cells are blocks.
"""

from __future__ import annotations

import re

from curate.pages.main_part import MainPart
from curate.pages.page import Page
from curate.pages.tags import BREAK, CELL, FIRST_BLOCK, HEADING, ITEM, LIST, PARAGRAPH, ROW, TABLE, VERBATIM

SPACE = re.compile(r"[ \t\r\n\f]+")  # not \s: a no-break or thin space is part of the text
LAYOUT = frozenset({LIST, HEADING, TABLE, ROW, VERBATIM})
MOST_INDENTED = 8  # levels of lists; what is deeper stands with these


def write(page: Page, part: MainPart) -> str:
    """The text of a part's rows that are not dropped."""
    writer = Writer()
    kind, dropped, events = page.kind.tolist(), part.dropped.tolist(), page.events
    at, stop = page.begins[part.row], page.ends[part.row]
    while at < stop:
        event = events[at]
        at += 1
        if isinstance(event, str):
            writer.line.append(event)
        elif event < 0:
            writer.close(kind[~event])
        elif dropped[event]:
            writer.line.append(" ")
            at = page.ends[event] + 1
        else:
            is_layout = kind[event] == ROW and _is_layout(kind[event + 1 : page.end[event]])
            writer.open(kind[event], is_layout)
    return writer.text()


def _is_layout(below: list[int]) -> bool:
    return not LAYOUT.isdisjoint(below) or below.count(PARAGRAPH) > 2 * below.count(CELL)


class Writer:
    """Lines in the making: told of elements as they open and close, and of the text between."""

    def __init__(self) -> None:
        self.line: list[str] = []  # pieces of the line under way
        self._out: list[str] = []
        self._gap = 0  # line breaks due before the next line: 1, or 2 for a blank line
        self._mark = ""  # what the next line begins with
        self._lists = self._items = self._verbatim = 0  # open elements of these kinds
        self._rows: list[int] = []  # cells so far of the rows that are open; -1: a row of layout

    def open(self, kind: int, is_layout: bool = False) -> None:
        if kind == BREAK:
            self._end()
            self._gap = min(2, self._gap + 1)
        elif kind == CELL and self._rows and self._rows[-1] >= 0:
            if self._rows[-1]:
                self.line.append(" | ")
            self._rows[-1] += 1
        elif kind >= FIRST_BLOCK:
            self._block(kind)
        if kind == ROW:
            self._rows.append(-1 if is_layout else 0)
        elif kind == ITEM:
            self._items += 1
            self._mark = "  " * min(self._lists - 1, MOST_INDENTED) + "- "
        elif kind == LIST:
            self._lists += 1
        elif kind == VERBATIM:
            self._verbatim += 1

    def close(self, kind: int) -> None:
        if kind >= FIRST_BLOCK and not (kind == CELL and self._rows and self._rows[-1] >= 0):
            self._block(kind)
        if kind == ROW:
            self._rows.pop()
        elif kind == ITEM:
            self._items -= 1
            self._mark = ""
        elif kind == LIST:
            self._lists -= 1
        elif kind == VERBATIM:
            self._verbatim -= 1

    def text(self) -> str:
        self._end()
        return "".join(self._out)

    def _block(self, kind: int) -> None:
        """A line ends where a block begins or ends, but not within a row of data."""
        if kind != ROW and self._rows and self._rows[-1] >= 0:
            self.line.append(" ")
            return
        self._end()
        stands_close = self._items or kind in (ROW, ITEM)
        self._gap = max(self._gap, 1 if stands_close else 2)

    def _end(self) -> None:
        whole = "".join(self.line)
        self.line.clear()
        text = whole.strip("\n") if self._verbatim else SPACE.sub(" ", whole).strip()
        if not text.strip(" \t\n\xa0|"):  # nothing, or bars between empty cells
            return
        self._out += ["\n" * self._gap if self._out else "", self._mark, text]
        self._gap, self._mark = 0, ""
