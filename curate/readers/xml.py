"""XML: journal articles (JATS) and textbook modules (CNXML) as readable text, any other file as its text by block.

The parser expands no entities, loads no DTD and opens no connection, and keeps libxml2's bounds on depth and size:
a file from anywhere can at worst be quarantined. A file may hold several articles; each is a record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from lxml import etree

from curate.decoding import decode, trouble, whole
from curate.dialects import any_xml, cnxml, jats
from curate.dialects.prose import Element, Extract
from curate.records import Fields, Place, Record, document, quarantined

DECLARED = re.compile(rb"\A\s*(?:\xef\xbb\xbf)?<\?xml[^>]*encoding\s*=")
BAD_ENCODING = (etree.ErrorTypes.ERR_INVALID_CHAR, etree.ErrorTypes.ERR_UNKNOWN_ENCODING,
                etree.ErrorTypes.ERR_UNSUPPORTED_ENCODING, etree.ErrorTypes.ERR_INVALID_ENCODING)  # fmt: skip


class Xml:
    def __call__(self, stream: BinaryIO, place: Place, fields: Fields) -> Iterator[Record]:
        content = whole(stream)
        if not content.strip():
            yield quarantined(place, 0, "empty_text", repr(content[:40]), len(content))
            return
        try:
            root = etree.fromstring(_as_declared(content, fields.encoding), _parser())
        except UnicodeDecodeError as error:
            yield quarantined(place, 0, "wrong_encoding", trouble(error), len(content))
            return
        except etree.XMLSyntaxError as error:
            reason = "wrong_encoding" if error.code in BAD_ENCODING else "broken_markup"
            yield quarantined(place, 0, reason, error, len(content))
            return
        for position, found in enumerate(_extracts(root)):
            own_id = found.own_id if fields.id is None else found.meta.get(fields.id)
            yield document(place, position, found.text, own_id=own_id, meta=found.meta, raw_bytes=len(content))


def _as_declared(content: bytes, encoding: str) -> bytes:
    """The file as its own declaration or byte order mark says; without either, as the recipe does."""
    if DECLARED.match(content) or content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content
    return decode(content, encoding).encode()


def _parser() -> etree.XMLParser:
    """A strict parser that takes nothing from outside the file."""
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        recover=False,
        remove_comments=True,
        remove_pis=True,
    )


def _extracts(root: Element) -> Iterator[Extract]:
    articles = [one for one in root.iter("{*}article") if jats.is_article(one)]
    if articles:
        yield from (jats.extract(article) for article in articles)
    elif cnxml.is_module(root):
        yield cnxml.extract(root)
    else:
        yield any_xml.extract(root)
