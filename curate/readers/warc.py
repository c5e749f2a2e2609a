"""WARC, what web crawlers write: every page that a server answered with is one record, its main text the document.

Input records are the answers (`response`), resources fetched from the web, and conversions (WET files: text already).
Requests, revisits, metadata and look-ups tell about the crawl and are no input. An answer that is no page (an error, a
redirect, an image) is quarantined as `not_a_page`. The position is the record's number in the file, all kinds counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from curate.decoding import trouble
from curate.pages.charset import detected_text
from curate.readers._warc_records import Answer, WarcRecord, answer, warc_records
from curate.readers.html import LARGEST_PAGE, page_record
from curate.records import Fields, Place, Record, document, quarantined

INPUT = frozenset({"response", "resource", "conversion"})
PAGES = frozenset({"text/html", "application/xhtml+xml"})
PLAIN = "text/plain"
HEAD_ROOM = 1 << 17  # bytes of a largest page's HTTP header


class Warc:
    def __call__(self, stream: BinaryIO, place: Place, fields: Fields) -> Iterator[Record]:
        for position, found in enumerate(warc_records(stream, INPUT, LARGEST_PAGE + HEAD_ROOM)):
            if _is_input(found):
                yield _record(found, place, position, fields)


def _is_input(found: WarcRecord) -> bool:
    # a crawler keeps its own logs as resources too
    return found.kind in INPUT and (found.kind != "resource" or _url(found).startswith(("http:", "https:")))


def _record(found: WarcRecord, place: Place, position: int, fields: Fields) -> Record:
    if found.body is None:
        stated = f"Content-Length {found.headers.get('content-length')!r} {_url(found)}"
        return quarantined(place, position, "broken_record", stated, 0)
    sent = answer(found.body, LARGEST_PAGE) if found.kind == "response" else Answer(200, found.headers, found.body)
    size = len(found.body)
    if sent is None:
        return quarantined(place, position, "not_a_page", f"no HTTP answer {_url(found)}", size)
    if not 200 <= sent.status < 300:
        return quarantined(place, position, "not_a_page", f"status {sent.status} {_url(found)}", size)
    content_type, charset = _type(sent)
    if content_type not in PAGES and content_type != PLAIN:
        return quarantined(place, position, "not_a_page", f"{content_type or 'no type'} {_url(found)}", size)
    if found.is_cropped or len(sent.payload) > LARGEST_PAGE:
        return quarantined(place, position, "too_large", f"more than {LARGEST_PAGE:,} bytes {_url(found)}", size)
    try:
        page = detected_text(sent.payload, fields.encoding, charset)
    except UnicodeDecodeError as error:
        return quarantined(place, position, "wrong_encoding", trouble(error), size)
    meta = {"url": _url(found), "date": found.headers.get("warc-date"), "content_type": content_type}
    if content_type == PLAIN:
        own_id = meta.get(fields.id) if fields.id else None
        return document(place, position, page, own_id=own_id, meta=meta, raw_bytes=size)
    return page_record(page, place, position, fields, size, meta)


def _url(found: WarcRecord) -> str:
    return found.headers.get("warc-target-uri", "").strip("<>")


def _type(sent: Answer) -> tuple[str, str | None]:
    """Media type and charset as the server said; a page that comes without a type is known by its first tag."""
    headers: Mapping[str, Any] = sent.headers
    kind, _, rest = headers.get("content-type", "").partition(";")
    named = (part.partition("=") for part in rest.split(";"))
    charset = next((value for name, _, value in named if name.strip().lower() == "charset"), None)
    looks_like_a_page = not kind.strip() and b"<html" in sent.payload[:2048].lower()
    return "text/html" if looks_like_a_page else kind.strip().lower(), charset
