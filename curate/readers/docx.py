"""DOCX (Word since 2007): the text of the final version, one document per file; title and author become meta.

Read from the zip's own XML (curate/dialects/wordprocessing.py): a library of paragraphs and tables alone would lose
notes, text boxes and what stands within content controls and tracked insertions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from curate.dialects import wordprocessing
from curate.dialects.prose import child
from curate.readers._package import Package
from curate.records import Damaged, Fields, Place, Record, document

NOTES = (("", "word/footnotes.xml"), ("e", "word/endnotes.xml"))


class Docx:
    def __call__(self, stream: BinaryIO, place: Place, fields: Fields) -> Iterator[Record]:
        package = Package(stream, "docx")
        root = package.tree("word/document.xml")
        body = None if root is None else child(root, "body")
        if body is None:
            raise Damaged("unreadable_file", "docx: no word/document.xml with a body")
        notes = [(mark, tree) for mark, name in NOTES if (tree := package.tree(name)) is not None]
        meta = _meta(package.tree("docProps/core.xml"))
        text = wordprocessing.extract(body, notes)
        own_id = meta.get(fields.id or "")
        yield document(place, 0, text, own_id=own_id, meta=meta, raw_bytes=package.n_bytes)


def _meta(core: Any) -> dict[str, Any]:
    """What the file says of itself: Dublin Core, as all OOXML does."""
    if core is None:
        return {}
    said = {name: child(core, name) for name in ("title", "creator", "language", "created", "identifier")}
    return {
        {"creator": "author"}.get(name, name): (one.text or "").strip() or None
        for name, one in said.items()
        if one is not None
    }
