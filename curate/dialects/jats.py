"""JATS, the journal articles' XML (NISO Z39.96; what PubMed Central ships): title, abstracts, then the body.

Sections keep their headings, figures and tables their captions, tables their cells. Reference lists, notes,
permissions, graphics and identifiers go. Citations by name stay where they stand, "(Smith et al., 2010)"; bare
numbers go together with the brackets around them. Peer-review letters (sub-articles) are not the article and are
left out.
"""

from __future__ import annotations

import re
from typing import Any

from curate.dialects.mathml import math
from curate.dialects.prose import (
    Dialect,
    Element,
    Extract,
    Prose,
    child,
    children,
    flat,
    local_name,
    lowered,
    raised,
    table,
    walk,
)

CITED = "\ue000"  # stands for a numeric citation until its line is done; private use, so no text holds it
_AROUND = r"(?:see|also|e\.g\.,?|cf\.?|reviewed|review|for|in|and|refs?\.?|[\s,;&–—-])"
BRACKETED = re.compile(rf"\s*[\[(](?:{_AROUND}|{CITED})*{CITED}(?:{_AROUND}|{CITED})*[\])]")
CITATIONS = re.compile(rf"[ ]*{CITED}(?:[\s,;–—-]*{CITED})*")
ONLY_A_DOI = re.compile(r"(?:DOI:?\s*)?(?:https?://\S*doi\.org/|10\.\d{4,}/)\S+", re.IGNORECASE)
NOTES = frozenset({"fn", "table-fn", "aff", "corresp", "author-notes"})
SKIPPED_ABSTRACTS = frozenset({"graphical", "toc", "teaser"})  # a picture, or the abstract once more


def is_article(element: Element) -> bool:
    return local_name(element) == "article" and child(element, "front") is not None


def extract(article: Element) -> Extract:
    """The text of an <article>, its id (PMID, PMC id, DOI or the publisher's) and what is known about it."""
    about = child(article, "front", "article-meta")
    prose = Prose(JATS)
    for element in _in_order(article, about):
        walk(element, prose)
    ids = {one.get("pub-id-type"): flat(one, JATS) for one in children(about, "article-id")}
    own_id = next((ids[kind] for kind in ("pmid", "pmc", "pmcid", "doi", "publisher-id") if ids.get(kind)), None)
    return Extract(prose.text(), own_id, _meta(article, about, ids))


def _in_order(article: Element, about: Element | None) -> list[Element]:
    titles = [child(about, "title-group", name) for name in ("article-title", "subtitle")] if about is not None else []
    abstracts = [one for one in children(about, "abstract") if one.get("abstract-type") not in SKIPPED_ABSTRACTS]
    return [one for one in (*titles, *abstracts, child(article, "body")) if one is not None]


def _meta(article: Element, about: Element | None, ids: dict[str, str]) -> dict[str, Any]:
    if about is None:
        return {}
    journal = child(article, "front", "journal-meta", "journal-title-group", "journal-title")
    if journal is None:
        journal = child(article, "front", "journal-meta", "journal-title")
    title, year = child(about, "title-group", "article-title"), child(about, "pub-date", "year")
    licence = child(about, "permissions", "license")
    return {
        "title": None if title is None else flat(title, JATS),
        "journal": None if journal is None else flat(journal, JATS),
        "year": None if year is None else flat(year, JATS),
        "license": None if licence is None else _link(licence),
        **{kind: ids.get(kind) or None for kind in ("doi", "pmid", "pmc")},
    }


def _link(licence: Element) -> str | None:
    """The licence's URL: of the element itself, or of the first link in its words."""
    for element in licence.iter():
        for name, value in element.attrib.items():
            if name.rpartition("}")[2] == "href":
                return str(value)
        if local_name(element) == "license_ref":
            return (element.text or "").strip() or None
    return None


def _cross_reference(element: Element, prose: Prose) -> None:
    text, kind = flat(element, prose.dialect), element.get("ref-type")
    is_number = not any(mark.isalpha() for mark in text)
    if kind == "bibr" and is_number:
        prose.add(CITED)
    elif not (kind in NOTES and len(text) < 3):
        prose.add(text)


def _tex(element: Element, prose: Prose) -> None:
    """LaTeX only where nothing else gives the formula, and without the preamble around it."""
    around = element.getparent()
    if around is not None and any(local_name(one) == "math" for one in around.iter()):
        return
    source = element.text or ""
    inner = re.search(r"\\begin\{document\}(.*?)\\end\{document\}", source, re.DOTALL)
    prose.add((inner[1] if inner else source).strip().strip("$"))


def _tidy(line: str) -> str:
    """A line without its numeric citations, and nothing where it only repeats the article's identifier."""
    if CITED in line:
        line = CITATIONS.sub("", BRACKETED.sub("", line))
    return "" if ONLY_A_DOI.fullmatch(line.strip()) else line


JATS = Dialect(
    blocks=frozenset({
        "abstract", "app", "article-title", "body", "boxed-text", "caption", "code", "def", "def-item", "def-list",
        "disp-formula", "disp-formula-group", "disp-quote", "fig", "fig-group", "label", "list", "list-item",
        "media", "p", "preformat", "sec", "speech", "statement", "subtitle", "supplementary-material", "table-wrap",
        "table-wrap-group", "term", "title", "verse-group", "verse-line",
    }),
    dropped=frozenset({
        "alt-text", "attrib", "back", "contrib-group", "copyright-holder", "copyright-statement", "copyright-year",
        "element-citation", "fn", "fn-group", "glyph-data", "graphic", "inline-graphic", "license", "long-desc",
        "mixed-citation", "nlm-citation", "object-id", "permissions", "private-char", "ref-list", "related-article",
        "related-object", "sec-meta", "table-wrap-foot",
    }),
    kinds={"label": "label", "list-item": "item", "def-item": "item",
           "verse-line": "verse"},
    hands={"xref": _cross_reference, "sup": raised, "sub": lowered, "math": math, "tex-math": _tex, "table": table},
    tidy=_tidy,
)  # fmt: skip
