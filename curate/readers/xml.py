"""XML: journal articles (JATS), textbook modules (CNXML), wiki dumps (MediaWiki), any other file as its text by block.

The parser expands no entities, loads no DTD and opens no connection, and keeps libxml2's bounds on depth and size:
a file from anywhere can at worst be quarantined. A file may hold several articles or pages; each is a record.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import BinaryIO

from lxml import etree

from curate.decoding import decode, trouble, whole
from curate.dialects import any_xml, cnxml, jats, mediawiki
from curate.dialects.prose import Element, Extract
from curate.readers._package import strict_parser
from curate.records import Damaged, Fields, Place, Record, document, quarantined

HEAD_BYTES = 4096  # within which the first element stands
PIECE = 1 << 16  # bytes of a dump parsed at a time
DECLARED = re.compile(rb"\A\s*(?:\xef\xbb\xbf)?<\?xml[^>]*encoding\s*=")
BAD_ENCODING = (etree.ErrorTypes.ERR_INVALID_CHAR, etree.ErrorTypes.ERR_UNKNOWN_ENCODING,
                etree.ErrorTypes.ERR_UNSUPPORTED_ENCODING, etree.ErrorTypes.ERR_INVALID_ENCODING)  # fmt: skip


class Xml:
    def __call__(self, stream: BinaryIO, place: Place, fields: Fields) -> Iterator[Record]:
        head = stream.read(HEAD_BYTES)
        if mediawiki.MARK in head:
            yield from _wiki_pages(head, stream, place, fields)
            return
        content = head + whole(stream)
        if not content.strip():
            yield quarantined(place, 0, "empty_text", repr(content[:40]), len(content))
            return
        try:
            root = etree.fromstring(_as_declared(content, fields.encoding), strict_parser())
        except UnicodeDecodeError as error:
            yield quarantined(place, 0, "wrong_encoding", trouble(error), len(content))
            return
        except etree.XMLSyntaxError as error:
            yield quarantined(place, 0, _reason(error), error, len(content))
            return
        for position, found in enumerate(_extracts(root)):
            own_id = found.own_id if fields.id is None else found.meta.get(fields.id)
            yield document(place, position, found.text, own_id=own_id, meta=found.meta, raw_bytes=len(content))


def _wiki_pages(head: bytes, stream: BinaryIO, place: Place, fields: Fields) -> Iterator[Record]:
    """A record a page, as the dump is read; where it breaks, what came before stands."""
    position = 0
    pieces = itertools.chain([head], iter(lambda: stream.read(PIECE), b""))
    try:
        for position, page in enumerate(mediawiki.pages(pieces), 1):
            at, own_id = position - 1, page.own_id if fields.id is None else page.meta.get(fields.id)
            if page.reason:
                yield quarantined(place, at, page.reason, page.evidence, page.n_bytes, own_id)
            else:
                yield document(place, at, page.text, own_id=own_id, meta=page.meta, raw_bytes=page.n_bytes)
    except etree.XMLSyntaxError as error:
        raise Damaged(_reason(error), str(error)) from error


def _reason(error: etree.XMLSyntaxError) -> str:
    return "wrong_encoding" if error.code in BAD_ENCODING else "broken_markup"


def _as_declared(content: bytes, encoding: str) -> bytes:
    """The file as its own declaration or byte order mark says; without either, as the recipe does."""
    if DECLARED.match(content) or content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content
    return decode(content, encoding).encode()


def _extracts(root: Element) -> Iterator[Extract]:
    articles = [one for one in root.iter("{*}article") if jats.is_article(one)]
    if articles:
        yield from (jats.extract(article) for article in articles)
    elif cnxml.is_module(root):
        yield cnxml.extract(root)
    else:
        yield any_xml.extract(root)
