"""From a tree of markup to lines of prose: the walk and the writer that every XML dialect shares.

Text collects into blocks (paragraphs, headings, list items, table rows). A dialect says which elements are blocks,
which are dropped with all they hold, and which need a hand of their own; everything else is inline and joins the
line it stands in. Names are compared without their namespaces.

    <p>Counts fell to 10<sup>6</sup>.<list><list-item><p>once</p></list-item></list></p>   ->   Counts fell to 10⁶.
                                                                                               once
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

Element = Any  # lxml's element class carries no types

SPACE = re.compile(r"[ \t\r\n\f]+")  # not \s: a no-break or thin space is part of the text
CLOSE_TOGETHER = frozenset({"item", "row", "verse"})  # blocks of these kinds stand on lines without a blank one between
RAISED = str.maketrans("0123456789+-−=()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾")
LOWERED = str.maketrans("0123456789+-−=()", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎")


@dataclass(frozen=True, slots=True)
class Extract:
    """One article of an XML file."""

    text: str
    own_id: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dialect:
    blocks: frozenset[str]
    dropped: frozenset[str]
    kinds: Mapping[str, str] = field(default_factory=dict)  # element -> kind of the blocks within
    hands: Mapping[str, Hand] = field(default_factory=dict)  # element -> what writes it
    by_structure: bool = False  # an element whose parent holds no text of its own is a block, whatever its name
    tidy: Callable[[str], str] = str  # of a finished line


class Prose:
    """Blocks of text in the making."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.kind = "paragraph"
        self._line: list[str] = []
        self._label = ""
        self._blocks: list[tuple[str, str]] = []  # (kind, line)

    def add(self, text: str | None) -> None:
        if text:
            self._line.append(text)

    def end(self) -> None:
        """Ends the block under way. A label waits for the block that it labels."""
        line = SPACE.sub(" ", self.dialect.tidy("".join(self._line))).strip()
        self._line.clear()
        if not line:
            return
        if self.kind == "label":
            self._label = f"{self._label} {line}".strip()
        else:
            self._blocks.append((self.kind, f"{self._label} {line}".strip()))
            self._label = ""

    def finish(self) -> list[tuple[str, str]]:
        self.end()
        if self._label:
            self._blocks.append(("paragraph", self._label))
            self._label = ""
        return self._blocks

    def text(self) -> str:
        out: list[str] = []
        before = ""
        for kind, line in self.finish():
            if out:
                out.append("\n" if kind == before and kind in CLOSE_TOGETHER else "\n\n")
            out.append(line)
            before = kind
        return "".join(out)


Hand = Callable[[Element, Prose], None]


def walk(element: Element, prose: Prose, within_line: bool = False) -> None:
    """Writes an element. `within_line`: it stands among the words of a line."""
    name, dialect = local_name(element), prose.dialect
    if name in dialect.dropped:
        return
    if hand := dialect.hands.get(name):
        hand(element, prose)
        return
    is_block = name in dialect.blocks or (dialect.by_structure and not within_line)
    if not is_block:
        inside(element, prose, within_line)
        return
    outer = prose.kind
    prose.end()
    prose.kind = dialect.kinds.get(name, outer)
    inside(element, prose, False)
    prose.end()
    prose.kind = outer


def inside(element: Element, prose: Prose, within_line: bool = False) -> None:
    """Writes what an element holds."""
    within_line = within_line or has_words(element)
    prose.add(element.text)
    for child in element:
        if isinstance(child.tag, str):
            walk(child, prose, within_line)
        elif child.tag is etree.Entity:  # of a DTD that is not loaded: the names HTML shares mean the same there
            known = html.unescape(child.text)
            prose.add(known if known != child.text else None)
        prose.add(child.tail)


def flat(element: Element, dialect: Dialect) -> str:
    """All of an element's text on one line."""
    prose = Prose(dialect)
    inside(element, prose, True)
    return " ".join(line for _, line in prose.finish())


def raised(element: Element, prose: Prose) -> None:
    """Superscripts: Unicode's where all of it has them (10⁶, Ca²⁺), a caret where digits would run together."""
    text = flat(element, prose.dialect)
    if all(ord(mark) in RAISED for mark in text):
        prose.add(text.translate(RAISED))
    else:
        prose.add(f"^{text}" if any(mark in "0123456789" for mark in text) else text)


def lowered(element: Element, prose: Prose) -> None:
    """Subscripts: H₂O; letters stay as they are (Vmax)."""
    text = flat(element, prose.dialect)
    prose.add(text.translate(LOWERED) if all(ord(mark) in LOWERED for mark in text) else text)


def table(element: Element, prose: Prose) -> None:
    """Rows of a table (tr/td or row/entry) as lines of cells with bars between."""
    prose.end()
    outer, prose.kind = prose.kind, "row"
    for row in (one for one in element.iter() if local_name(one) in ("tr", "row")):
        cells = [flat(cell, prose.dialect) for cell in row if local_name(cell) in ("td", "th", "entry")]
        if any(cells):
            prose.add(" | ".join(cells))
            prose.end()
    prose.kind = outer


def local_name(element: Element) -> str:
    """The name without its namespace; nothing for comments, instructions and entities."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def has_words(element: Element) -> bool:
    """Whether the element holds text of its own, between or before its children."""
    return bool((element.text or "").strip()) or any((child.tail or "").strip() for child in element)


def child(element: Element, *path: str) -> Element | None:
    """The first descendant along a path of local names."""
    for name in path:
        element = next((one for one in element if local_name(one) == name), None)
        if element is None:
            return None
    return element


def children(element: Element | None, name: str) -> Iterator[Element]:
    return (one for one in (element if element is not None else ()) if local_name(one) == name)
