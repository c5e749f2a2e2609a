"""A page as a table: one row per element in document order, filled while libxml2 reads, without ever a tree.

    <div><p>Fever <b>rose</b>.</p></div>      row   tag   parent   end   prose     prose: characters that stand in this
                                              0     div   0        3     0         block and in no block within it;
                                              1     p     0        3     12        inline elements lend theirs to the
                                              2     b     1        3     0         block around them

A subtree is a run of rows, so sums over subtrees (boilerplate.py, main_part.py) are one sweep from the last row to the
first, whatever the depth; and `events` from a row's start to its end are its text in order. Scripts, styles and
comments never enter. Time and memory are linear in the page; a page beyond MOST_TAGS is not read at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from lxml import etree
from numba import njit

from curate.pages.names import is_boilerplate
from curate.pages.tags import FIRST_BLOCK, INLINE, KIND, LINK, MUTE

MOST_TAGS = 500_000  # beyond: no document, in 20 MB at most; so many take some 1.5 s and 500 MB
PIECE = 1 << 20  # characters handed to the parser at a time


class TooComplex(Exception):
    """A page of more tags than any document has."""


@dataclass(frozen=True, slots=True)
class Page:
    """The table, n rows, the first of them the root; and what the page says of itself."""

    kind: np.ndarray  # (n,) uint8, of curate.pages.tags
    parent: np.ndarray  # (n,) int32; the root is its own
    end: np.ndarray  # (n,) int32: the row after the last of the subtree
    named: np.ndarray  # (n,) bool: its class, id or style says boilerplate or hidden
    prose: np.ndarray  # (n,) int32: characters of the block's own lines
    linked: np.ndarray  # (n,) int32: those of them within links
    events: list[int | str]  # row: it begins; ~row: it ends; text
    begins: list[int]  # (n,) where in `events`
    ends: list[int]  # (n,)
    title: str | None
    url: str | None
    language: str | None


def parse(html: str) -> Page:
    """The table of a page. Raises TooComplex, and etree.ParserError where nothing can be read."""
    if html.count("<") > MOST_TAGS:
        raise TooComplex(f"more than {MOST_TAGS:,} tags")
    target = _Rows()
    parser = etree.HTMLParser(target=target, encoding="utf-8", no_network=True, huge_tree=True)
    for start in range(0, len(html), PIECE):
        parser.feed(html[start : start + PIECE].encode("utf-8", "replace"))
    parser.close()
    return target.page()


class _Rows:
    """The parser's target: hears of each element and text once, in order."""

    def __init__(self) -> None:
        self.kind, self.parent, self.named, self.chars = [INLINE], [0], [False], [0]
        self.begins, self.ends, self.last = [0], [0], [0]
        self.events: list[int | str] = [0]
        self.path = [0]  # rows of the elements that are open
        self.muted = 0  # depth within an element that holds no text of the page
        self.about: dict[str, str] = {}
        self.titling = False

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if self.muted or tag in MUTE:
            self.muted += 1
            return
        row = len(self.kind)
        self.kind.append(KIND.get(tag, INLINE))
        self.parent.append(self.path[-1])
        self.chars.append(0)
        self.named.append(bool(attributes) and is_boilerplate(tag, attributes))
        self.begins.append(len(self.events))
        self.ends.append(0)
        self.last.append(0)
        self.events.append(row)
        self.path.append(row)
        if tag in ("title", "meta", "link", "html"):
            self._hear(tag, attributes)

    def end(self, tag: str) -> None:
        self.titling = False
        if self.muted:
            self.muted -= 1
            return
        row = self.path.pop()
        self.last[row] = len(self.kind)
        self.ends[row] = len(self.events)
        self.events.append(~row)

    def data(self, text: str) -> None:
        if self.muted:
            return
        if self.titling:
            self.about["title"] = self.about.get("title", "") + text
            return
        self.events.append(text)
        self.chars[self.path[-1]] += len(text.strip())

    def _hear(self, tag: str, attributes: Mapping[str, str]) -> None:
        """What a page says of itself; the first word on a matter counts."""
        get = attributes.get
        if tag == "title":
            self.titling = "title" not in self.about
        elif tag == "html":
            self.about.setdefault("lang", get("lang") or get("xml:lang") or "")
        elif tag == "link" and (get("rel") or "").lower() == "canonical":
            self.about.setdefault("canonical", get("href") or "")
        elif tag == "meta":
            name = (get("property") or get("name") or "").lower()
            if name in ("og:title", "og:url"):
                self.about.setdefault(name, get("content") or "")

    def close(self) -> None:
        while self.path:
            row = self.path.pop()
            self.last[row] = len(self.kind)
            self.ends[row] = len(self.events)
            self.events.append(~row)

    def page(self) -> Page:
        kind, parent = np.array(self.kind, np.uint8), np.array(self.parent, np.int32)
        prose, linked = _lines(kind, parent, np.array(self.chars, np.int32))
        said = {name: " ".join(value.split()) or None for name, value in self.about.items()}
        return Page(
            kind, parent, np.array(self.last, np.int32), np.array(self.named, np.bool_), prose, linked,
            self.events, self.begins, self.ends,
            title=said.get("og:title") or said.get("title"),
            url=said.get("canonical") or said.get("og:url"),
            language=said.get("lang"),
        )  # fmt: skip


@njit(cache=True, nogil=True)
def _lines(kind: np.ndarray, parent: np.ndarray, chars: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each element's characters, given to the block whose line they stand in: all of them, and the linked ones."""
    n = len(kind)
    prose, linked = np.zeros(n, np.int32), np.zeros(n, np.int32)
    block, in_link = np.zeros(n, np.int32), np.zeros(n, np.bool_)
    for row in range(n):
        above = parent[row]
        block[row] = row if kind[row] >= FIRST_BLOCK else block[above]
        in_link[row] = kind[row] == LINK or in_link[above]
        prose[block[row]] += chars[row]
        if in_link[row]:
            linked[block[row]] += chars[row]
    return prose, linked
