"""HTML: the main text of a page, one document per file, without menus, comments and other boilerplate.

How the main text is found: curate/pages/extraction.py; in which encoding: curate/pages/charset.py. A page of more tags
than any document has, or beyond 20 MB, is quarantined; so is one that no parser makes anything of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from curate.decoding import trouble, whole
from curate.pages.charset import page_text
from curate.pages.extraction import main_text
from curate.pages.page import TooComplex
from curate.records import Fields, Place, Record, document, quarantined

LARGEST_PAGE = 20 << 20  # bytes: trafilatura's own bound; the largest statutes in one page have about 15 MB


class Html:
    def __call__(self, stream: BinaryIO, place: Place, fields: Fields) -> Iterator[Record]:
        content = whole(stream, LARGEST_PAGE)
        try:
            page = page_text(content, fields.encoding)
        except UnicodeDecodeError as error:
            yield quarantined(place, 0, "wrong_encoding", trouble(error), len(content))
            return
        yield page_record(page, place, 0, fields, len(content))


def page_record(
    page: str, place: Place, position: int, fields: Fields, n_bytes: int, known: Mapping[str, Any] | None = None
) -> Record:
    """The record of a page's main text. `known`: meta that came with the page, which counts before its own."""
    if not page.strip():
        return quarantined(place, position, "empty_text", repr(page[:40]), n_bytes)
    try:
        found = main_text(page)
    except TooComplex as error:
        return quarantined(place, position, "too_complex", error, n_bytes)
    except Exception as error:  # what parsers raise on garbage has no common name, and no page may end the run
        return quarantined(place, position, "broken_markup", repr(error), n_bytes)
    if not found.text.strip():
        return quarantined(place, position, "no_text", page.strip(), n_bytes)
    meta = {"title": found.title, "url": found.url, "language": found.language, **(known or {})}
    own_id = meta.get(fields.id) if fields.id else None
    return document(place, position, found.text, own_id=own_id, meta=meta, raw_bytes=n_bytes)
