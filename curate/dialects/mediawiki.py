"""A MediaWiki dump (`<mediawiki>`, what Wikipedia publishes): page by page as the file is read, in bounded memory.

    <page> title, namespace, id, <redirect/>?, <revision> time, model, <text> </revision> </page>

A redirect, a talk page, a template, a script is a page too: it is named for what it is, and its text is not a document.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from lxml import etree

from curate.dialects.prose import Element, child, local_name
from curate.dialects.wikitext import CATEGORIES, FILES, plain
from curate.records import LARGEST_RECORD, Damaged

MARK = b"<mediawiki"
# namespaces of the wiki's own affairs, by MediaWiki's numbers; odd ones are talk. Others, such as Wikisource's 104
# (pages of a scanned book), may hold text
NO_ARTICLES = frozenset({2, 4, 6, 8, 10, 12, 14, 118, 710, 828, 2300, 2302, 2600})
FILE_SPACE, CATEGORY_SPACE = "6", "14"


@dataclass(frozen=True, slots=True)
class WikiPage:
    text: str  # nothing where there is a reason
    own_id: str | None
    reason: str | None = None  # why the page is no document
    evidence: str = ""
    meta: dict[str, str | None] = field(default_factory=dict)
    n_bytes: int = 0  # of the wikitext


@dataclass(slots=True)
class _Wiki:
    """What the head of a dump says of its wiki."""

    name: str | None = None
    language: str | None = None
    files: tuple[str, ...] = FILES
    categories: tuple[str, ...] = CATEGORIES


def pages(pieces: Iterable[bytes]) -> Iterator[WikiPage]:
    """The pages of a dump, in order. Raises Damaged or etree.XMLSyntaxError where it breaks, after the pages before."""
    # a dump is larger than libxml2's bounds on one file; it expands nothing and knows no entities
    parser = etree.XMLPullParser(
        ("end",), tag=("{*}page", "{*}siteinfo"), huge_tree=True, resolve_entities=False, no_network=True,
        load_dtd=False, remove_comments=True, remove_pis=True,
    )  # fmt: skip
    wiki, unfinished = _Wiki(), 0
    for piece in pieces:
        broken = None
        unfinished += len(piece)
        try:
            parser.feed(piece)
        except etree.XMLSyntaxError as error:
            broken = error
        for page in _ready(parser, wiki):
            yield page
            unfinished = 0
        if unfinished > LARGEST_RECORD:
            raise Damaged("too_large", f"more than {LARGEST_RECORD:,} bytes without the end of a page")
        if broken is not None:
            raise broken
    parser.close()


def _ready(parser: etree.XMLPullParser, wiki: _Wiki) -> Iterator[WikiPage]:
    for _, element in parser.read_events():
        if local_name(element) == "siteinfo":
            _hear(element, wiki)
        else:
            yield _page(element, wiki)
        element.clear()
        while element.getprevious() is not None:  # a finished page leaves the tree
            del element.getparent()[0]


def _hear(info: Element, wiki: _Wiki) -> None:
    wiki.name = _text(info, "dbname") or _text(info, "sitename")
    root = info.getparent()
    wiki.language = None if root is None else root.get("{http://www.w3.org/XML/1998/namespace}lang")
    named = {one.get("key"): (one.text or "").lower() for one in info.iter("{*}namespace")}
    wiki.files = tuple(filter(None, (*FILES, named.get(FILE_SPACE))))
    wiki.categories = tuple(filter(None, (*CATEGORIES, named.get(CATEGORY_SPACE))))


def _page(page: Element, wiki: _Wiki) -> WikiPage:
    title, own_id, space = (_text(page, name) for name in ("title", "id", "ns"))
    wikitext, model = _text(page, "revision", "text"), _text(page, "revision", "model")
    size = len(wikitext.encode()) if wikitext else 0
    redirect = child(page, "redirect")
    if redirect is not None:
        return WikiPage("", own_id, "redirect", f"{title} -> {redirect.get('title')}", n_bytes=size)
    if space and space.lstrip("-").isdecimal() and (int(space) < 0 or int(space) % 2 or int(space) in NO_ARTICLES):
        return WikiPage("", own_id, "not_an_article", f"{title} (namespace {space})", n_bytes=size)
    if model not in (None, "wikitext"):
        return WikiPage("", own_id, "not_an_article", f"{title} ({model})", n_bytes=size)
    text = plain(wikitext or "", wiki.files, wiki.categories)
    meta = {"title": title, "timestamp": _text(page, "revision", "timestamp"), "wiki": wiki.name,
            "language": wiki.language}  # fmt: skip
    return WikiPage(f"{title}\n\n{text}" if text and title else text, own_id, meta=meta, n_bytes=size)


def _text(element: Element, *path: str) -> str | None:
    found = child(element, *path)
    return None if found is None else found.text
