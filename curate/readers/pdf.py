"""PDF with a text layer (PDFium): the text of all pages, a form feed between two, one document per file.

Lines break where the page did and words may be hyphenated there: mending that is a cleaner's matter, and measures of
line-break damage want to see it. A scanned PDF holds pictures of pages only and is quarantined as `no_text_layer`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from curate.decoding import whole
from curate.records import LARGEST_RECORD, Fields, Place, Record, document, quarantined

MOST_PAGES = 50_000  # the longest statutes have some thousands
BROKEN_WORD = "\ufffe"  # PDFium's sign for a hyphen at the end of a line together with the break after it


class Pdf:
    def __call__(self, stream: BinaryIO, place: Place, fields: Fields) -> Iterator[Record]:
        yield _record(whole(stream), place, fields)


def _record(content: bytes, place: Place, fields: Fields) -> Record:
    import pypdfium2

    size = len(content)
    if not content.strip():
        return quarantined(place, 0, "empty_text", repr(content[:40]), size)
    try:
        file = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        is_locked = getattr(error, "err_code", None) in (
            pypdfium2.raw.FPDF_ERR_PASSWORD,
            pypdfium2.raw.FPDF_ERR_SECURITY,
        )
        return quarantined(place, 0, "encrypted" if is_locked else "unreadable_file", f"pdf: {error}", size)
    try:
        if len(file) > MOST_PAGES:
            return quarantined(place, 0, "too_complex", f"{len(file):,} pages", size)
        text = _text(file)
        if not text.strip():
            return quarantined(place, 0, "no_text_layer", f"{len(file):,} pages without text", size)
        meta = _meta(file)
        return document(place, 0, text, own_id=meta.get(fields.id or ""), meta=meta, raw_bytes=size)
    except (pypdfium2.PdfiumError, UnicodeError) as error:
        return quarantined(place, 0, "broken_markup", f"pdf: {error}", size)
    finally:
        file.close()


def _text(file: Any) -> str:
    pages: list[str] = []
    left = LARGEST_RECORD  # characters: a page may be shown a thousand times
    for page in file:
        layer = page.get_textpage()
        text = layer.get_text_bounded().replace("\r\n", "\n").replace(BROKEN_WORD, "-\n").replace("\0", "")
        layer.close()
        page.close()
        pages.append(text.strip("\n"))
        left -= len(text)
        if left < 0:
            break
    return "\f".join(pages)


def _meta(file: Any) -> dict[str, Any]:
    said = file.get_metadata_dict(skip_empty=True)
    return {
        "title": said.get("Title"),
        "author": said.get("Author"),
        "created": said.get("CreationDate"),
        "pages": len(file),
    }
