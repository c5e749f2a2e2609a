"""The main text of a page: our own reading of it, and trafilatura's where ours would be a guess.

    characters ─▶ table of elements ─▶ main part ─▶ covers half of the page's prose? ─▶ text
                                                     └─ less: trafilatura (Barbaresi 2021), fast mode

Ours takes one pass of libxml2 and a few sweeps of compiled code. On pages where one element holds most prose both read
alike; where prose is scattered (forums, front pages, markup that closes nothing) trafilatura's many rules are better.
benchmarks/html_extraction.py measures all of it against labelled pages.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from curate.pages.main_part import MainPart, main_part
from curate.pages.page import parse
from curate.pages.tags import BREAK, CELL, HEADING, INLINE, ITEM, LIST, PARAGRAPH, ROW, TABLE, VERBATIM
from curate.pages.writing import Writer, write

COVERED = (
    0.5  # least share of the page's prose in the main part: with less, most of the page would be left out unexplained
)
MOST_ROWS = 20_000  # of a page that trafilatura is asked about: its tree walks take seconds beyond that
MOST_CHARS = 4_000_000  # likewise


@dataclass(frozen=True, slots=True)
class MainText:
    text: str
    title: str | None
    url: str | None
    language: str | None


def main_text(html: str) -> MainText:
    """Raises curate.pages.page.TooComplex, or whatever a parser raises on what is no page at all."""
    page = parse(html)
    part = main_part(page)
    text = ""
    if part.covered < COVERED and len(page.kind) <= MOST_ROWS and len(html) <= MOST_CHARS:
        text = _by_trafilatura(html)
    return MainText(text or write(page, part), page.title, page.url, page.language)


def whole_text(html: str) -> str:
    """All text of a page, boilerplate or not: of a book's chapter, say. Raises as main_text does."""
    page = parse(html)
    return write(page, MainPart(0, np.zeros(len(page.kind), np.bool_), 1.0))


def _by_trafilatura(html: str) -> str:
    import trafilatura
    from trafilatura.settings import Document

    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)  # what it cannot extract is in our ledger
    try:
        found = trafilatura.bare_extraction(html, fast=True, include_comments=False, include_tables=True)
    except Exception:  # it raises all sorts on half-built trees; ours stands
        return ""
    return _written(found.body) if isinstance(found, Document) and found.body is not None else ""


TEI = {
    "p": PARAGRAPH, "quote": PARAGRAPH, "head": HEADING, "list": LIST, "item": ITEM, "table": TABLE, "row": ROW,
    "cell": CELL, "lb": BREAK, "code": VERBATIM,
}  # fmt: skip


def _written(body: Any) -> str:
    """The tree that trafilatura gives, in the same shape as our own text."""
    from lxml import etree

    writer = Writer()
    for happens, element in etree.iterwalk(body, events=("start", "end")):
        kind = TEI.get(element.tag, INLINE)
        if happens == "start":
            writer.open(kind)
            writer.line.append(element.text or "")
        else:
            writer.close(kind)
            writer.line.append((element.tail or "") if element is not body else "")
    return writer.text()
