"""EPUB: the chapters of a book in reading order, one document per file; title, author and language become meta.

The package file names the parts (manifest) and their order (spine). What stands outside the order, such as covers and
notes shown on demand, and the table of contents, is left out. Chapters are pages whose whole text counts.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any, BinaryIO
from urllib.parse import unquote

from curate.decoding import trouble
from curate.dialects.prose import child, children, local_name
from curate.pages.charset import page_text
from curate.pages.extraction import whole_text
from curate.pages.page import TooComplex
from curate.readers._package import Package
from curate.records import Damaged, Fields, Place, Record, document, quarantined

MARKUP = frozenset({"application/xhtml+xml", "text/html", "application/x-dtbook+xml", ""})


class Epub:
    def __call__(self, stream: BinaryIO, place: Place, fields: Fields) -> Iterator[Record]:
        package = Package(stream, "epub")
        path = _package_file(package)
        book = package.tree(path)
        if book is None:
            raise Damaged("unreadable_file", f"epub: no {path}")
        chapters = _chapters(book, posixpath.dirname(path))
        locked = _locked(package)
        if locked.intersection(chapters):
            raise Damaged("encrypted", f"epub: {sorted(locked.intersection(chapters))[0]}")
        try:
            texts = [text for name in chapters if (text := _text(package, name, fields.encoding))]
        except UnicodeDecodeError as error:
            yield quarantined(place, 0, "wrong_encoding", trouble(error), package.n_bytes)
            return
        except TooComplex as error:
            yield quarantined(place, 0, "too_complex", error, package.n_bytes)
            return
        meta = _meta(book)
        own_id = meta.get(fields.id or "")
        yield document(place, 0, "\n\n".join(texts), own_id=own_id, meta=meta, raw_bytes=package.n_bytes)


def _package_file(package: Package) -> str:
    container = package.tree("META-INF/container.xml")
    files = [] if container is None else list(container.iter("{*}rootfile"))
    if not files or not files[0].get("full-path"):
        raise Damaged("unreadable_file", "epub: META-INF/container.xml names no package file")
    return str(files[0].get("full-path"))


def _chapters(book: Any, folder: str) -> list[str]:
    """Names of the parts, in reading order."""
    items = {one.get("id"): one for one in children(child(book, "manifest"), "item")}
    names: list[str] = []
    for reference in children(child(book, "spine"), "itemref"):
        item = items.get(reference.get("idref"))
        if item is None or reference.get("linear") == "no" or "nav" in (item.get("properties") or "").split():
            continue
        if (item.get("media-type") or "") in MARKUP and item.get("href"):
            names.append(posixpath.normpath(posixpath.join(folder, unquote(item.get("href").partition("#")[0]))))
    return list(dict.fromkeys(names))


def _text(package: Package, name: str, encoding: str) -> str:
    content = package.part(name)
    return "" if not content else whole_text(page_text(content, encoding))


def _locked(package: Package) -> set[str]:
    """Parts under copy protection. Fonts may be scrambled in a book that is free to read."""
    rules = package.tree("META-INF/encryption.xml")
    if rules is None:
        return set()
    return {unquote(one.get("URI") or "") for one in rules.iter("{*}CipherReference")}


def _meta(book: Any) -> dict[str, Any]:
    about = child(book, "metadata")
    said: dict[str, Any] = {}
    for one in about if about is not None else ():
        name = {"creator": "author"}.get(local_name(one), local_name(one))
        if name in ("title", "author", "language", "identifier", "date") and (one.text or "").strip():
            said[name] = (
                f"{said[name]}; {one.text.strip()}"
                if name == "author" and name in said
                else said.get(name, one.text.strip())
            )
    return said
